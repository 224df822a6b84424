#!/usr/bin/env bash
# Guess: a server that offers 150 completions for an argument gets the first hundred to the client, or all of them.
# Seen:  both Python SDKs send the 150, and both TypeScript clients refuse the whole answer: "Too big: expected array to have
#        <=100 items". Their own clients take all. The TypeScript SDK's server cuts to 100 and says how many there are.
# With:  mcp 1.30.0 and 2.3.0 (PyPI), @modelcontextprotocol/sdk 1.32.2, client 2.4.0 (npm), Node 20.
# Why:   names of services, tables or branches complete in a test with few, and no longer at all for the user with 101.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0 zod@4
cat >server.py <<'PY'
import sys

if sys.argv[1] == "mcp-1":
    from mcp.server.fastmcp import FastMCP as Server
    from mcp.types import Completion
else:
    from mcp.server.mcpserver import MCPServer as Server
    from mcp_types import Completion
server = Server("toy")


@server.prompt()
def greet(name: str) -> str:
    return name


@server.completion()
async def complete(ref, argument, context):
    return Completion(values=[f"name {number}" for number in range(int(argument.value))])


server.run()
PY
cat >node/server.mjs <<'JS'
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { completable } from "@modelcontextprotocol/sdk/server/completable.js";
import { z } from "zod";
const server = new McpServer({ name: "toy", version: "1" });
const name = completable(z.string(), (value) => [...Array(Number(value)).keys()].map((number) => `name ${number}`));
server.registerPrompt("greet", { argsSchema: { name } }, () => ({ messages: [] }));
await server.connect(new StdioServerTransport());
JS
cat >node/client.mjs <<'JS'
const [which, command, ...args] = process.argv.slice(2);
const one = which === "ts-1";
const { Client } = await import(one ? "@modelcontextprotocol/sdk/client/index.js" : "@modelcontextprotocol/client");
const { StdioClientTransport } = await import(one ? "@modelcontextprotocol/sdk/client/stdio.js" : "@modelcontextprotocol/client/stdio");
const client = new Client({ name: "findings", version: "1" });
await client.connect(new StdioClientTransport({ command, args }));
const seen = [];
for (const value of ["100", "150"]) {
  try {
    const { completion } = await client.complete({ ref: { type: "ref/prompt", name: "greet" }, argument: { name: "name", value } });
    seen.push(String(completion.values.length));
  } catch (error) {
    seen.push(String(error).includes("Too big") ? "refused" : String(error));
  }
}
console.log(seen.join(" "));
await client.close();
JS
cat >client.py <<'PY'
import asyncio
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

try:
    from mcp.types import PromptReference
except ImportError:
    from mcp_types import PromptReference


async def main(command, *args):
    async with stdio_client(StdioServerParameters(command=command, args=list(args))) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        seen = []
        for value in ("100", "150"):
            answer = await session.complete(PromptReference(type="ref/prompt", name="greet"), {"name": "name", "value": value})
            seen.append(str(len(answer.completion.values)))
        print(*seen)


asyncio.run(main(*sys.argv[1:]))
PY
changed=0
try() { # CLIENT SERVER WANTED
    local client=(node node/client.mjs "$1") server=("$WORK/$2/bin/python" server.py "$2") seen
    case $1 in mcp-*) client=("$1/bin/python" client.py) ;; esac
    case $2 in ts-*) server=(node node/server.mjs) ;; esac
    seen=$(bounded 30 "${client[@]}" "${server[@]}" 2>"$1-$2.err") || seen="failed: $(tail -1 "$1-$2.err")"
    observed "client $1, server $2, for 100 and 150: $seen"
    [ "$seen" = "$3" ] || changed=1
}
for server in mcp-1 mcp-2; do
    try ts-1 "$server" "100 refused"
    try ts-2 "$server" "100 refused"
    try "$server" "$server" "100 150"
done
try ts-1 ts-1 "100 100"
verdict "$changed"
