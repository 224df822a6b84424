#!/usr/bin/env bash
# Guess: a proxy in front of a stdio server hands on what is not an answer too: a cancellation to the server, its progress
#        and list_changed to the client; what the proxy announces it delivers, and "Request cancelled" means cancelled.
# Seen:  of four proxies one does. mcp-proxy (PyPI) answers "Request cancelled" and does not say so to the server, which
#        works on to the end; it drops progress. supergateway brings the cancellation to a process that it starts for that
#        alone; the one at work never hears of it; with --stateful it does. FastMCP's proxy announces listChanged, and the
#        notification ends in it. mcp-proxy (npm) hands on all three.
# With:  mcp-proxy 0.13.0 on mcp 1.30.0, fastmcp 4.2.3 (PyPI), mcp-proxy 6.7.19, supergateway 4.0.0 (npm), Node 20; the
#        server is a few lines of Python.
# Why:   a start that was cancelled goes on behind the proxy, and its client was told the contrary; a call that reports
#        progress looks silent, and is timed out; tools that were added are never seen.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
venv_install "$WORK/python" mcp-proxy==0.13.0 mcp==1.30.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
npm_install mcp-proxy@6.7.19 supergateway@4.0.0
cat >server.py <<'PY'
import json
import os
import sys
import threading
import time

lock = threading.Lock()


def say(**message):
    with lock:
        print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def note(text):
    with open(sys.argv[1], "a") as heard:
        print(os.getpid(), text, file=heard)


def work(number, token):
    if token is not None:
        say(method="notifications/progress", params={"progressToken": token, "progress": 1})
    time.sleep(4)
    note("done")
    say(id=number, result={"content": [{"type": "text", "text": "done"}]})


for line in sys.stdin:
    message = json.loads(line)
    method, params = message["method"], message.get("params") or {}
    note(params.get("name", method))
    if params.get("name") == "work":
        threading.Thread(target=work, args=(message["id"], (params.get("_meta") or {}).get("progressToken"))).start()
        continue
    if params.get("name") == "grow":
        say(method="notifications/tools/list_changed")
    results = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {"listChanged": True}}, "serverInfo": {"name": "toy", "version": "1"}},
        "tools/list": {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ("work", "grow")]},
        "tools/call": {"content": [{"type": "text", "text": "grown"}]},
    }
    if "id" in message:
        say(id=message["id"], result=results.get(method, {}))
PY
cat >proxy.py <<'PY'
import sys

from fastmcp.client.transports import StdioTransport
from fastmcp.server import create_proxy

create_proxy(StdioTransport("python3", ["server.py", sys.argv[2]])).run(transport="http", host="127.0.0.1", port=int(sys.argv[1]), show_banner=False)
PY
declare -A ports
begin() { # NAME COMMAND…: PORT stands for its port
    ports[$1]=$(free_port)
    local name=$1
    shift
    "${@//PORT/${ports[$name]}}" >"$name.log" 2>&1 &
}
begin mcp-proxy-python python/bin/mcp-proxy --port PORT --pass-environment -- python3 server.py mcp-proxy-python.heard
begin mcp-proxy-npm mcp-proxy --host 127.0.0.1 --port PORT -- python3 server.py mcp-proxy-npm.heard
begin fastmcp fastmcp/bin/python proxy.py PORT fastmcp.heard
for name in supergateway supergateway-stateful; do
    more=""
    [ "$name" = supergateway ] || more=--stateful
    # shellcheck disable=SC2086
    begin "$name" supergateway --stdio "python3 server.py $name.heard" --outputTransport streamableHttp $more --port PORT
done
for name in "${!ports[@]}"; do
    wait_for 60 listens "${ports[$name]}" || unable "$name did not come up: $(tail -1 "$name.log")"
    echo "$name ${ports[$name]}" >>ports
done
judge 120 <<'PY'
from wire import *


class Streams(Http):
    """What comes on each stream, as it comes."""

    def stream(self, method, message=None):
        seen = []

        def read():
            connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
            accept = "application/json, text/event-stream" if message else "text/event-stream"
            try:
                connection.request(method, self.path, message and json.dumps({"jsonrpc": "2.0", **message}),
                                   {"Content-Type": "application/json", "Accept": accept, **self.headers})
                for line in connection.getresponse():
                    line = line.removeprefix(b"data:").strip()
                    if line.startswith(b"{"):
                        seen.append(json.loads(line))
            except OSError:
                pass

        threading.Thread(target=read, daemon=True).start()
        return seen


def lines(name):
    try:
        return [line.split(" ", 1) for line in open(f"{name}.heard").read().split("\n")[:-1]]
    except OSError:
        return []


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def trial(name, port):
    client = Streams(port)
    announced = client.hello()[2][0]["result"]["capabilities"]["tools"].get("listChanged", False)
    own = client.stream("GET")
    time.sleep(0.5)
    call = client.stream("POST", {"id": 77, "method": "tools/call", "params": {"name": "work", "arguments": {}, "_meta": {"progressToken": "p"}}})
    until(lambda: any(said == "work" for _, said in lines(name)))
    client.post({"method": "notifications/cancelled", "params": {"requestId": 77}})
    until(lambda: any(said == "done" for _, said in lines(name)))
    worker = next(pid for pid, said in lines(name) if said == "work")
    heard = [pid for pid, said in lines(name) if said == "notifications/cancelled"]
    told = "the worker" if worker in heard else "another process" if heard else "no one"
    answer = next((one.get("error", {}).get("message", "done") for one in list(call) if one.get("id") == 77), "none")
    progress = any(one.get("method") == "notifications/progress" for one in call)
    grown = client.stream("POST", {"id": 78, "method": "tools/call", "params": {"name": "grow", "arguments": {}}})
    until(lambda: any(one.get("id") == 78 for one in grown))
    time.sleep(1)
    changed = any(one.get("method") == "notifications/tools/list_changed" for one in own + grown)
    return told, answer, progress, announced, changed


wanted = {
    "mcp-proxy-python": ("no one", "Request cancelled", False, False, False),
    "mcp-proxy-npm": ("the worker", "none", True, True, True),
    "fastmcp": ("the worker", "Request cancelled", True, True, False),
    "supergateway": ("another process", "done", True, True, True),
    "supergateway-stateful": ("the worker", "done", True, True, True),
}
facts = []
for name, port in sorted(line.split() for line in open("ports")):
    seen = trial(name, int(port))
    show(f"{name}: the cancellation came to {seen[0]}, the client was answered: {seen[1]}; progress came: {seen[2]}; "
         f"listChanged is announced: {seen[3]}, and came: {seen[4]}")
    facts.append((seen == wanted[name], name))
finish(*facts)
PY
