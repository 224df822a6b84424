#!/usr/bin/env bash
# Guess: a client library checks a structured answer against the tool's output schema, or it never does.
# Seen:  both TypeScript clients check it only when the program listed the tools before, over the same client object: the
#        same call returns the wrong answer as a success without that, and throws with it. The AI SDK lists and never
#        checks. Both Python SDKs list by themselves before the answer of the first call, and refuse it.
# With:  @modelcontextprotocol/sdk 1.32.2, @modelcontextprotocol/client 2.4.0, @ai-sdk/mcp 2.0.99 (npm),
#        mcp 1.30.0 and 2.3.0 (PyPI); the server is a few lines of Python.
# Why:   whether a wrong answer is a failure depends on the order of two calls and on the language; a server hears one
#        more tools/list with each Python session; a test without a list proves nothing about schemas.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0 @ai-sdk/mcp@2.0.99
venv_install "$WORK/v1" mcp==1.30.0
venv_install "$WORK/v2" mcp==2.3.0

cat >"$WORK/toy.py" <<'PY'
"""One tool whose answer does not fit its output schema. Each request's method is noted in the file of argv[1]."""
import json, sys
schema = {"type": "object", "properties": {"port": {"type": "integer"}}, "required": ["port"]}
for line in sys.stdin:
    message = json.loads(line)
    with open(sys.argv[1], "a") as heard:
        print(message["method"], file=heard)
    if "id" not in message:
        continue
    results = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
        "tools/list": {"tools": [{"name": "port", "inputSchema": {"type": "object"}, "outputSchema": schema}]},
        "tools/call": {"content": [{"type": "text", "text": "{}"}], "structuredContent": {"port": "none"}},
    }
    found = results.get(message["method"])
    said = {"result": found} if found else {"error": {"code": -32601, "message": "Method not found"}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}), flush=True)
PY
cat >node/sdk.mjs <<'JS'
const [client, transport, heard, list] = process.argv.slice(2)
const { Client } = await import(client)
const { StdioClientTransport } = await import(transport)
const one = new Client({ name: "findings", version: "1" })
await one.connect(new StdioClientTransport({ command: "python3", args: ["../toy.py", heard] }))
if (list === "list") await one.listTools()
await one.callTool({ name: "port", arguments: {} }).then(() => console.log("taken"), () => console.log("refused"))
process.exit(0)
JS
cat >node/ai.mjs <<'JS'
import { createMCPClient } from "@ai-sdk/mcp"
import { Experimental_StdioMCPTransport } from "@ai-sdk/mcp/mcp-stdio"
const transport = new Experimental_StdioMCPTransport({ command: "python3", args: ["../toy.py", process.argv[2]] })
const { port } = await (await createMCPClient({ transport })).tools()
const context = { toolCallId: "1", messages: [] }
await port.execute({}, context).then(() => console.log("taken"), () => console.log("refused"))
process.exit(0)
JS
cat >client.py <<'PY'
import anyio, sys
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
async def main():
    async with stdio_client(StdioServerParameters(command="python3", args=["toy.py", sys.argv[1]])) as streams:
        async with ClientSession(*streams) as client:
            await client.initialize()
            try:
                await client.call_tool("port", {})
                print("taken")
            except RuntimeError:
                print("refused")
anyio.run(main)
PY

judge 200 <<'PY'
import os, subprocess
from wire import *

work = os.environ["WORK"]
one = ["@modelcontextprotocol/sdk/client/index.js", "@modelcontextprotocol/sdk/client/stdio.js"]
two = ["@modelcontextprotocol/client", "@modelcontextprotocol/client/stdio"]
runs = {
    "sdk 1, no list": (["node", "sdk.mjs", *one], ["-"], "taken", 0),
    "sdk 1, after a list": (["node", "sdk.mjs", *one], ["list"], "refused", 1),
    "client 2, no list": (["node", "sdk.mjs", *two], ["-"], "taken", 0),
    "client 2, after a list": (["node", "sdk.mjs", *two], ["list"], "refused", 1),
    "AI SDK": (["node", "ai.mjs"], [], "taken", 1),
    "Python 1": ([f"{work}/v1/bin/python", "client.py"], [], "refused", 1),
    "Python 2": ([f"{work}/v2/bin/python", "client.py"], [], "refused", 1),
}
facts = []
for number, (name, (command, more, wanted, lists)) in enumerate(runs.items()):
    heard = f"{work}/heard{number}"
    folder = "node" if command[0] == "node" else "."
    said = subprocess.run([*command, heard, *more], capture_output=True, text=True, timeout=60, cwd=folder).stdout.strip()
    listed = open(heard).read().split().count("tools/list")
    show(f"{name}: the wrong answer was {said}, tools/list was asked {listed} times")
    facts.append((said == wanted and listed == lists, name))
finish(*facts)
PY
