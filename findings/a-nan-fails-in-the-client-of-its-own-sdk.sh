#!/usr/bin/env bash
# Guess: a tool that returns NaN or an infinite number (a sensor without a value, a rate of 0/0) answers an error, or null
#        that its schema allows; text and structured content say the same.
# Seen:  the Python SDK sends null for both, as a success, where its own schema says `number`; its own client, and that in
#        TypeScript, refuse the answer. Of a plain float the text says "NaN" or "Infinity" beside the structured null; of a
#        model both say null. FastMCP answers isError for a plain float, and sends null in a model. The TypeScript SDK
#        answers isError.
# With:  mcp 1.30.0 and 2.3.0, fastmcp 4.2.3 (PyPI), @modelcontextprotocol/sdk 1.32.2, zod 4.6.7 (npm).
# Why:   a status with one missing reading fails as a whole, in the client, with an error about a schema; the text shows
#        what the structured content does not have.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/sdk@1.32.2 zod@4.6.7
for version in mcp-1=mcp==1.30.0 mcp-2=mcp==2.3.0 fastmcp=fastmcp==4.2.3; do venv_install "$WORK/${version%%=*}" "${version#*=}"; done
cat >server.py <<'PY'
import sys

from pydantic import BaseModel

if sys.argv[1] == "fastmcp":
    from fastmcp import FastMCP as Server
elif sys.argv[1] == "mcp-1":
    from mcp.server.fastmcp import FastMCP as Server
else:
    from mcp.server.mcpserver import MCPServer as Server
server = Server("numbers")


class Reading(BaseModel):
    value: float


@server.tool()
def plain() -> float:
    return float("nan")


@server.tool()
def endless() -> float:
    return float("inf")


@server.tool()
def model() -> Reading:
    return Reading(value=float("nan"))


server.run()
PY
cat >node/server.mjs <<'JS'
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js"
import { z } from "zod"
const server = new McpServer({ name: "numbers", version: "1" })
server.registerTool("model", { outputSchema: z.object({ value: z.number() }) }, async () =>
  ({ content: [], structuredContent: { value: NaN } }))
await server.connect(new StdioServerTransport())
JS
cat >node/client.mjs <<'JS'
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js"
const [command, ...args] = process.argv.slice(2)
const one = new Client({ name: "findings", version: "1" })
await one.connect(new StdioClientTransport({ command, args, stderr: "ignore" }))
const said = {}
for (const { name } of (await one.listTools()).tools)
  said[name] = await one.callTool({ name, arguments: {} }).then(answer => answer.isError ? "isError" : "taken", () => "refused")
console.log(JSON.stringify(said))
process.exit(0)
JS
cat >client.py <<'PY'
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
                        answer = (await client.call_tool(tool.name, {})).model_dump(by_alias=True)
                        said[tool.name] = "isError" if answer["isError"] else "taken"
                    except RuntimeError:
                        said[tool.name] = "refused"
                print(json.dumps(said))


anyio.run(main)
PY
judge 240 <<'PY'
from wire import *

work = os.environ["WORK"]
null = {"plain": ("NaN", None), "endless": ("Infinity", None), "model": ('{"value":null}', None)}
wanted = {"mcp-1": null, "mcp-2": null, "fastmcp": {**null, "plain": "isError", "endless": "isError"}, "TypeScript": {"model": "isError"}}
facts = []
for name in wanted:
    command = ["node", f"{work}/node/server.mjs"] if name == "TypeScript" else [f"{work}/{name}/bin/python", f"{work}/server.py", name]
    server = Stdio(*command)
    server.hello()
    schemas = {tool["name"]: tool["outputSchema"]["properties"] for tool in server.request("tools/list", {})["result"]["tools"]}
    sent = {}
    for tool, properties in schemas.items():
        [(field, schema)] = properties.items()
        facts.append((schema["type"] == "number", f"{name}, {tool}: its schema"))
        result = server.call(tool)["result"]
        text = text_of(result).replace(" ", "").replace("\n", "")
        sent[tool] = "isError" if result.get("isError") else (text, result["structuredContent"][field])
    server.kill()
    own = "mcp-1" if name == "mcp-1" else "mcp-2"
    runs = [[f"{work}/{own}/bin/python", "client.py", *command], ["node", "node/client.mjs", *command]]
    heard = [json.loads(subprocess.run(run, capture_output=True, text=True, timeout=100).stdout) for run in runs]
    show(f"{name}: sent {sent}; a client in Python: {heard[0]}, in TypeScript: {heard[1]}")
    outcome = {tool: "isError" if value == "isError" else "refused" for tool, value in wanted[name].items()}
    facts += [(sent == wanted[name], f"{name}: what it sends"), (heard == [outcome] * 2, f"{name}: what clients do")]
finish(*facts)
PY
