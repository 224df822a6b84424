#!/usr/bin/env bash
# Guess: an answer of a megabyte, a screenshot or a log, comes through to each client, or is cut by the server; over HTTP as over
#        stdio; text of 600 kB is below a limit of 1 MiB.
# Seen:  the clients of the Python SDK 2 and of FastMCP 4 refuse each event of more than 1 MiB that comes in a stream of events:
#        "Server-sent event exceeded the 1048576 byte limit", after the tool has run. What a tool of Python returns as a str is
#        sent twice, as text and as structured content, so 600 kB are too many. Servers of the Python SDK 1 and of the TypeScript
#        SDK answer in such a stream by default; those of the Python SDK 2 answer these clients in one JSON body, which has no
#        limit. Nor has stdio, nor have the clients of the Python SDK 1, of TypeScript and of Go. Over the older SSE transport
#        the same client loses its connection with the answer, and `sse_client` has no argument for it, as
#        `streamable_http_client` has (max_sse_event_size).
# With:  mcp 2.3.0 and 1.30.0, fastmcp 4.2.3 (PyPI), @modelcontextprotocol/sdk 1.32.2 with zod 4.6.7 (npm), Node 20.
# Why:   a client that is moved from the SDK's version 1 to 2, or a server from stdio to HTTP, fails for the largest answers
#        alone, and a tool that changes something has done so.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/sdk@1.32.2 zod@4.6.7
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
cat >server.py <<'PY'
import sys

how, port = sys.argv[1:]


def big(size: int) -> str:
    return "x" * size


try:
    from mcp.server.fastmcp import FastMCP

    server = FastMCP("toy", host="127.0.0.1", port=int(port))
    options = {}
except ImportError:
    from mcp.server.mcpserver import MCPServer

    server = MCPServer("toy")
    options = {"host": "127.0.0.1", "port": int(port)} if how != "stdio" else {}
server.add_tool(big)
server.run(how, **options)
PY
cat >node/server.mjs <<'JS'
import http from "node:http"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js"
import { z } from "zod"

http.createServer(async (request, response) => {
  const server = new McpServer({ name: "toy", version: "1" })
  server.registerTool("big", { inputSchema: { size: z.number() } }, ({ size }) => ({ content: [{ type: "text", text: "x".repeat(size) }] }))
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined })
  await server.connect(transport)
  await transport.handleRequest(request, response)
}).listen(Number(process.argv[2]), "127.0.0.1")
JS
cat >client.py <<'PY'
import contextlib
import sys

import anyio
from mcp import ClientSession

which, target, *sizes = sys.argv[1:]


@contextlib.asynccontextmanager
async def session():
    if which == "fastmcp":
        from fastmcp import Client

        async with Client(target) as client:
            yield client.call_tool_mcp
        return
    if target == "stdio":
        from mcp import StdioServerParameters
        from mcp.client.stdio import stdio_client

        streams = stdio_client(StdioServerParameters(command=sys.executable, args=["server.py", "stdio", "0"]))
    elif target.endswith("/sse"):
        from mcp.client.sse import sse_client

        streams = sse_client(target)
    elif which == "mcp-1":
        from mcp.client.streamable_http import streamablehttp_client

        streams = streamablehttp_client(target)
    else:
        from mcp import Client

        async with Client(target) as client:
            yield client.call_tool
        return
    async with streams as (read, write, *_), ClientSession(read, write) as client:
        await client.initialize()
        yield client.call_tool


async def main():
    async with session() as call:
        for size in sizes:
            try:
                with anyio.fail_after(20):
                    answer = await call("big", {"size": int(size)})
                print(len(answer.content[0].text), flush=True)
            except Exception as error:
                print("limit" if "1048576 byte limit" in str(error) else "lost", flush=True)


try:
    anyio.run(main)
except BaseException as error:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    print(f"raised {type(error).__name__}")
PY
cat >node/client.mjs <<'JS'
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"

const [url, ...sizes] = process.argv.slice(2)
const client = new Client({ name: "findings", version: "1" })
await client.connect(new StreamableHTTPClientTransport(new URL(url)))
for (const size of sizes) console.log((await client.callTool({ name: "big", arguments: { size: Number(size) } })).content[0].text.length)
process.exit(0)
JS
declare -A url
serve() { # NAME PATH COMMAND…: PORT stands for a free one
    local name=$1 path=$2 port
    port=$(free_port)
    shift 2
    "${@/PORT/$port}" >"$name.log" 2>&1 &
    wait_for 60 listens "$port" || unable "$name does not listen: $(tail -1 "$name.log")"
    url[$name]="http://127.0.0.1:$port$path"
}
serve python1 /mcp mcp-1/bin/python server.py streamable-http PORT
serve sse /sse mcp-1/bin/python server.py sse PORT
serve python2 /mcp mcp-2/bin/python server.py streamable-http PORT
serve typescript /mcp node node/server.mjs PORT
judge 150 "${url[python1]}" "${url[sse]}" "${url[python2]}" "${url[typescript]}" <<'PY'
import sys

from wire import *

url = dict(zip(("Python 1", "SSE", "Python 2", "TypeScript"), sys.argv[1:]), stdio="stdio")
CLIENTS = {"Python 1": ["mcp-1/bin/python", "client.py", "mcp-1"], "Python 2": ["mcp-2/bin/python", "client.py", "mcp-2"],
           "FastMCP 4": ["fastmcp/bin/python", "client.py", "fastmcp"], "TypeScript 1": ["node", "node/client.mjs"]}
WHOLE, REFUSED = ["600000", "1200000", "3"], ["limit", "limit", "3"]
facts = []


def check(client, server, wanted):
    said = subprocess.run([*CLIENTS[client], url[server], "600000", "1200000", "3"], capture_output=True, text=True, timeout=100).stdout.split("\n")
    said = [line for line in said if line]
    show(f"client {client}, server {server}: {said}")
    facts.append((said == wanted, f"{client} with {server}"))


for client, wanted in (("Python 1", WHOLE), ("TypeScript 1", WHOLE), ("Python 2", REFUSED), ("FastMCP 4", REFUSED)):
    check(client, "Python 1", wanted)
for client in ("Python 2", "FastMCP 4"):
    check(client, "TypeScript", ["600000", "limit", "3"])  # its text is sent once
    check(client, "Python 2", WHOLE)
check("Python 2", "stdio", WHOLE)
check("Python 1", "SSE", WHOLE)
check("Python 2", "SSE", ["lost", "lost", "lost", "raised SSEError"])
finish(*facts)
PY
