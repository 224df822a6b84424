#!/usr/bin/env bash
# Guess: a bridge tells the server what its client declared, so that a server that asks its user before it deletes asks through a
#        bridge, too, and the answer comes back.
# Seen:  supergateway with --stateful does. Both programs named mcp-proxy, and supergateway by default, greet the server in their own
#        name and declare nothing, so the server finds that it cannot ask, for a client that declared that it can be asked.
# With:  mcp-proxy 6.7.19, supergateway 4.0.0 (npm), Node 20, mcp-proxy 0.13.0 on mcp 1.30.0 (PyPI); the server is a few lines of Python.
# Why:   a server that asks only whom it can ask deletes without the question, or refuses, for the same client that is asked without
#        the bridge.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install supergateway@4.0.0 mcp-proxy@6.7.19
venv_install "$WORK/python" mcp-proxy==0.13.0 mcp==1.30.0
cat >server.py <<'PY'
import json
import sys


def say(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


declared, client, waiting = {}, "", None
QUESTION = {"mode": "form", "message": "Delete it?", "requestedSchema": {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"]}}
for line in sys.stdin:
    message = json.loads(line)
    method, params = message.get("method"), message.get("params") or {}
    if method is None:
        said = message.get("result", {}).get("action") or message["error"]["message"]
        say(id=waiting, result={"content": [{"type": "text", "text": f"asked {client}: {said}"}]})
    elif method == "initialize":
        declared, client = params["capabilities"], params["clientInfo"]["name"]
        say(id=message["id"], result={"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}})
    elif method == "tools/list":
        say(id=message["id"], result={"tools": [{"name": "delete", "inputSchema": {"type": "object"}}]})
    elif method == "tools/call" and "elicitation" in declared:
        waiting = message["id"]
        say(id="question", method="elicitation/create", params=QUESTION)
    elif method == "tools/call":
        say(id=message["id"], result={"content": [{"type": "text", "text": f"{client} cannot be asked"}]})
    elif "id" in message:
        say(id=message["id"], **({"result": {}} if method == "ping" else {"error": {"code": -32601, "message": "Method not found"}}))
PY
begin() { # NAME COMMAND…: PORT stands for its port
    local name=$1 port
    shift
    port=$(free_port)
    "${@//PORT/$port}" >"$name.log" 2>&1 &
    wait_for 90 listens "$port" || unable "$name does not listen: $(tail -1 "$name.log")"
    echo "$name $port" >>ports
}
begin mcp-proxy-pypi python/bin/mcp-proxy --port PORT -- python3 server.py
begin mcp-proxy-npm mcp-proxy --host 127.0.0.1 --port PORT -- python3 server.py
begin supergateway supergateway --stdio "python3 server.py" --outputTransport streamableHttp --port PORT
begin supergateway-stateful supergateway --stdio "python3 server.py" --outputTransport streamableHttp --stateful --port PORT
judge 120 <<'PY'
from wire import *


class Asked(Http):
    """Answers each question that comes on the stream of a call, or on the session's own."""

    def stream(self, method, message=None, timeout=10):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        accept = "application/json, text/event-stream" if message else "text/event-stream"
        connection.request(method, self.path, message and json.dumps({"jsonrpc": "2.0", **message}),
                           {"Content-Type": "application/json", "Accept": accept, **self.headers})
        for line in connection.getresponse():
            line = line.removeprefix(b"data:").strip()
            if not line.startswith(b"{"):
                continue
            one = json.loads(line)
            if one.get("method") == "elicitation/create":
                self.post({"id": one["id"], "result": {"action": "accept", "content": {"sure": True}}})
            elif message and one.get("id") == message["id"] and "method" not in one:
                return text_of(one["result"]) if "result" in one else one["error"]["message"]

    def listen(self):
        try:
            self.stream("GET")
        except OSError:
            pass


def greet(client):
    status, headers, messages = client.request("initialize", {"protocolVersion": LEGACY, "capabilities": {"elicitation": {"form": {}}}, "clientInfo": CLIENT})
    session = {name.lower(): value for name, value in headers.items()}.get("mcp-session-id")
    client.headers = {"MCP-Protocol-Version": LEGACY, **({"Mcp-Session-Id": session} if session else {})}
    client.post({"method": "notifications/initialized"})


direct = Stdio("python3", "server.py")
direct.hello(capabilities={"elicitation": {"form": {}}})
call = direct.ask("tools/call", {"name": "delete", "arguments": {}})
question = direct.others.get(timeout=10)
direct.send({"id": question["id"], "result": {"action": "accept", "content": {"sure": True}}})
seen = {"no bridge": text_of(direct.answer(call)["result"])}
direct.end_input()
for name, port in (line.split() for line in open("ports")):
    client = Asked(int(port))
    greet(client)
    threading.Thread(target=client.listen, daemon=True).start()
    time.sleep(0.5)
    try:
        seen[name] = client.stream("POST", {"id": 77, "method": "tools/call", "params": {"name": "delete", "arguments": {}}}) or "no answer"
    except OSError:
        seen[name] = "no answer in 10 s"
for name, said in seen.items():
    show(f"{name}: {said}")
wanted = {
    "no bridge": "asked findings: accept",
    "mcp-proxy-pypi": "mcp cannot be asked",
    "mcp-proxy-npm": "mcp-proxy cannot be asked",
    "supergateway": "supergateway cannot be asked",
    "supergateway-stateful": "asked findings: accept",
}
finish(*((seen[name] == expected, name) for name, expected in wanted.items()))
PY
