#!/usr/bin/env bash
# Guess: listing gives all tools, a cancelled call is cancelled at the server, and close ends the server's processes.
# Seen:  each client does some of it. Pages: TypeScript 1 and both Python sessions return the first page without a word,
#        TypeScript 2 and the AI SDK all pages. Cancelling: the AI SDK and Python 1 send no notification. Closing, with a
#        shell between client and server: all three JavaScript clients leave the server running, both Python SDKs end it.
# With:  @modelcontextprotocol/sdk 1.32.2, @modelcontextprotocol/client 2.4.0, @ai-sdk/mcp 2.0.99 (npm),
#        mcp 1.30.0 and 2.3.0 (PyPI); the server is a few lines of Python.
# Why:   a tool on a second page is invisible to some clients; a server works on for nobody; a wrapper (sh -c, npx, uv run)
#        leaves a server behind for each session, unless the server itself ends with its stdin.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0 @ai-sdk/mcp@2.0.99
venv_install "$WORK/v1" mcp==1.30.0
venv_install "$WORK/v2" mcp==2.3.0

cat >toy.py <<'PY'
"""Three tools on three pages; a call is never answered. argv[1] gets the pid, then each method that comes.
It stays after the end of its input, as servers do that have other work."""
import json, os, sys, time
def note(text):
    with open(sys.argv[1], "a") as heard:
        print(text, file=heard)
note(os.getpid())
for line in sys.stdin:
    message = json.loads(line)
    note(message["method"])
    params = message.get("params") or {}
    if "id" not in message or message["method"] == "tools/call":
        continue
    page = int(params.get("cursor") or 0)
    listed = {"tools": [{"name": f"t{page}", "inputSchema": {"type": "object"}}]} | ({"nextCursor": str(page + 1)} if page < 2 else {})
    info = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}}
    found = {"initialize": info, "tools/list": listed}.get(message["method"])
    said = {"result": found} if found else {"error": {"code": -32601, "message": "Method not found"}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}), flush=True)
time.sleep(300)
PY
# Each client: list, call and cancel after half a second, close. The shell stays the server's parent.
cat >node/sdk.mjs <<'JS'
const [client, transport, heard] = process.argv.slice(2)
const { Client } = await import(client)
const { StdioClientTransport } = await import(transport)
const one = new Client({ name: "findings", version: "1" })
await one.connect(new StdioClientTransport({ command: "sh", args: ["-c", `python3 ../toy.py ${heard}; true`] }))
console.log((await one.listTools()).tools.length)
const options = { signal: AbortSignal.timeout(500) }
const call = { name: "t0", arguments: {} }
await (client.includes("index.js") ? one.callTool(call, undefined, options) : one.callTool(call, options)).catch(() => {})
await new Promise(done => setTimeout(done, 1000))
await one.close()
process.exit(0)
JS
cat >node/ai.mjs <<'JS'
import { createMCPClient } from "@ai-sdk/mcp"
import { Experimental_StdioMCPTransport } from "@ai-sdk/mcp/mcp-stdio"
const command = { command: "sh", args: ["-c", `python3 ../toy.py ${process.argv[2]}; true`] }
const one = await createMCPClient({ transport: new Experimental_StdioMCPTransport(command) })
const tools = await one.tools()
console.log(Object.keys(tools).length)
await tools.t0.execute({}, { toolCallId: "1", messages: [], abortSignal: AbortSignal.timeout(500) }).catch(() => {})
await new Promise(done => setTimeout(done, 1000))
await one.close()
process.exit(0)
JS
cat >client.py <<'PY'
import anyio, sys
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
async def main():
    server = StdioServerParameters(command="sh", args=["-c", f"python3 toy.py {sys.argv[1]}; true"])
    async with stdio_client(server) as streams:
        async with ClientSession(*streams) as client:
            await client.initialize()
            print(len((await client.list_tools()).tools))
            with anyio.move_on_after(0.5):
                await client.call_tool("t0", {})
            await anyio.sleep(1)
anyio.run(main)
PY

judge 200 <<'PY'
import os, subprocess
from wire import *

work = os.environ["WORK"]
one = ["@modelcontextprotocol/sdk/client/index.js", "@modelcontextprotocol/sdk/client/stdio.js"]
two = ["@modelcontextprotocol/client", "@modelcontextprotocol/client/stdio"]
runs = {  # tools listed, cancellation sent, server left
    "sdk 1": (["node", "sdk.mjs", *one], (1, True, True)),
    "client 2": (["node", "sdk.mjs", *two], (3, True, True)),
    "AI SDK": (["node", "ai.mjs"], (3, False, True)),
    "Python 1": ([f"{work}/v1/bin/python", "client.py"], (1, False, False)),
    "Python 2": ([f"{work}/v2/bin/python", "client.py"], (1, True, False)),
}
facts = []
for number, (name, (command, wanted)) in enumerate(runs.items()):
    heard = f"{work}/heard{number}"
    folder = "node" if command[0] == "node" else "."
    said = subprocess.run([*command, heard], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60,
                          cwd=folder).stdout  # the server that is left holds the client's stderr
    pid, *methods = open(heard).read().split()
    seen = int(said), "notifications/cancelled" in methods, os.path.exists(f"/proc/{pid}")
    show(f"{name}: {seen[0]} of 3 tools, cancellation sent: {seen[1]}, server left after close: {seen[2]}")
    facts.append((seen == wanted, name))
finish(*facts)
PY
