#!/usr/bin/env bash
# Guess: serverInfo.version is the version of the server's package.
# Seen:  where the author gives none, the Python SDK fills in its own: mcp-tmux 0.3.1 calls
#        itself 1.30.0 with mcp 1.30.0, and 1.29.0 with mcp 1.29.0. With mcp 2 it is the empty text instead, though
#        the field is required. FastMCP puts in FastMCP's version. Servers from npm carry what someone once typed:
#        the package 2026.8.31 of server-filesystem says 0.2.0, that of server-everything 2.0.0.
# With:  mcp-tmux 0.3.1, mcp 1.29.0, 1.30.0 and 2.3.0, fastmcp 4.1.6 (PyPI); @modelcontextprotocol/server-filesystem and
#        server-everything 2026.8.31 (npm).
# Why:   "pin by version", "known broken before 1.2" and caches of tool lists keyed by name and version do not work with
#        it; ask the package manager.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
venv_install "$WORK/older" mcp-tmux==0.3.1 mcp==1.29.0
venv_install "$WORK/newer" mcp-tmux==0.3.1 mcp==1.30.0
venv_install "$WORK/two" fastmcp==4.1.6 mcp==2.3.0
npm_install @modelcontextprotocol/server-filesystem@2026.8.31 @modelcontextprotocol/server-everything@2026.8.31
printf 'from mcp.server.mcpserver import MCPServer\nMCPServer("two").run()\n' >two.py
printf 'from fastmcp import FastMCP\nFastMCP("four").run(show_banner=False)\n' >four.py

judge 120 <<'PY'
from wire import *

work = os.environ["WORK"]
commands = {
    "mcp-tmux 0.3.1 on mcp 1.29.0": (f"{work}/older/bin/mcp-tmux",), "mcp-tmux 0.3.1 on mcp 1.30.0": (f"{work}/newer/bin/mcp-tmux",),
    "a server without a version on mcp 2.3.0": (f"{work}/two/bin/python", "two.py"),
    "a server without a version on fastmcp 4.1.6": (f"{work}/two/bin/python", "four.py"),
    "server-filesystem 2026.8.31": ("mcp-server-filesystem", work), "server-everything 2026.8.31": ("mcp-server-everything",),
}
seen = []
for name, command in commands.items():
    server = Stdio(*command)
    seen.append(server.hello()["result"]["serverInfo"]["version"])
    server.kill()
    show(f"{name}: {seen[-1]!r}")
finish((seen == ["1.29.0", "1.30.0", "", "4.1.6", "0.2.0", "2.0.0"], f"versions {seen}"))
PY
