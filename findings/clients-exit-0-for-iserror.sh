#!/usr/bin/env bash
# Guess: a command-line client of MCP fails when the tool that it called failed.
# Seen:  of five, mcptools, mcpc and @wong2/mcp-cli end with 0 for a result with `isError`; mcptools prints its text as it does a
#        good one. fastmcp and mcporter end with 1. For an unknown tool, an error of the protocol here, each of them fails.
# With:  mcptools 0.7.1 (Go), @apify/mcpc 0.2.6, @wong2/mcp-cli 2.0.0, mcporter 0.12.3 (npm, on Node.js 20), fastmcp 4.2.3
#        (PyPI); the server is a few lines of Python.
# Why:   a tool's failure is an isError result, so in a script or a CI job a start that failed has worked.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
go_install github.com/f/mcptools@v0.7.1//cmd/mcptools
npm_install @apify/mcpc@0.2.6 @wong2/mcp-cli@2.0.0 mcporter@0.12.3
pip_install fastmcp==4.2.3
cat >server.py <<'PY'
import json
import sys

for line in sys.stdin:
    message = json.loads(line)
    method, name = message["method"], (message.get("params") or {}).get("name")
    if "id" not in message:
        continue
    said = {"error": {"code": -32601, "message": "Method not found"}}
    if method == "initialize":
        said = {"result": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}}}
    elif method == "tools/list":
        said = {"result": {"tools": [{"name": tool, "description": tool, "inputSchema": {"type": "object", "properties": {}}} for tool in ("good", "bad")]}}
    elif method == "tools/call" and name in ("good", "bad"):
        said = {"result": {"content": [{"type": "text", "text": f"it went {name}"}], "isError": name == "bad"}}
    elif method == "tools/call":
        said = {"error": {"code": -32602, "message": f"no tool {name}"}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}), flush=True)
PY
server="$WORK/server.py"
echo "{\"mcpServers\": {\"toy\": {\"command\": \"python3\", \"args\": [\"$server\"]}}}" >mcp.json
bounded 60 mcpc connect mcp.json:toy @toy >said 2>&1 || unable "mcpc connect: $(tail -1 said)"
attempt() { local code=0; bounded 60 "$@" </dev/null >said 2>&1 || code=$?; printf ' %s' "$code"; }
all() { # TOOL
    attempt mcptools call "$1" python3 "$server"
    attempt mcpc @toy tools-call "$1"
    attempt mcp-cli -c mcp.json call-tool "toy:$1" --args '{}'
    attempt mcporter --config mcp.json call "toy.$1"
    attempt fastmcp call --command "python3 $server" --target "$1"
}
bad=$(all bad)
unknown=$(all unknown)
bounded 20 mcpc close @toy >said 2>&1 || true
observed "mcptools, mcpc, mcp-cli, mcporter, fastmcp: isError$bad; an unknown tool$unknown"
[ "$bad/$unknown" = " 0 0 0 1 1/ 1 2 1 1 1" ] && verdict 0
verdict 1
