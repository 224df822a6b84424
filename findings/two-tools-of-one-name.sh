#!/usr/bin/env bash
# Guess: a server that registers two tools with one name fails, or at least each SDK keeps the same one.
# Seen:  each of seven lists one tool. The two TypeScript SDKs throw. The Python SDKs 1 and 2 keep the first, FastMCP, the Go SDK and
#        mcp-go the second; the Go ones say nothing at all.
# With:  mcp 1.30.0 and 2.3.0, fastmcp 4.2.3 (PyPI), @modelcontextprotocol/sdk 1.32.2, server 2.4.0 (npm), Node 20,
#        github.com/modelcontextprotocol/go-sdk 1.8.0, github.com/mark3labs/mcp-go 1.2.1.
# Why:   a server of plugins, or of two modules that both have "status", answers with the wrong one; a plugin replaces a tool of
#        its host without a word, or never appears, and the same code moved to another SDK calls the other.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need go
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/server@2.4.0 zod@4
cat >server.py <<'PY'
import sys

which = sys.argv[1]
if which == "mcp-1":
    from mcp.server.fastmcp import FastMCP as Server
elif which == "mcp-2":
    from mcp.server.mcpserver import MCPServer as Server
else:
    from fastmcp import FastMCP as Server
server = Server("toy")
for answer in ("first", "second"):
    def tool(answer: str = answer) -> str:
        return answer

    try:
        server.tool(name="status")(tool)
    except Exception as error:
        print("refused:", type(error).__name__, file=sys.stderr, flush=True)
server.run()
PY
cat >node/server.mjs <<'JS'
const one = process.argv[2] === "ts-1";
const { McpServer } = await import(one ? "@modelcontextprotocol/sdk/server/mcp.js" : "@modelcontextprotocol/server");
const { StdioServerTransport } = await import(one ? "@modelcontextprotocol/sdk/server/stdio.js" : "@modelcontextprotocol/server/stdio");
const server = new McpServer({ name: "toy", version: "1" });
for (const text of ["first", "second"]) {
  try {
    server.registerTool("status", {}, async () => ({ content: [{ type: "text", text }] }));
  } catch (error) {
    console.error("refused:", error.name);
  }
}
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
	for _, text := range []string{"first", "second"} {
		mcp.AddTool(s, &mcp.Tool{Name: "status"}, func(context.Context, *mcp.CallToolRequest, none) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
		})
	}
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
	s := server.NewMCPServer("toy", "1")
	for _, text := range []string{"first", "second"} {
		s.AddTool(mcp.NewTool("status"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText(text), nil
		})
	}
	server.ServeStdio(s)
}
GO
judge 90 <<'PY'
from wire import *

facts = []
for name, wanted in (("mcp-1", ("first", "warned")), ("mcp-2", ("first", "warned")), ("fastmcp", ("second", "warned")), ("ts-1", ("first", "thrown")),
                     ("ts-2", ("first", "thrown")), ("go-sdk", ("second", "silent")), ("mcp-go", ("second", "silent"))):
    if os.path.isdir(f"{name}/bin"):
        server = Stdio(f"{name}/bin/python", "server.py", name)
    else:
        server = Stdio("node", "node/server.mjs", name) if name.startswith("ts") else Stdio(f"./{name}-server")
    server.hello()
    listed = [tool["name"] for tool in server.request("tools/list")["result"]["tools"]]
    answer = text_of(server.call("status")["result"])
    server.end_input()
    said = " ".join(server.errors)
    how = "thrown" if "refused:" in said else "warned" if "already exists" in said or "overwritten" in said.lower() else "silent"
    show(f"{name}: lists {listed}, answers {answer!r}, second one {how}" + (f" {said[:70]!r}" if how == "silent" and said else ""))
    facts.append((listed == ["status"] and (answer, how) == wanted, name))
finish(*facts)
PY
