#!/usr/bin/env bash
# Guess: a call with the id of a session that its client ended with DELETE, or that a restart of the server lost, is a 404, as the
#        protocol says, so that the client begins anew; a server that gives out session ids knows them.
# Seen:  mcp-go and tmcp give out ids and do not look them up: after DELETE, which they answer with 200, and in a new process, they
#        answer the calls of the old session, without `initialize`. mcp-go refuses only an id that is not of its own form; tmcp takes
#        any. The Python SDK 2, FastMCP for TypeScript and the Go SDK answer 404 for all of them.
# With:  github.com/mark3labs/mcp-go 1.2.1, github.com/modelcontextprotocol/go-sdk 1.8.0, tmcp 1.20.0 with @tmcp/transport-http 0.9.0 and
#        @modelcontextprotocol/node 2.1.2, fastmcp 4.20.16 (npm), Node 20, mcp 2.3.0 (PyPI).
# Why:   a client that learns of a restart by the 404 never does: what the server kept for the session (a choice, a log level, a
#        subscription) is gone, and the calls go on as if it were there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need go
venv_install "$WORK/python" mcp==2.3.0
npm_install tmcp@1.20.0 @tmcp/transport-http@0.9.0 @modelcontextprotocol/node@2.1.2 @modelcontextprotocol/server@2.4.0 fastmcp@4.20.16 zod@4
cat >server.py <<'PY'
import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("toy")


@server.tool()
async def greet() -> str:
    return "hello"


server.run("streamable-http", port=int(sys.argv[1]))
PY
cat >node/tmcp.mjs <<'JS'
import { createServer } from "node:http";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { HttpTransport } from "@tmcp/transport-http";
import { McpServer } from "tmcp";
const server = new McpServer({ name: "toy", version: "1", description: "" }, { capabilities: { tools: {} } });
server.tool({ name: "greet", description: "" }, async () => ({ content: [{ type: "text", text: "hello" }] }));
const transport = new HttpTransport(server, { path: "/mcp" });
const fetch = async (request) => (await transport.respond(request)) ?? new Response(null, { status: 404 });
createServer(toNodeHandler({ fetch })).listen(Number(process.argv[2]), "127.0.0.1");
JS
cat >node/fastmcp.mjs <<'JS'
import { FastMCP } from "fastmcp";
const server = new FastMCP({ name: "toy", version: "1.0.0" });
server.addTool({ name: "greet", description: "", execute: async () => "hello" });
await server.start({ transportType: "httpStream", httpStream: { host: "127.0.0.1", port: Number(process.argv[2]) } });
JS
go_build go-sdk-server github.com/modelcontextprotocol/go-sdk@v1.8.0 <<'GO'
package main

import (
	"context"
	"net/http"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type none struct{}

func main() {
	s := mcp.NewServer(&mcp.Implementation{Name: "toy", Version: "1"}, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "greet"}, func(context.Context, *mcp.CallToolRequest, none) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "hello"}}}, nil, nil
	})
	http.ListenAndServe("127.0.0.1:"+os.Args[1], mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, nil))
}
GO
go_build mcp-go-server github.com/mark3labs/mcp-go@v1.2.1 <<'GO'
package main

import (
	"context"
	"os"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func main() {
	s := server.NewMCPServer("toy", "1")
	s.AddTool(mcp.NewTool("greet"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText("hello"), nil
	})
	server.NewStreamableHTTPServer(s).Start("127.0.0.1:" + os.Args[1])
}
GO
judge 120 <<'PY'
import socket

from wire import *

servers = {
    "Python SDK 2": ["python/bin/python", "server.py"],
    "FastMCP (npm)": ["node", "node/fastmcp.mjs"],
    "Go SDK": ["./go-sdk-server"],
    "mcp-go": ["./mcp-go-server"],
    "tmcp": ["node", "node/tmcp.mjs"],
}
OF_ANOTHER_FORM = "2b4f7a3e-9f2c-4c51-8df1-0d4b8f0e6a11"
wanted = {name: ("404", "404", "404") for name in servers}
wanted |= {"mcp-go": ("hello", "hello", "404"), "tmcp": ("hello", "hello", "hello")}


def start(argv, port):
    server = subprocess.Popen([*argv, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return server
        except OSError:
            time.sleep(0.1)
    raise SystemExit(2)


def greet(client, session=None):
    if session:
        client.headers["Mcp-Session-Id"] = session
    status, _, messages = client.request("tools/call", {"name": "greet", "arguments": {}})
    return text_of(messages[0]["result"]) if status == 200 else str(status)


facts = []
for name, argv in servers.items():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = start(argv, port)
    one, two = Http(port), Http(port)
    one.hello()
    two.hello()
    assert greet(one) == greet(two) == "hello"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("DELETE", "/mcp", headers=one.headers)
    ended = connection.getresponse().status
    connection.close()
    after_delete = greet(one)
    server.kill()
    server.wait()
    server = start(argv, port)
    after_restart = greet(two)
    another = greet(two, OF_ANOTHER_FORM)
    server.kill()
    server.wait()
    show(f"{name}: DELETE {ended}, a call after it {after_delete}; after a restart {after_restart}; an id of another form {another}")
    facts.append(((after_delete, after_restart, another) == wanted[name] and ended in (200, 204), name))
finish(*facts)
PY
