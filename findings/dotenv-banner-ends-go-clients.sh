#!/usr/bin/env bash
# Guess: loading a .env file prints nothing, and a client ignores a line on stdout that is not JSON.
# Seen:  dotenv 17 prints "injected env (1) from .env" to stdout, before a server's first answer. Clients in TypeScript
#        and Python skip the line and go on. The Go SDK closes the connection: no session, "invalid character".
#        dotenv 18 prints to stderr, and all six work.
# With:  dotenv 17.4.2 and 18.0.10, @modelcontextprotocol/sdk 1.32.2, client 2.4.0, @ai-sdk/mcp 2.0.99 (npm),
#        mcp 1.30.0 and 2.3.0 (PyPI), github.com/modelcontextprotocol/go-sdk 1.8.0 (Go 1.25 or newer).
# Why:   a server that was tried with its author's client does not start under a client in Go, and only where there is a
#        .env file in the folder that it was started in.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need go
npm_install old@npm:dotenv@17.4.2 new@npm:dotenv@18.0.10 @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0 \
    @ai-sdk/mcp@2.0.99
venv_install "$WORK/v1" mcp==1.30.0
venv_install "$WORK/v2" mcp==2.3.0
cd node
echo "TOKEN=1" >.env
cat >server.cjs <<'JS'
require(process.argv[2]).config()
require("readline").createInterface({ input: process.stdin }).on("line", line => {
  const message = JSON.parse(line)
  if (message.id === undefined) return
  const info = { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: { name: "toy", version: "1" } }
  const tools = { tools: [{ name: "t", inputSchema: { type: "object" } }] }
  const call = { content: [{ type: "text", text: "called" }] }
  const result = { initialize: info, "tools/list": tools, "tools/call": call }[message.method]
  const said = result ? { result } : { error: { code: -32601, message: "Method not found" } }
  console.log(JSON.stringify({ jsonrpc: "2.0", id: message.id, ...said }))
})
JS
cat >sdk.mjs <<'JS'
const [client, transport, dotenv] = process.argv.slice(2)
const { Client } = await import(client)
const { StdioClientTransport } = await import(transport)
const one = new Client({ name: "findings", version: "1" })
await one.connect(new StdioClientTransport({ command: "node", args: ["server.cjs", dotenv] }))
console.log((await one.callTool({ name: "t", arguments: {} })).content[0].text)
process.exit(0)
JS
cat >ai.mjs <<'JS'
import { createMCPClient } from "@ai-sdk/mcp"
import { Experimental_StdioMCPTransport } from "@ai-sdk/mcp/mcp-stdio"
const transport = new Experimental_StdioMCPTransport({ command: "node", args: ["server.cjs", process.argv[2]] })
const { t } = await (await createMCPClient({ transport })).tools()
console.log((await t.execute({}, { toolCallId: "1", messages: [] })).content[0].text)
process.exit(0)
JS
cat >client.py <<'PY'
import sys

import anyio
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main():
    async with stdio_client(StdioServerParameters(command="node", args=["server.cjs", sys.argv[1]])) as streams:
        async with ClientSession(*streams) as client:
            await client.initialize()
            print((await client.call_tool("t", {})).content[0].text)


anyio.run(main)
PY
go_build go-client github.com/modelcontextprotocol/go-sdk@v1.8.0 <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	client := mcp.NewClient(&mcp.Implementation{Name: "findings", Version: "1"}, nil)
	session, err := client.Connect(ctx, &mcp.CommandTransport{Command: exec.Command("node", "server.cjs", os.Args[1])}, nil)
	if err != nil {
		fmt.Println("no session:", err)
		return
	}
	defer session.Close()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "t"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Content[0].(*mcp.TextContent).Text)
}
GO
holds=yes
for dotenv in old new; do
    banner=$(node server.cjs "$dotenv" </dev/null 2>/dev/null | cut -c1-40)
    observed "$dotenv dotenv: stdout begins with '$banner'"
    for client in \
        "node sdk.mjs @modelcontextprotocol/sdk/client/index.js @modelcontextprotocol/sdk/client/stdio.js" \
        "node sdk.mjs @modelcontextprotocol/client @modelcontextprotocol/client/stdio" \
        "node ai.mjs" "$WORK/v1/bin/python client.py" "$WORK/v2/bin/python client.py" "./go-client"; do
        # shellcheck disable=SC2086
        said=$(bounded 30 $client "$dotenv" 2>/dev/null | tail -1) || true
        observed "$dotenv dotenv, ${client#"$WORK/"}: ${said:0:100}"
        case "$dotenv $client $said" in
            "old ./go-client no session: "*"invalid character"*) ;;
            "old ./go-client "*) holds=no ;;
            *" called") ;;
            *) holds=no ;;
        esac
    done
    case "$dotenv $banner" in "old "*"injected env (1)"* | "new ") ;; *) holds=no ;; esac
done
[ "$holds" = yes ] && verdict 0
verdict 1
