#!/usr/bin/env bash
# Guess: what a tool logs reaches its client from the start; after `logging/setLevel` with "error" only errors do; a server that has
#        no levels does not send log messages.
# Seen:  both TypeScript SDKs and FastMCP do so. The Go SDK sends nothing at all until a level is set, mcp-go nothing below "error". Both
#        Python SDKs announce no logging, refuse `logging/setLevel` with "Method not found", and send every message.
# With:  @modelcontextprotocol/sdk 1.32.2, server 2.4.0 (npm), Node 20, mcp 1.30.0 and 2.3.0, fastmcp 4.2.3 (PyPI),
#        github.com/modelcontextprotocol/go-sdk 1.8.0, github.com/mark3labs/mcp-go 1.2.1; over stdio, in the version 2025-11-25.
# Why:   a client that sets no level shows what a server in Python says and nothing of one in Go; one that sets the level
#        only of servers that announce it gets all debug messages of those in Python; nothing reports that a message was dropped.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need go
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/server@2.4.0 zod@4
cat >server.py <<'PY'
import sys
import warnings

warnings.simplefilter("ignore")
if sys.argv[1] == "mcp-1":
    from mcp.server.fastmcp import Context, FastMCP as Server
elif sys.argv[1] == "mcp-2":
    from mcp.server.mcpserver import Context, MCPServer as Server
else:
    from fastmcp import Context, FastMCP as Server
server = Server("toy")


@server.tool()
async def work(ctx: Context) -> str:
    for level in ("debug", "info", "error"):
        await (ctx.log("text", level) if sys.argv[1] == "fastmcp" else ctx.log(level, "text"))
    return "done"


server.run("stdio")
PY
cat >node/server.mjs <<'JS'
const one = process.argv[2] === "ts-1";
const { McpServer } = await import(one ? "@modelcontextprotocol/sdk/server/mcp.js" : "@modelcontextprotocol/server");
const { StdioServerTransport } = await import(one ? "@modelcontextprotocol/sdk/server/stdio.js" : "@modelcontextprotocol/server/stdio");
const server = new McpServer({ name: "toy", version: "1" }, { capabilities: { logging: {} } });
server.registerTool("work", {}, async () => {
  for (const level of ["debug", "info", "error"]) await server.sendLoggingMessage({ level, data: "text" });
  return { content: [{ type: "text", text: "done" }] };
});
await server.connect(new StdioServerTransport());
JS
go_build go-sdk-server github.com/modelcontextprotocol/go-sdk@v1.8.0 <<'GO'
package main

import (
	"context"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type none struct{}

func main() {
	s := mcp.NewServer(&mcp.Implementation{Name: "toy", Version: "1"}, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "work"}, func(ctx context.Context, r *mcp.CallToolRequest, _ none) (*mcp.CallToolResult, any, error) {
		for _, level := range []mcp.LoggingLevel{"debug", "info", "error"} {
			r.Session.Log(ctx, &mcp.LoggingMessageParams{Level: level, Data: "text"})
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil, nil
	})
	s.Run(context.Background(), &mcp.StdioTransport{})
}
GO
go_build mcp-go-server github.com/mark3labs/mcp-go@v1.2.1 <<'GO'
package main

import (
	"context"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func main() {
	s := server.NewMCPServer("toy", "1", server.WithLogging())
	s.AddTool(mcp.NewTool("work"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		for _, level := range []mcp.LoggingLevel{"debug", "info", "error"} {
			s.SendLogMessageToClient(ctx, mcp.NewLoggingMessageNotification(level, "toy", "text"))
		}
		return mcp.NewToolResultText("done"), nil
	})
	server.ServeStdio(s)
}
GO
judge 90 <<'PY'
from wire import *

servers = {
    "TypeScript SDK 1": ["node", "node/server.mjs", "ts-1"],
    "TypeScript SDK 2": ["node", "node/server.mjs", "ts-2"],
    "Python SDK 1": ["mcp-1/bin/python", "server.py", "mcp-1"],
    "Python SDK 2": ["mcp-2/bin/python", "server.py", "mcp-2"],
    "FastMCP": ["fastmcp/bin/python", "server.py", "fastmcp"],
    "Go SDK": ["./go-sdk-server"],
    "mcp-go": ["./mcp-go-server"],
}
EVERY = "debug info error"
wanted = {
    "TypeScript SDK 1": (True, EVERY, "taken", "error"),
    "TypeScript SDK 2": (True, EVERY, "taken", "error"),
    "Python SDK 1": (False, EVERY, "Method not found", EVERY),
    "Python SDK 2": (False, EVERY, "Method not found", EVERY),
    "FastMCP": (True, EVERY, "taken", "error"),
    "Go SDK": (True, "none", "taken", "error"),
    "mcp-go": (True, "error", "taken", "error"),
}


def logged(server):
    begun = len(server.lines)
    server.call("work")
    time.sleep(1)  # mcp-go sends them beside the answer
    return " ".join(one["params"]["level"] for _, one in server.lines[begun:] if isinstance(one, dict) and one.get("method") == "notifications/message") or "none"


facts = []
for name, argv in servers.items():
    server = Stdio(*argv)
    announced = "logging" in server.hello()["result"]["capabilities"]
    first = logged(server)
    answer = server.request("logging/setLevel", {"level": "error"})
    level = "taken" if "result" in answer else answer["error"]["message"]
    then = logged(server)
    server.end_input()
    show(f"{name}: announces logging: {announced}; at first it sends {first}; setLevel error: {level}; then it sends {then}")
    facts.append(((announced, first, level, then) == wanted[name], name))
finish(*facts)
PY
