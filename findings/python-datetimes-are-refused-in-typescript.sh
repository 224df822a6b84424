#!/usr/bin/env bash
# Guess: a tool in Python that returns datetime.now() can be called from each client; what one SDK's types make fits the
#        schema that they list.
# Seen:  the schema says `format: date-time`, and the answer is a time without a zone, which is no RFC 3339. The clients of
#        Python do not look at formats, and take it. Both TypeScript clients refuse the answer, after the tool has done its
#        work; with a zone they take it. A `date` and a `timedelta` pass in all four.
# With:  mcp 2.3.0 and fastmcp 4.2.3 as servers (PyPI), mcp 1.30.0 and 2.3.0, @modelcontextprotocol/sdk 1.32.2 and
#        @modelcontextprotocol/client 2.4.0 (npm) as clients that list the tools first.
# Why:   a start that answers `started_at` is a failure for clients in TypeScript, and only for them, and the author's tests
#        in Python pass.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
cat >node/server.py <<'PY'
import sys
from datetime import date, datetime, timedelta, timezone

from pydantic import BaseModel

if sys.argv[1] == "fastmcp":
    from fastmcp import FastMCP as Server
else:
    from mcp.server.mcpserver import MCPServer as Server
server = Server("times")


class Started(BaseModel):
    at: datetime


class Took(BaseModel):
    day: date
    took: timedelta


@server.tool()
def naive() -> Started:
    return Started(at=datetime(2026, 11, 30, 19, 30))


@server.tool()
def aware() -> Started:
    return Started(at=datetime(2026, 11, 30, 19, 30, tzinfo=timezone.utc))


@server.tool()
def took() -> Took:
    return Took(day=date(2026, 11, 30), took=timedelta(hours=1))


server.run()
PY
cat >node/client.mjs <<'JS'
const [version, ...command] = process.argv.slice(2)
const old = version === "1"
const { Client } = await import(old ? "@modelcontextprotocol/sdk/client/index.js" : "@modelcontextprotocol/client")
const { StdioClientTransport } = await import(old ? "@modelcontextprotocol/sdk/client/stdio.js" : "@modelcontextprotocol/client/stdio")
const one = new Client({ name: "findings", version: "1" })
await one.connect(new StdioClientTransport({ command: command[0], args: command.slice(1), stderr: "ignore" }))
const said = {}
for (const { name } of (await one.listTools()).tools)
  said[name] = await one.callTool({ name, arguments: {} }).then(answer => answer.structuredContent, error => "refused: " + error.message.split(": ").pop())
console.log(JSON.stringify(said))
process.exit(0)
JS
cat >node/client.py <<'PY'
import json
import os
import sys

import anyio
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main():
    with open(os.devnull, "w") as nowhere:
        async with stdio_client(StdioServerParameters(command=sys.argv[1], args=sys.argv[2:]), errlog=nowhere) as streams:
            async with ClientSession(*streams) as client:
                await client.initialize()
                said = {}
                for tool in (await client.list_tools()).tools:
                    try:
                        said[tool.name] = (await client.call_tool(tool.name, {})).model_dump(by_alias=True)["structuredContent"]
                    except RuntimeError as error:
                        said[tool.name] = f"refused: {error}"
                print(json.dumps(said))


anyio.run(main)
PY
judge 200 <<'PY'
from wire import *

work = os.environ["WORK"]
clients = {"TypeScript 1": ["node", "client.mjs", "1"], "TypeScript 2": ["node", "client.mjs", "2"],
           "Python 1": [f"{work}/mcp-1/bin/python", "client.py"], "Python 2": [f"{work}/mcp-2/bin/python", "client.py"]}
facts = []
for server in ("mcp-2", "fastmcp"):
    for name, command in clients.items():
        run = subprocess.run([*command, f"{work}/{server}/bin/python", "server.py", server], capture_output=True, text=True, timeout=60, cwd="node")
        said = json.loads(run.stdout)
        show(f"{name} with {server}: {said}")
        naive = 'refused: data/at must match format "date-time"' if "Type" in name else {"at": "2026-11-30T19:30:00"}
        facts.append((said == {"naive": naive, "aware": {"at": "2026-11-30T19:30:00Z"}, "took": {"day": "2026-11-30", "took": "PT1H"}}, f"{name} with {server}"))
finish(*facts)
PY
