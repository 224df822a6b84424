#!/usr/bin/env bash
# Guess: a regular expression in one tool's output schema concerns that tool; a client that cannot read it does not check.
# Seen:  with pydantic's `(?i)^web` in one schema, `listTools()` of the TypeScript SDK 1 throws: no tool of the server is
#        listed. The client of version 2 lists all, and throws when that tool is called. The other way round, zod's `\p{L}`
#        passes in TypeScript, and the Python clients raise RuntimeError for the answer. They raise for Rust's `\z` as well,
#        which pydantic accepts and lists. A pattern of an argument troubles none of the four.
# With:  mcp 1.30.0 and 2.3.0, pydantic 2.14.4 (PyPI), @modelcontextprotocol/sdk 1.32.2, @modelcontextprotocol/client 2.4.0,
#        zod 4.6.7 (npm).
# Why:   a server that works in each test of its author has no tools at all, or fails after each call, in a client written in
#        another language; JSON Schema knows only the patterns of ECMAScript, and neither library looks.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0 zod@4.6.7
venv_install "$WORK/mcp-1" mcp==1.30.0 pydantic==2.14.4
venv_install "$WORK/mcp-2" mcp==2.3.0 pydantic==2.14.4
cat >node/server.py <<'PY'
from typing import Annotated

from mcp.server.mcpserver import MCPServer
from pydantic import BaseModel, Field

server = MCPServer("patterns")


class Caseless(BaseModel):
    name: Annotated[str, Field(pattern=r"(?i)^web[0-9]+$")]


class Ended(BaseModel):
    name: Annotated[str, Field(pattern=r"^web[0-9]+\z")]


@server.tool()
def caseless() -> Caseless:
    return Caseless(name="WEB1")


@server.tool()
def ended() -> Ended:
    return Ended(name="web1")


@server.tool()
def plain(name: Annotated[str, Field(pattern=r"(?i)^web[0-9]+$")] = "web1") -> str:
    return name


server.run()
PY
cat >node/server.mjs <<'JS'
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js"
import { z } from "zod"
const server = new McpServer({ name: "patterns", version: "1" })
const answer = name => ({ content: [{ type: "text", text: name }], structuredContent: { name } })
server.registerTool("letters", { outputSchema: z.object({ name: z.string().regex(/^\p{L}+$/u) }) }, async () => answer("Jörg"))
server.registerTool("plain", { outputSchema: z.object({ name: z.string() }) }, async () => answer("web"))
await server.connect(new StdioServerTransport())
JS
cat >node/client.mjs <<'JS'
const [version, server, ...tools] = process.argv.slice(2)
const old = version === "1"
const { Client } = await import(old ? "@modelcontextprotocol/sdk/client/index.js" : "@modelcontextprotocol/client")
const { StdioClientTransport } = await import(old ? "@modelcontextprotocol/sdk/client/stdio.js" : "@modelcontextprotocol/client/stdio")
const one = new Client({ name: "findings", version: "1" })
const command = server === "server.py" ? process.env.PYTHON_2 : "node"
await one.connect(new StdioClientTransport({ command, args: [server], stderr: "ignore" }))
const said = { list: await one.listTools().then(list => list.tools.length, error => error.message.slice(0, 26)) }
for (const name of tools) said[name] = await one.callTool({ name, arguments: {} }).then(() => "taken", () => "refused")
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
    command = os.environ["PYTHON_2"] if sys.argv[1] == "server.py" else "node"
    with open(os.devnull, "w") as nowhere:
        async with stdio_client(StdioServerParameters(command=command, args=[sys.argv[1]]), errlog=nowhere) as streams:
            async with ClientSession(*streams) as client:
                await client.initialize()
                said = {"list": len((await client.list_tools()).tools)}
                for tool in sys.argv[2:]:
                    try:
                        await client.call_tool(tool, {})
                        said[tool] = "taken"
                    except RuntimeError:
                        said[tool] = "refused"
                print(json.dumps(said))


anyio.run(main)
PY
judge 200 <<'PY'
from wire import *

work = os.environ["WORK"]
os.environ["PYTHON_2"] = f"{work}/mcp-2/bin/python"
clients = {"TypeScript 1": ["node", "client.mjs", "1"], "TypeScript 2": ["node", "client.mjs", "2"],
           "Python 1": [f"{work}/mcp-1/bin/python", "client.py"], "Python 2": [f"{work}/mcp-2/bin/python", "client.py"]}
javascript = {name: {"list": 2, "letters": "taken" if "Type" in name else "refused", "plain": "taken"} for name in clients}
python = {"TypeScript 1": {"list": "Invalid regular expression", "caseless": "taken", "ended": "taken", "plain": "taken"},
          "TypeScript 2": {"list": 3, "caseless": "refused", "ended": "refused", "plain": "taken"}}
python["Python 1"] = python["Python 2"] = {"list": 3, "caseless": "taken", "ended": "refused", "plain": "taken"}
facts = []
for server, wanted, tools in (("server.py", python, ["caseless", "ended", "plain"]), ("server.mjs", javascript, ["letters", "plain"])):
    for name, command in clients.items():
        run = subprocess.run([*command, server, *tools], capture_output=True, text=True, timeout=60, cwd="node")
        said = json.loads(run.stdout)
        show(f"{name} with {server}: {said}")
        facts.append((said == wanted[name], f"{name} with {server}"))
finish(*facts)
PY
