#!/usr/bin/env bash
# Guess: a client that asks a stdio server `server/discover` first can still do the older handshake on that connection;
#        a server that does not know the method says -32601; `ping` works in both eras.
# Seen:  with mcp 2 (and FastMCP 4 on it) the first message settles the era: after discover, `initialize` is refused with
#        -32022 and the older tools/list with -32602; only a new process speaks the older protocol. In the newer era
#        `ping` is -32601. mcp 1 answers discover with -32602 "Invalid request parameters", as it does any method it does
#        not know; the TypeScript server with -32601.
# With:  mcp 1.30.0, mcp 2.3.0, fastmcp 4.1.6 (PyPI), @modelcontextprotocol/server-everything 2026.8.31 (npm).
# Why:   "try the new protocol, else the old" needs a second process for stdio; a fall-back that waits for -32601 never
#        comes for mcp 1; a health check by ping fails on every server of the newer era.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
venv_install "$WORK/one" mcp==1.30.0
venv_install "$WORK/two" fastmcp==4.1.6 mcp==2.3.0
npm_install @modelcontextprotocol/server-everything@2026.8.31
printf 'from mcp.server.fastmcp import FastMCP\nFastMCP("one").run()\n' >one.py
printf 'from mcp.server.mcpserver import MCPServer\nMCPServer("two").run()\n' >two.py
printf 'from fastmcp import FastMCP\nFastMCP("four").run(show_banner=False)\n' >four.py

judge 120 <<'PY'
from wire import *

meta = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientInfo": CLIENT,
                  "io.modelcontextprotocol/clientCapabilities": {}}}
work = os.environ["WORK"]
servers = {"mcp 1": (f"{work}/one/bin/python", "one.py"), "mcp 2": (f"{work}/two/bin/python", "two.py"),
           "fastmcp 4": (f"{work}/two/bin/python", "four.py"), "typescript": ("mcp-server-everything",)}


def outcome(response):
    return response["error"]["code"] if "error" in response else "ok"


seen = {}
for name, command in servers.items():
    server = Stdio(*command)
    seen[name] = [outcome(server.request("server/discover", meta, 60)), outcome(server.request("ping", meta)),
                  outcome(server.hello()), outcome(server.request("tools/list", {}))]
    server.kill()
    show(f"{name}: discover {seen[name][0]}, then ping {seen[name][1]}, then initialize {seen[name][2]}, "
         f"then the older tools/list {seen[name][3]}")
finish((seen["mcp 1"][0] == -32602 and seen["mcp 1"][2] == "ok", "mcp 1"),
       (seen["mcp 2"] == ["ok", -32601, -32022, -32602], "mcp 2"),
       (seen["fastmcp 4"] == ["ok", -32601, -32022, -32602], "fastmcp 4"),
       (seen["typescript"][0] == -32601 and seen["typescript"][2] == "ok", "the TypeScript server"))
PY
