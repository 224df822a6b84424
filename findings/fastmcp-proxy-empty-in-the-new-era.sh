#!/usr/bin/env bash
# Guess: a proxy that speaks both protocol eras shows the same tools in both, or refuses the era that the server behind
#        it does not speak.
# Seen:  before a server of the older era, the proxy announces 2026-07-28 and a tools capability in server/discover, then
#        lists no tools, without an error; a call is "Unknown tool". By the older handshake the same proxy lists and calls
#        them. (It does start a new process when the server behind it has died, unlike other proxies.)
# With:  fastmcp 4.1.6 with mcp 2.3.0 (PyPI); the server behind it is a few lines of Python.
# Why:   a client of the newer era takes the empty list for the truth, and every service behind the proxy for gone.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install fastmcp==4.1.6 mcp==2.3.0
cat >toy.py <<'PY'
import json, os, sys
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    answers = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
        "tools/list": {"tools": [{"name": "pid", "inputSchema": {"type": "object"}}]},
        "tools/call": {"content": [{"type": "text", "text": str(os.getpid())}]}, "ping": {},
    }
    found = answers.get(message["method"])
    said = {"result": found} if found is not None else {"error": {"code": -32601, "message": "Method not found"}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}), flush=True)
PY
cat >proxy.py <<'PY'
import sys
from fastmcp.server import create_proxy
create_proxy({"mcpServers": {"toy": {"command": sys.executable, "args": ["toy.py"]}}}).run(show_banner=False)
PY

judge 90 <<'PY'
from wire import *

meta = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientInfo": CLIENT,
                  "io.modelcontextprotocol/clientCapabilities": {}}}
new = Stdio("python", "proxy.py")
discovered = new.request("server/discover", meta, 60)["result"]
listed = new.request("tools/list", meta)["result"]["tools"]
called = new.request("tools/call", {"name": "pid", "arguments": {}, **meta})["result"]
new.kill()
old = Stdio("python", "proxy.py")
old.hello()
older = [tool["name"] for tool in old.request("tools/list", {})["result"]["tools"]]
works = not old.call("pid")["result"]["isError"]
old.kill()
show(f"newer era: versions {discovered['supportedVersions']}, tools capability {'tools' in discovered['capabilities']}, "
     f"tools {listed}, call: {text_of(called)!r}")
show(f"older handshake: tools {older}, the call works: {works}")
finish(("2026-07-28" in discovered["supportedVersions"] and "tools" in discovered["capabilities"], "the era is refused"),
       (listed == [] and called["isError"], "the tools are listed"), (older == ["pid"] and works, "older handshake"))
PY
