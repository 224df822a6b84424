#!/usr/bin/env bash
# Guess: an MCP gateway keeps its stdio servers running, so that what one call started is there for the next one; a call that its
#        client cancels is cancelled, and one whose connection is lost is not (2025-11-25: a lost connection is no cancellation).
# Seen:  LiteLLM starts a process for each call and each list, and stops it after the answer: three calls of one session reach
#        three processes. The session's id, which it gives out itself, is unknown to it in the next request. A cancellation is
#        accepted (202) and not passed on; the call is carried out and answered. When the connection is lost, it cancels the call.
#        A server whose program is missing is left out of the tools, without an error.
# With:  litellm 1.108.7 with its proxy, mcp 2.3.0 (PyPI), with LITELLM_ENABLE_MCP_STDIO=true; the server is a few lines of Python.
# Why:   a browser, a shell or a database session of one call is gone in the next one; a start that was cancelled comes up later,
#        and one whose client lost its network does not.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install "litellm[proxy]==1.108.7" mcp==2.3.0
cat >server.py <<'PY'
import json
import os
import sys
import threading
import time


def say(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def note(text):
    with open(os.environ["HEARD"], "a") as heard:
        print(text, file=heard)


def make(number):
    time.sleep(3)
    note("made")
    say(id=number, result={"content": [{"type": "text", "text": "made"}]})


for line in sys.stdin:
    message = json.loads(line)
    method, tool = message["method"], message.get("params", {}).get("name")
    if method != "tools/list":
        note(tool if method == "tools/call" else method)
    if tool == "make":
        threading.Thread(target=make, args=(message["id"],), daemon=True).start()
    elif "id" in message:
        result = {
            "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
            "tools/list": {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ("which", "make")]},
            "tools/call": {"content": [{"type": "text", "text": str(os.getpid())}]},
        }.get(method)
        say(id=message["id"], **({"result": result} if result else {"error": {"code": -32601, "message": "Method not found"}}))
PY
port=$(free_port)
python=$(command -v python3)
cat >gateway.yaml <<YAML
model_list: []
mcp_servers:
  toy: {transport: stdio, command: "$python", args: ["$WORK/server.py"], env: {HEARD: "$WORK/heard"}}
  gone: {transport: stdio, command: "$WORK/missing", args: []}
YAML
LITELLM_MASTER_KEY="sk-$(python3 -c "import secrets; print(secrets.token_hex(16))")"
export LITELLM_MASTER_KEY LITELLM_ENABLE_MCP_STDIO=true LITELLM_LOCAL_MODEL_COST_MAP=True DISABLE_ADMIN_UI=True
litellm --config gateway.yaml --host 127.0.0.1 --port "$port" --telemetry False >gateway.log 2>&1 &
wait_for 90 curl -sf -o alive "http://127.0.0.1:$port/health/liveliness" || unable "litellm did not come up: $(tail -1 gateway.log)"
judge 90 "$port" gateway.log <<'PY'
import sys

from wire import *

server = Http(int(sys.argv[1]))
server.headers["Authorization"] = "Bearer " + os.environ["LITELLM_MASTER_KEY"]
server.hello()


def heard():
    with open("heard") as file:
        return file.read().split()


def call(tool, **more):
    return text_of(server.request("tools/call", {"name": tool, "arguments": {}, **more}, timeout=30)[2][-1]["result"])


tools = [tool["name"] for tool in server.request("tools/list", timeout=60)[2][-1]["result"]["tools"]]
processes = {call("toy-which") for _ in range(3)}
forgotten = server.headers["Mcp-Session-Id"] in open(sys.argv[2]).read()
show(f"tools: {tools}; three calls of one session reach {len(processes)} processes; its session id is unknown to it: {forgotten}")

open("heard", "w").close()
answers = []
number = server.number = server.number + 1
asked = threading.Thread(target=lambda: answers.append(server.post({"id": number, "method": "tools/call", "params": {"name": "toy-make", "arguments": {}}}, 30)))
asked.start()
while "make" not in heard():
    time.sleep(0.05)
accepted = server.post({"method": "notifications/cancelled", "params": {"requestId": number}})[0]
asked.join()
cancelled, answer = heard(), text_of(answers[0][2][-1]["result"])
show(f"cancelled: status {accepted}, answer {answer!r}, the server heard {cancelled}")

open("heard", "w").close()
connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
body = json.dumps({"jsonrpc": "2.0", "id": number + 1, "method": "tools/call", "params": {"name": "toy-make", "arguments": {}}})
connection.request("POST", "/mcp", body, {**server.headers, "Content-Type": "application/json", "Accept": "application/json, text/event-stream"})
while "make" not in heard():
    time.sleep(0.05)
connection.close()
time.sleep(6)
lost = heard()
show(f"connection lost: the server heard {lost}")
finish((sorted(tools) == ["toy-make", "toy-which"], f"tools {tools}"), (len(processes) == 3, "processes"), (forgotten, "the session's id"),
       (accepted == 202 and answer == "made" and "made" in cancelled and "notifications/cancelled" not in cancelled, "cancelled"),
       ("notifications/cancelled" in lost and "made" not in lost, "connection lost"))
PY
