#!/usr/bin/env bash
# Guess: a structured answer that a server of the TypeScript SDK checked against the tool's own output schema passes the same
#        check in a client of that SDK.
# Seen:  the server checks with zod, which ignores a field that is not in the schema and fills in a default, and then sends
#        the answer as the tool returned it. The JSON Schema that it lists has `additionalProperties: false`, and requires
#        the field with the default. So the answer is sent as a success, and the clients of both TypeScript versions and of
#        both Python versions refuse it, after the tool has done its work. `trim()` and `toLowerCase()` are not applied.
# With:  @modelcontextprotocol/sdk 1.32.2, @modelcontextprotocol/server and client 2.4.0, zod 4.6.7 (npm), mcp 1.30.0 and
#        2.3.0 (PyPI), each client with each of the two servers.
# Why:   a tool that hands on a row of a database fails on the day the table gets a column, but only in clients that check:
#        the service was started, and its start is an error. The server's own tests pass.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0 @modelcontextprotocol/server@2.4.0 zod@4.6.7
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
cat >node/server.mjs <<'JS'
const old = process.argv[2] === "1"
const { McpServer } = await import(old ? "@modelcontextprotocol/sdk/server/mcp.js" : "@modelcontextprotocol/server")
const { StdioServerTransport } = await import(old ? "@modelcontextprotocol/sdk/server/stdio.js" : "@modelcontextprotocol/server/stdio")
const { z } = await import("zod")
const server = new McpServer({ name: "toy", version: "1" })
const tool = (name, outputSchema, structuredContent) => server.registerTool(name, { outputSchema }, async () =>
  ({ content: [{ type: "text", text: JSON.stringify(structuredContent) }], structuredContent }))
tool("fits", z.object({ id: z.number() }), { id: 1 })
tool("more", z.object({ id: z.number() }), { id: 1, name: "web" })
tool("less", z.object({ state: z.string().default("running") }), {})
tool("spaces", z.object({ name: z.string().trim().toLowerCase() }), { name: " Web " })
tool("wrong", z.object({ id: z.number() }), { id: "1" })
await server.connect(new StdioServerTransport())
JS
cat >node/client.mjs <<'JS'
const [version, server] = process.argv.slice(2)
const old = version === "1"
const { Client } = await import(old ? "@modelcontextprotocol/sdk/client/index.js" : "@modelcontextprotocol/client")
const { StdioClientTransport } = await import(old ? "@modelcontextprotocol/sdk/client/stdio.js" : "@modelcontextprotocol/client/stdio")
const one = new Client({ name: "findings", version: "1" })
await one.connect(new StdioClientTransport({ command: "node", args: ["server.mjs", server] }))
const { tools } = await one.listTools()
const said = {}
for (const { name } of tools) {
  const answer = await one.callTool({ name, arguments: {} }).catch(() => null)
  said[name] = !answer ? "refused by the client" : answer.isError ? "an error of the server" : answer.structuredContent
}
console.log(JSON.stringify(said))
process.exit(0)
JS
cat >node/client.py <<'PY'
import json
import sys

import anyio
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main():
    async with stdio_client(StdioServerParameters(command="node", args=["server.mjs", sys.argv[1]])) as streams:
        async with ClientSession(*streams) as client:
            await client.initialize()
            said = {}
            for tool in (await client.list_tools()).tools:
                try:
                    answer = (await client.call_tool(tool.name, {})).model_dump(by_alias=True)
                    said[tool.name] = "an error of the server" if answer["isError"] else answer["structuredContent"]
                except RuntimeError:
                    said[tool.name] = "refused by the client"
            print(json.dumps(said))


anyio.run(main)
PY
judge 200 <<'PY'
from wire import *

work = os.environ["WORK"]
clients = {"TypeScript 1": ["node", "client.mjs", "1"], "TypeScript 2": ["node", "client.mjs", "2"],
           "Python 1": [f"{work}/mcp-1/bin/python", "client.py"], "Python 2": [f"{work}/mcp-2/bin/python", "client.py"]}
wanted = {"fits": {"id": 1}, "more": "refused by the client", "less": "refused by the client", "spaces": {"name": " Web "},
          "wrong": "an error of the server"}
facts = []
for version in ("1", "2"):
    server = Stdio("node", "server.mjs", version, cwd="node")
    server.hello()
    listed = {tool["name"]: tool["outputSchema"] for tool in server.request("tools/list", {})["result"]["tools"]}
    sent = {name: server.call(name)["result"] for name in ("more", "less")}
    server.kill()
    show(f"server {version}: 'more' is sent as isError {sent['more'].get('isError', False)} with {sent['more']['structuredContent']}, its "
         f"schema has additionalProperties {listed['more'].get('additionalProperties')}; 'less' requires {listed['less'].get('required')}")
    facts.append((not any(one.get("isError") for one in sent.values()) and listed["more"]["additionalProperties"] is False
                  and listed["less"]["required"] == ["state"], f"server {version}"))
    for name, command in clients.items():
        said = json.loads(subprocess.run([*command, version], capture_output=True, text=True, timeout=60, cwd="node").stdout)
        show(f"{name} with server {version}: {said}")
        facts.append((said == wanted, f"{name} with server {version}"))
finish(*facts)
PY
