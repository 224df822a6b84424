#!/usr/bin/env bash
# Guess: a call with 200 kB of arguments, a file or a screenshot, works over HTTP as over stdio, and several megabytes do, too; what is
#        too large is a protocol error that the client shows.
# Seen:  the TypeScript SDK 1's own `createMcpExpressApp()` refuses what is above 100 kB, with a page of HTML, which its client shows
#        as the error. Both Python SDKs, the TypeScript SDK 2 and the Go SDK take 3 MB and refuse 5 MB, with 413 or by closing the
#        connection; mcp-go takes 20 MB. After a 413 the Python SDK 2's client says "Server returned an error response", no more.
# With:  mcp 1.30.0 and 2.3.0 (PyPI), @modelcontextprotocol/sdk 1.32.2, server 2.4.0 with node 2.1.2 (npm), Node 20,
#        github.com/modelcontextprotocol/go-sdk 1.8.0, github.com/mark3labs/mcp-go 1.2.1.
# Why:   a tool that writes a file works in each test and fails for the first real picture; moved from stdio to HTTP, or from one SDK
#        to another, the same call fails, with a text that names no limit.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need go
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/server@2.4.0 @modelcontextprotocol/node@2.1.2 zod@4
cat >server.py <<'PY'
import sys

if sys.argv[1] == "mcp-1":
    from mcp.server.fastmcp import FastMCP

    server, where = FastMCP("toy", port=int(sys.argv[2])), {}
else:
    from mcp.server.mcpserver import MCPServer

    server, where = MCPServer("toy"), {"port": int(sys.argv[2])}


@server.tool()
async def size(text: str) -> str:
    return str(len(text))


server.run("streamable-http", **where)
PY
cat >client.py <<'PY'
import asyncio
import sys

from mcp import Client


async def main():
    async with Client(f"http://127.0.0.1:{sys.argv[1]}/mcp", mode="legacy") as client:
        try:
            await asyncio.wait_for(client.call_tool("size", {"text": "x" * 5_000_000}), 20)
        except Exception as error:
            print(f"{type(error).__name__}: {error}")


asyncio.run(main())
PY
cat >node/one.mjs <<'JS'
import { randomUUID } from "node:crypto";
import { createMcpExpressApp } from "@modelcontextprotocol/sdk/server/express.js";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { z } from "zod";
const app = createMcpExpressApp();
const sessions = {};
app.all("/mcp", async (request, response) => {
  let transport = sessions[request.headers["mcp-session-id"]];
  if (!transport) {
    transport = new StreamableHTTPServerTransport({ sessionIdGenerator: randomUUID, onsessioninitialized: (id) => (sessions[id] = transport) });
    const server = new McpServer({ name: "toy", version: "1" });
    server.registerTool("size", { inputSchema: { text: z.string() } }, async ({ text }) => ({ content: [{ type: "text", text: String(text.length) }] }));
    await server.connect(transport);
  }
  await transport.handleRequest(request, response, request.body);
});
app.listen(Number(process.argv[2]), "127.0.0.1");
JS
cat >node/client.mjs <<'JS'
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
const client = new Client({ name: "toy", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${process.argv[2]}/mcp`)));
await client.callTool({ name: "size", arguments: { text: "x".repeat(200000) } }).catch((error) => console.log(`${error.name}: ${error.message}`));
await client.close();
JS
cat >node/two.mjs <<'JS'
import { createServer } from "node:http";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";
const handler = createMcpHandler(() => {
  const server = new McpServer({ name: "toy", version: "1" });
  server.registerTool("size", { inputSchema: z.object({ text: z.string() }) }, async ({ text }) => ({ content: [{ type: "text", text: String(text.length) }] }));
  return server;
});
createServer(toNodeHandler(handler)).listen(Number(process.argv[2]), "127.0.0.1");
JS
go_build go-sdk-server github.com/modelcontextprotocol/go-sdk@v1.8.0 <<'GO'
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type sized struct {
	Text string `json:"text"`
}

func main() {
	s := mcp.NewServer(&mcp.Implementation{Name: "toy", Version: "1"}, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "size"}, func(_ context.Context, _ *mcp.CallToolRequest, in sized) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprint(len(in.Text))}}}, nil, nil
	})
	http.ListenAndServe("127.0.0.1:"+os.Args[1], mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, nil))
}
GO
go_build mcp-go-server github.com/mark3labs/mcp-go@v1.2.1 <<'GO'
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func main() {
	s := server.NewMCPServer("toy", "1")
	s.AddTool(mcp.NewTool("size", mcp.WithString("text")), func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(fmt.Sprint(len(r.GetString("text", "")))), nil
	})
	server.NewStreamableHTTPServer(s).Start("127.0.0.1:" + os.Args[1])
}
GO
begin() { # NAME COMMAND…: the port is its last argument
    local name=$1 port
    shift
    port=$(free_port)
    "$@" "$port" >"$name.log" 2>&1 &
    echo "$name $port" >>ports
    wait_for 90 listens "$port" || unable "$name does not listen: $(tail -1 "$name.log")"
}
begin mcp-1 mcp-1/bin/python server.py mcp-1
begin mcp-2 mcp-2/bin/python server.py mcp-2
begin ts-1 node node/one.mjs
begin ts-2 node node/two.mjs
begin go-sdk ./go-sdk-server
begin mcp-go ./mcp-go-server
judge 120 <<'PY'
from wire import *

ports = dict(line.split() for line in open("ports"))
facts = []
for name, port in ports.items():
    client = Http(int(port))
    client.hello()
    taken = {}
    for size in (90_000, 200_000, 3_000_000, 5_000_000, 20_000_000):
        try:
            status, headers, messages = client.request("tools/call", {"name": "size", "arguments": {"text": "x" * size}}, timeout=40)
            kind = {key.lower(): value for key, value in headers.items()}.get("content-type", "no type").split(";")[0]
            taken[size] = "taken" if status == 200 else f"{status} {kind}"
        except (ConnectionError, http.client.HTTPException):
            taken[size] = "connection closed"
    show(f"{name}: " + ", ".join(f"{size // 1000} kB {said}" for size, said in taken.items()))
    largest = max((size for size, said in taken.items() if said == "taken"), default=0)
    wanted = {"ts-1": 90_000, "mcp-go": 20_000_000}.get(name, 3_000_000)
    facts.append((largest == wanted, f"{name} takes up to {wanted}"))
    if name == "ts-1":
        facts.append((taken[200_000] == "413 text/html", "a page of HTML"))
shown = subprocess.run(["node", "node/client.mjs", ports["ts-1"]], capture_output=True, text=True, timeout=40).stdout.strip()
show(f"the TypeScript SDK 1's client shows {shown[:160]!r}")
said = subprocess.run(["mcp-2/bin/python", "client.py", ports["mcp-2"]], capture_output=True, text=True, timeout=60).stdout.strip()
show(f"the Python SDK 2's client shows {said[:200]!r}")
facts += [("<!DOCTYPE html>" in shown, "the page is the error's text"), ("Server returned an error response" in said and "413" not in said, "Python's names no reason")]
finish(*facts)
PY
