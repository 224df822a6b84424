#!/usr/bin/env bash
# Guess: a call of a tool that does not exist is a protocol error with -32602, as the specification says.
# Seen:  five public servers give four answers: an isError result whose text begins "MCP error -32602" (TypeScript SDK),
#        the protocol error -32602 (mcp 2, low level), an isError result "Unknown tool" (FastMCP of mcp 1), the protocol
#        error -32603 "internal error" (two servers written by hand). mcp 1 says -32602 of an unknown *method* instead.
# With:  @modelcontextprotocol/server-everything 2026.8.31, mcp-server-commands 0.5.0, @mariozechner/terminalcp 1.3.3
#        (npm); mcp-server-time 2026.10.19 on mcp 2.3.0, mcp-tmux 0.3.1 on mcp 1.30.0 (PyPI).
# Why:   "the tool is gone, list the tools anew" cannot be told from "the call failed" by code or by isError alone; retrying
#        -32603 as an internal fault retries for ever.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/server-everything@2026.8.31 mcp-server-commands@0.5.0 @mariozechner/terminalcp@1.3.3
venv_install "$WORK/one" mcp-tmux==0.3.1 mcp==1.30.0
venv_install "$WORK/two" mcp-server-time==2026.10.19 mcp==2.3.0

judge 90 <<'PY'
from wire import *

work = os.environ["WORK"]
commands = {"server-everything": ("mcp-server-everything",), "mcp-server-time": (f"{work}/two/bin/mcp-server-time",),
            "mcp-tmux": (f"{work}/one/bin/mcp-tmux",), "mcp-server-commands": ("mcp-server-commands",),
            "terminalcp": ("terminalcp", "--mcp")}
seen, methods = {}, {}
for name, command in commands.items():
    server = Stdio(*command)
    server.hello()
    answer = server.call("no_such_tool")
    seen[name] = answer["error"]["code"] if "error" in answer else ("isError", answer["result"]["isError"], text_of(answer["result"])[:17])
    methods[name] = server.request("no/such/method", {})["error"]["code"]
    server.kill()
    show(f"{name}: unknown tool {seen[name]}, unknown method {methods[name]}")
finish((seen == {"server-everything": ("isError", True, "MCP error -32602:"), "mcp-server-time": -32602,
                 "mcp-tmux": ("isError", True, "Unknown tool: no_"), "mcp-server-commands": -32603, "terminalcp": -32603}, "tools"),
       (methods["mcp-tmux"] == -32602 and all(code == -32601 for name, code in methods.items() if name != "mcp-tmux"), "methods"))
PY
