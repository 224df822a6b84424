#!/usr/bin/env bash
# Guess: a client of several servers fails, or shows an error, when one of them cannot be started; a call of its tools says
#        that the server is gone.
# Seen:  FastMCP's client connects, `ping` is true, and the tools of the others are listed, without an error; a call of the
#        missing server's tool is "Unknown tool". Given that server alone, the same client fails with "Connection closed".
# With:  fastmcp 4.2.3 (PyPI); the servers are a few lines of Python.
# Why:   "the tool does not exist" and "its server is down" are one answer; whoever takes a list for the truth forgets what
#        the server runs.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install fastmcp==4.2.3
cat >server.py <<'PY'
import json
import sys

if sys.argv[1] == "broken":
    sys.exit(3)
for line in sys.stdin:
    message = json.loads(line)
    found = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
        "tools/list": {"tools": [{"name": "status", "inputSchema": {"type": "object"}}]},
        "tools/call": {"content": [{"type": "text", "text": "well"}]},
    }.get(message["method"])
    if "id" in message:
        said = {"result": found} if found else {"error": {"code": -32601, "message": "Method not found"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}), flush=True)
PY
cat >client.py <<'PY'
import asyncio
import sys

from fastmcp import Client


async def call(client, tool):
    try:
        return (await client.call_tool(tool)).content[0].text
    except Exception as error:
        return str(error)


async def main():
    for names in (("sound", "broken"), ("broken",)):
        servers = {name: {"command": sys.executable, "args": ["server.py", name]} for name in names}
        try:
            async with Client({"mcpServers": servers}) as client:
                listed = [tool.name for tool in await client.list_tools()]
                print(names, await client.ping(), listed, await call(client, "sound_status"), await call(client, "broken_status"))
        except Exception as error:
            print(names, error)


asyncio.run(main())
PY
bounded 90 python client.py >seen 2>errors.log || unable "the client: $(tail -1 errors.log)"
while read -r line; do observed "$line"; done <seen
grep -qF "('sound', 'broken') True ['sound_status'] well Unknown tool: 'broken_status'" seen \
    && grep -qF "('broken',) Connection closed" seen && verdict 0
verdict 1
