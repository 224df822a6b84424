#!/usr/bin/env bash
# Guess: whether a silent call of 65 seconds works behind nginx, with its limit of 60 seconds, is about nginx alone: it fails for each
#        server, or the stream of events keeps it alive for each.
# Seen:  it works with the SDKs of Python and TypeScript, which write a comment into the stream of a call every 15 seconds. The Go
#        SDK and mcp-go write nothing, not even the headers, until the answer is there: after a minute the client has a 504 with a
#        page of HTML. The Go SDK's tool is carried out all the same; mcp-go cancels it.
# With:  nginx 1.22.1 (Debian 12), mcp 2.3.0 (PyPI), @modelcontextprotocol/sdk 1.32.2, server 2.4.0 with node 2.1.2 (npm), Node 20,
#        github.com/modelcontextprotocol/go-sdk 1.8.0, github.com/mark3labs/mcp-go 1.2.1.
# Why:   a configuration of nginx that was tested with a server in Python loses every call above a minute when a server in Go is
#        put behind it, and a repeated call does its work twice.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need go
deb_install nginx=1.22.1-9+deb12u11
venv_install "$WORK/python" mcp==2.3.0
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/server@2.4.0 @modelcontextprotocol/node@2.1.2 zod@4
cat >server.py <<'PY'
import asyncio
import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("toy")


@server.tool()
async def wait() -> str:
    await asyncio.sleep(65)
    print("carried out", flush=True)
    return "done"


server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
PY
cat >node/one.mjs <<'JS'
import { randomUUID } from "node:crypto";
import { createMcpExpressApp } from "@modelcontextprotocol/sdk/server/express.js";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
const server = new McpServer({ name: "toy", version: "1" });
server.registerTool("wait", {}, async () => {
  await new Promise((resolve) => setTimeout(resolve, 65000));
  console.log("carried out");
  return { content: [{ type: "text", text: "done" }] };
});
const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: randomUUID });
await server.connect(transport);
const app = createMcpExpressApp();
app.all("/mcp", (request, response) => transport.handleRequest(request, response, request.body));
app.listen(Number(process.argv[2]), "127.0.0.1");
JS
cat >node/two.mjs <<'JS'
import { createServer } from "node:http";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, McpServer } from "@modelcontextprotocol/server";
const handler = createMcpHandler(() => {
  const server = new McpServer({ name: "toy", version: "1" });
  server.registerTool("wait", {}, async () => {
    await new Promise((resolve) => setTimeout(resolve, 65000));
    console.log("carried out");
    return { content: [{ type: "text", text: "done" }] };
  });
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
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type none struct{}

func main() {
	s := mcp.NewServer(&mcp.Implementation{Name: "toy", Version: "1"}, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "wait"}, func(ctx context.Context, _ *mcp.CallToolRequest, _ none) (*mcp.CallToolResult, any, error) {
		select {
		case <-ctx.Done():
			fmt.Println("cancelled")
			return nil, nil, ctx.Err()
		case <-time.After(65 * time.Second):
		}
		fmt.Println("carried out")
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil, nil
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
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func main() {
	s := server.NewMCPServer("toy", "1")
	s.AddTool(mcp.NewTool("wait"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		select {
		case <-ctx.Done():
			fmt.Println("cancelled")
			return nil, ctx.Err()
		case <-time.After(65 * time.Second):
		}
		fmt.Println("carried out")
		return mcp.NewToolResultText("done"), nil
	})
	server.NewStreamableHTTPServer(s).Start("127.0.0.1:" + os.Args[1])
}
GO
front=$(free_port)
begin() { # NAME COMMAND…: the port is its last argument
    local name=$1 port
    shift
    port=$(free_port)
    "$@" "$port" >"$name.log" 2>&1 &
    echo "location = /$name { proxy_pass http://127.0.0.1:$port/mcp; }" >>locations
    wait_for 90 listens "$port" || unable "$name does not listen: $(tail -1 "$name.log")"
}
begin python python/bin/python server.py
begin typescript-1 node node/one.mjs
begin typescript-2 node node/two.mjs
begin go-sdk ./go-sdk-server
begin mcp-go ./mcp-go-server
cat >nginx.conf <<CONF
daemon off;
master_process off;
pid $WORK/nginx.pid;
error_log $WORK/nginx.log;
events {}
http {
    access_log off;
    client_body_temp_path $WORK/body;
    proxy_temp_path $WORK/proxy;
    fastcgi_temp_path $WORK/fastcgi;
    uwsgi_temp_path $WORK/uwsgi;
    scgi_temp_path $WORK/scgi;
    server {
        listen 127.0.0.1:$front;
        proxy_http_version 1.1;
        $(cat locations)
    }
}
CONF
nginx -c "$WORK/nginx.conf" -e "$WORK/nginx.log" &
wait_for 20 listens "$front" || unable "nginx: $(tail -1 nginx.log)"
judge 120 "$front" <<'PY'
import sys

from wire import *

wanted = {
    "python": (200, "done", "carried out"),
    "typescript-1": (200, "done", "carried out"),
    "typescript-2": (200, "done", "carried out"),
    "go-sdk": (504, "no answer", "carried out"),
    "mcp-go": (504, "no answer", "cancelled"),
}
seen = {}


def trial(name):
    client = Http(int(sys.argv[1]), f"/{name}")
    client.hello()
    begun = time.monotonic()
    status, _, messages = client.request("tools/call", {"name": "wait", "arguments": {}}, timeout=90)
    after = time.monotonic() - begun
    answer = next((text_of(one["result"]) for one in messages if isinstance(one, dict) and "result" in one), "no answer")
    time.sleep(max(0.0, 70 - after))
    tool = next((line for line in open(f"{name}.log").read().splitlines() if line in ("carried out", "cancelled")), "at work")
    seen[name] = (status, answer, tool)
    show(f"{name}: after {after:.0f} s status {status}, {answer}; the tool: {tool}")


threads = [threading.Thread(target=trial, args=(name,)) for name in wanted]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
finish(*((seen.get(name) == expected, name) for name, expected in wanted.items()))
PY
