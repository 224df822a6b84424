#!/usr/bin/env bash
# Guess: a field of type `any` in a Go tool's arguments is a JSON schema without conditions, which each client can read; at worst
#        the one tool is left out.
# Seen:  the Go SDK lists it as `"value": true`, which JSON Schema allows, in an output schema, too. The TypeScript
#        SDK 1 wants an object for each property of a schema: its clients refuse the whole tools/list with a ZodError "Invalid
#        input", and so do mcporter and LangChain's adapters, which are built on it. The TypeScript client 2, the AI SDK, the
#        Inspector and the clients of both Python SDKs and of FastMCP list it. `map[string]any` is harmless: `true` stands there under
#        "additionalProperties".
# With:  github.com/modelcontextprotocol/go-sdk 1.8.0 (Go 1.25 or newer), @modelcontextprotocol/sdk 1.32.2, client 2.4.0,
#        @ai-sdk/mcp 2.0.99, mcporter 0.12.3, @langchain/mcp-adapters 1.1.4, inspector 2.12.0 (npm), mcp 1.30.0 and 2.3.0,
#        fastmcp 4.2.3 (PyPI).
# Why:   one `set` with a value of any type, and a server that its author tried with Go, Python or the Inspector has no tools at all
#        for clients of the most used SDK.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need go
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0 @ai-sdk/mcp@2.0.99 mcporter@0.12.3 \
    @modelcontextprotocol/inspector@2.12.0 @langchain/mcp-adapters@1.1.4
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
go_build go-server github.com/modelcontextprotocol/go-sdk@v1.8.0 <<'GO'
package main

import (
	"context"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type anything struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}


type labels struct {
	Labels map[string]any `json:"labels"`
}

type none struct{}

func tool[In, Out any](s *mcp.Server, name string) {
	mcp.AddTool(s, &mcp.Tool{Name: name}, func(context.Context, *mcp.CallToolRequest, In) (*mcp.CallToolResult, Out, error) {
		var out Out
		return nil, out, nil
	})
}

func main() {
	s := mcp.NewServer(&mcp.Implementation{Name: "toy", Version: "1"}, nil)
	tool[none, none](s, "plain")
	switch os.Args[1] {
	case "any":
		tool[anything, none](s, "set")
	case "out":
		tool[none, anything](s, "set")
	case "map":
		tool[labels, none](s, "set")
	}
	s.Run(context.Background(), &mcp.StdioTransport{})
}
GO
cat >node/client.mjs <<'JS'
const [version, kind] = process.argv.slice(2)
const server = { command: "../go-server", args: [kind] }
let tools
if (version === "langchain") {
  const { MultiServerMCPClient } = await import("@langchain/mcp-adapters")
  tools = await new MultiServerMCPClient({ mcpServers: { toy: server } }).getTools()
} else if (version === "ai") {
  const { createMCPClient } = await import("@ai-sdk/mcp")
  const { Experimental_StdioMCPTransport } = await import("@ai-sdk/mcp/mcp-stdio")
  tools = Object.keys(await (await createMCPClient({ transport: new Experimental_StdioMCPTransport(server) })).tools())
} else {
  const old = version === "1"
  const { Client } = await import(old ? "@modelcontextprotocol/sdk/client/index.js" : "@modelcontextprotocol/client")
  const { StdioClientTransport } = await import(old ? "@modelcontextprotocol/sdk/client/stdio.js" : "@modelcontextprotocol/client/stdio")
  const client = new Client({ name: "findings", version: "1" })
  await client.connect(new StdioClientTransport(server))
  tools = (await client.listTools()).tools
}
console.log(tools.length, "tools")
process.exit(0)
JS
cat >client.py <<'PY'
import sys

import anyio

version, kind = sys.argv[1:]


async def main():
    if version == "fastmcp":
        from fastmcp import Client
        from fastmcp.client.transports import StdioTransport

        async with Client(StdioTransport("./go-server", [kind])) as client:
            tools = await client.list_tools()
    else:
        from mcp import ClientSession, StdioServerParameters
        from mcp.client.stdio import stdio_client

        async with stdio_client(StdioServerParameters(command="./go-server", args=[kind])) as streams, ClientSession(*streams) as client:
            await client.initialize()
            tools = (await client.list_tools()).tools
    print(len(tools), "tools")


anyio.run(main)
PY
for kind in any out map; do
    echo "{\"mcpServers\": {\"toy\": {\"command\": \"$WORK/go-server\", \"args\": [\"$kind\"]}}}" >"$kind.json"
done
judge 300 <<'PY'
from wire import *

CLIENTS = {"TypeScript 1": ["node", "client.mjs", "1"], "LangChain": ["node", "client.mjs", "langchain"],
           "mcporter": ["mcporter", "list", "toy", "--json", "--config"], "TypeScript 2": ["node", "client.mjs", "2"], "AI SDK": ["node", "client.mjs", "ai"],
           "Inspector": ["mcp-inspector", "--cli", "../go-server", "KIND", "--method", "tools/list"],
           "Python 1": ["../mcp-1/bin/python", "../client.py", "1"], "Python 2": ["../mcp-2/bin/python", "../client.py", "2"],
           "FastMCP": ["../fastmcp/bin/python", "../client.py", "fastmcp"]}


def listed(client, kind):
    """What came of it: "2 tools", or "refused"."""
    command = CLIENTS[client]
    if client == "mcporter":
        command = [*command, f"../{kind}.json"]
    elif client == "Inspector":
        command = [kind if part == "KIND" else part for part in command]
    else:
        command = [*command, kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=None if "python" in command[0] else "node")
    said = done.stdout + done.stderr
    if "Invalid input" in said:
        return "refused"
    if "2 tools" in done.stdout or '"plain"' in done.stdout and '"set"' in done.stdout:
        return "2 tools"
    return said[-300:]


server = Stdio("./go-server", "any")
server.hello()
value = next(tool for tool in server.request("tools/list")["result"]["tools"] if tool["name"] == "set")["inputSchema"]["properties"]["value"]
server.kill()
show(f"on the wire: {{'value': {json.dumps(value)}}}")
facts = [(value is True, "the schema")]
for client in CLIENTS:
    if "Python" in client or client == "FastMCP":
        CLIENTS[client] = [part.replace("../", "") for part in CLIENTS[client]]
    refuses = client in ("TypeScript 1", "LangChain", "mcporter")
    seen = listed(client, "any")
    show(f"{client}: {seen}")
    facts.append((seen == ("refused" if refuses else "2 tools"), client))
for kind, wanted in (("out", "refused"), ("map", "2 tools")):
    seen = listed("TypeScript 1", kind)
    show(f"TypeScript 1, {kind}: {seen}")
    facts.append((seen == wanted, kind))
finish(*facts)
PY
