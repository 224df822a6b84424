#!/usr/bin/env bash
# Guess: a hub of MCP servers notices that one of them has exited: its status changes, its tools leave the list, or it is
#        started again.
# Seen:  none of it. After the process of a stdio server has exited its status is "connected" with no error, /api/health is
#        "ok", and its tools are listed; each call fails with "Not connected" for as long as the hub runs. No one is
#        notified.
# With:  mcp-hub 4.2.1 (npm); the server is a few lines of Python.
# Why:   neither the hub's status nor its list of tools is a health check; one crash takes a server away until someone
#        restarts it through the hub's API.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install mcp-hub@4.2.1
cat >server.py <<'PY'
import json
import os
import sys

for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "tools/call" and message["params"]["name"] == "leave":
        os._exit(7)
    info = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}}
    tools = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ("greet", "leave")]}
    found = {"initialize": info, "tools/list": tools, "tools/call": {"content": [{"type": "text", "text": "hello"}]}}.get(message["method"])
    if "id" in message:
        said = {"result": found} if found else {"error": {"code": -32601, "message": "Method not found"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}), flush=True)
PY
printf '{"mcpServers": {"toy": {"command": "%s", "args": ["%s/server.py"]}}}\n' "$(command -v python3)" "$WORK" >hub.json
port=$(free_port)
mcp-hub --port "$port" --config hub.json >hub.log 2>&1 &
judge 90 "$port" <<'PY'
import sys
import urllib.error
import urllib.request

from wire import *

port = sys.argv[1]


def ask(path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/{path}", body and json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        return json.load(error)
    except OSError:
        return {}


def call(tool):
    answer = ask("servers/tools", {"server_name": "toy", "tool": tool, "arguments": {}})
    return answer.get("error") or answer["result"]["content"][0]["text"]


def state():
    return [(one["status"], one["error"], len(one["capabilities"]["tools"])) for one in ask("servers").get("servers", [])]


deadline = time.monotonic() + 40
while state() != [("connected", None, 2)] and time.monotonic() < deadline:
    time.sleep(0.2)
before, leaving = call("greet"), call("leave")
time.sleep(5)
after, health, shown = call("greet"), ask("health")["status"], state()
show(f"before: {before!r}; as it exits: {leaving!r}; 5 s later: {after!r}, health {health!r}, status, error and tools {shown}")
finish((before == "hello", "it worked"), ("Connection closed" in leaving, "the call in which it exits"), (after == "Not connected", "later calls"),
       (health == "ok", "health"), (shown == [("connected", None, 2)], "its status"))
PY
