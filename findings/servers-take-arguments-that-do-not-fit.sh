#!/usr/bin/env bash
# Guess: a server refuses arguments that do not fit its tool: a required one that is missing, a value that is not in the enum,
#        a number above the maximum, text for a number, an argument that the tool does not have.
# Seen:  mcp-go checks none of it: the tool runs for each, and its getters give the default for what is missing or of
#        another type. The Python SDK drops an argument that the tool does not have, and takes "5" for a number; the
#        TypeScript SDK drops it as well; the schemas that these list do not forbid it. FastMCP refuses it, and takes "5". The
#        Go SDK alone refuses all five; but an integer arrives rounded to 53 bits in both libraries of Go (9007199254740993 as
#        ...992), in a field of type int64, too. In Python it arrives whole.
# With:  github.com/mark3labs/mcp-go 1.2.1, github.com/modelcontextprotocol/go-sdk 1.8.0 (Go 1.25 or newer), mcp 1.30.0 and
#        2.3.0, fastmcp 4.2.3 (PyPI), @modelcontextprotocol/sdk 1.32.2 and server 2.4.0, zod 4.6.7 (npm).
# Why:   `stop` with the misspelled argument "forse" stops gently and answers a success; a tool of mcp-go that needs a name
#        runs with "" when a model forgets it. A client that wants a misspelling refused compares the names before the call.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need go
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/server@2.4.0 zod@4.6.7
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
go_build mcp-go-server github.com/mark3labs/mcp-go@v1.2.1 <<'GO'
package main

import (
	"context"
	"fmt"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func main() {
	s := server.NewMCPServer("toy", "1")
	s.AddTool(mcp.NewTool("stop", mcp.WithString("name", mcp.Required()), mcp.WithString("mode", mcp.Enum("gentle", "hard")), mcp.WithNumber("wait", mcp.Max(5))),
		func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText(fmt.Sprintf("%s,%s,%d", r.GetString("name", ""), r.GetString("mode", "gentle"), r.GetInt("wait", 1))), nil
		})
	s.AddTool(mcp.NewTool("id", mcp.WithNumber("id")), func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(fmt.Sprint(r.GetInt("id", 0))), nil
	})
	server.ServeStdio(s)
}
GO
go_build go-sdk-server github.com/modelcontextprotocol/go-sdk@v1.8.0 <<'GO'
package main

import (
	"context"
	"fmt"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type stop struct {
	Name string `json:"name"`
	Mode string `json:"mode,omitempty"`
	Wait int    `json:"wait,omitempty"`
}

type id struct {
	ID int64 `json:"id"`
}

func text(said string) (*mcp.CallToolResult, any, error) {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: said}}}, nil, nil
}

func main() {
	s := mcp.NewServer(&mcp.Implementation{Name: "toy", Version: "1"}, nil)
	schema, _ := jsonschema.For[stop](nil)
	most := 5.0
	schema.Properties["mode"].Enum = []any{"gentle", "hard"}
	schema.Properties["wait"].Maximum = &most
	mcp.AddTool(s, &mcp.Tool{Name: "stop", InputSchema: schema}, func(_ context.Context, _ *mcp.CallToolRequest, in stop) (*mcp.CallToolResult, any, error) {
		return text(fmt.Sprintf("%s,%s,%d", in.Name, in.Mode, in.Wait))
	})
	mcp.AddTool(s, &mcp.Tool{Name: "id"}, func(_ context.Context, _ *mcp.CallToolRequest, in id) (*mcp.CallToolResult, any, error) {
		return text(fmt.Sprint(in.ID))
	})
	s.Run(context.Background(), &mcp.StdioTransport{})
}
GO
cat >server.py <<'PY'
import sys
from typing import Annotated, Literal

from pydantic import Field

if sys.argv[1] == "fastmcp":
    from fastmcp import FastMCP as Server
elif sys.argv[1] == "mcp-1":
    from mcp.server.fastmcp import FastMCP as Server
else:
    from mcp.server.mcpserver import MCPServer as Server
server = Server("toy")


@server.tool()
def stop(name: str, mode: Literal["gentle", "hard"] = "gentle", wait: Annotated[int, Field(le=5)] = 1) -> str:
    return f"{name},{mode},{wait}"


@server.tool(name="id")
def same(id: int) -> str:
    return str(id)


server.run()
PY
cat >node/server.mjs <<'JS'
const old = process.argv[2] === "1"
const { McpServer } = await import(old ? "@modelcontextprotocol/sdk/server/mcp.js" : "@modelcontextprotocol/server")
const { StdioServerTransport } = await import(old ? "@modelcontextprotocol/sdk/server/stdio.js" : "@modelcontextprotocol/server/stdio")
const { z } = await import("zod")
const server = new McpServer({ name: "toy", version: "1" })
const inputSchema = z.object({ name: z.string(), mode: z.enum(["gentle", "hard"]).default("gentle"), wait: z.number().int().max(5).default(1) })
server.registerTool("stop", { inputSchema }, async ({ name, mode, wait }) => ({ content: [{ type: "text", text: `${name},${mode},${wait}` }] }))
await server.connect(new StdioServerTransport())
JS
judge 400 <<'PY'
from wire import *

TRIALS = {"missing": {}, "enum": {"name": "web", "mode": "loud"}, "above": {"name": "web", "wait": 9}, "text": {"name": "web", "wait": "5"},
          "unknown": {"name": "web", "forse": True}}
python = {name: [f"{name}/bin/python", "server.py", name] for name in ("mcp-1", "mcp-2", "fastmcp")}
servers = {"mcp-go": ["./mcp-go-server"], "go-sdk": ["./go-sdk-server"], **python, "TypeScript 1": ["node", "node/server.mjs", "1"],
           "TypeScript 2": ["node", "node/server.mjs", "2"]}
wanted = {"mcp-go": {"missing": ",gentle,1", "enum": "web,loud,1", "above": "web,gentle,9", "text": "web,gentle,5", "unknown": "web,gentle,1"},
          "go-sdk": {}, "mcp-1": {"text": "web,gentle,5", "unknown": "web,gentle,1"}, "mcp-2": {"text": "web,gentle,5", "unknown": "web,gentle,1"},
          "fastmcp": {"text": "web,gentle,5"}, "TypeScript 1": {"unknown": "web,gentle,1"}, "TypeScript 2": {"unknown": "web,gentle,1"}}
facts = []
for name, command in servers.items():
    server = Stdio(*command)
    server.hello()
    [schema] = [tool["inputSchema"] for tool in server.request("tools/list", {})["result"]["tools"] if tool["name"] == "stop"]
    properties = schema["properties"]
    facts.append((properties["mode"]["enum"] == ["gentle", "hard"] and properties["wait"]["maximum"] == 5 and schema["required"] == ["name"],
                  f"{name}: its schema"))
    taken = {}
    for trial, arguments in TRIALS.items():
        result = server.call("stop", arguments).get("result", {"isError": True})
        if not result.get("isError"):
            taken[trial] = text_of(result)
    show(f"{name} takes {taken or 'none of them'}")
    facts.append((taken == wanted[name], name))
    if "Type" not in name:
        number = text_of(server.call("id", {"id": 9007199254740993})["result"])
        show(f"{name}: 9007199254740993 arrives as {number}")
        facts.append((number.endswith("2" if "go" in name else "3"), f"{name}: a number of 54 bits"))
    server.kill()
finish(*facts)
PY
