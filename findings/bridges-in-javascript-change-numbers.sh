#!/usr/bin/env bash
# Guess: a bridge between stdio and HTTP hands on what a message holds, so that the server gets the number that its client sent.
# Seen:  mcp-remote, supergateway and mcp-proxy (npm) read each message and write it anew: a call for the record 9007199254740993
#        removes 9007199254740992, with a success, 1.0 arrives as 1, and an answer's 1234567890123456789 comes back as
#        1234567890123456800. mcp-proxy (PyPI) and FastMCP's proxy change nothing.
# With:  mcp-remote 0.15.1, supergateway 4.0.0, mcp-proxy 6.7.19 (npm), Node 20, mcp-proxy 0.13.0 on mcp 1.30.0, fastmcp 4.2.3 (PyPI);
#        the server is a few lines of Python.
# Why:   64-bit ids (of a database, a chat, nanoseconds) of a server and a client that both keep them name another record as soon as
#        a bridge stands between; ids that are text are safe.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install mcp-remote@0.15.1 supergateway@4.0.0 mcp-proxy@6.7.19
venv_install "$WORK/python" mcp-proxy==0.13.0 mcp==1.30.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
cat >server.py <<'PY'
import json
import sys

records = {9007199254740992: "the other", 9007199254740993: "the one"}
for line in sys.stdin:
    message = json.loads(line)
    method, params = message["method"], message.get("params") or {}
    if "id" not in message:
        continue
    if method == "tools/call":
        given = params["arguments"]
        removed = records.pop(given["id"], "nothing")
        kept = {"content": [{"type": "text", "text": f"removed {removed}, factor {given['factor']!r}"}], "structuredContent": {"at": 1234567890123456789}}
    results = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
        "ping": {},
        "tools/list": {"tools": [{"name": "remove", "inputSchema": {"type": "object"}}]},
        "tools/call": method == "tools/call" and kept,
    }
    answer = {"result": results[method]} if method in results else {"error": {"code": -32601, "message": "Method not found"}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}), flush=True)
PY
cat >proxy.py <<'PY'
import sys

from fastmcp.client.transports import StdioTransport
from fastmcp.server import create_proxy

create_proxy(StdioTransport("python3", ["server.py"])).run(transport="http", host="127.0.0.1", port=int(sys.argv[1]), show_banner=False)
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
begin behind-mcp-remote python/bin/mcp-proxy --port PORT -- python3 server.py
begin fastmcp fastmcp/bin/python proxy.py PORT
begin supergateway supergateway --stdio "python3 server.py" --outputTransport streamableHttp --stateful --port PORT
begin mcp-proxy-npm mcp-proxy --host 127.0.0.1 --port PORT -- python3 server.py
judge 120 <<'PY'
from wire import *

CALL = {"name": "remove", "arguments": {"id": 9007199254740993, "factor": 1.0}}
KEPT = ("removed the one, factor 1.0", 1234567890123456789)
CHANGED = ("removed the other, factor 1", 1234567890123456800)
wanted = {"mcp-proxy-pypi": KEPT, "fastmcp": KEPT, "supergateway": CHANGED, "mcp-proxy-npm": CHANGED, "mcp-remote": CHANGED}
ports = dict(line.split() for line in open("ports"))
facts = []
for name, expected in wanted.items():
    if name == "mcp-remote":
        bridge = Stdio("mcp-remote", f"http://127.0.0.1:{ports['behind-mcp-remote']}/mcp", "--transport", "http-only")
        bridge.hello()
        result = bridge.request("tools/call", CALL)["result"]
    else:
        client = Http(int(ports[name]))
        client.hello()
        result = next(one for one in client.request("tools/call", CALL)[2] if "result" in one)["result"]
    seen = (text_of(result), result["structuredContent"]["at"])
    show(f"{name}: {seen[0]}; the answer's number is {seen[1]}")
    facts.append((seen == expected, name))
finish(*facts)
PY
