#!/usr/bin/env bash
# Guess: a client of a new SDK that asks for changes of the tool list with its handler hears of them from a server of any new SDK, as
#        it did from an older one; in 2026-07-28 the SDK opens `subscriptions/listen` for that handler.
# Seen:  in the defaults three of four new pairs are silent. The `message_handler` of the Python client, which negotiates
#        2026-07-28, hears the older TypeScript server and neither the new one nor one of its own SDK: it does not listen unless
#        the program does. The new TypeScript client, which stays at 2025-11-25, hears nothing of the Python SDK 2, which does not
#        announce `listChanged` there, whatever it sends; with `mode: "auto"` it hears it, and no longer hears FastMCP, which sends
#        the notification by itself and publishes nothing to those who listen.
# With:  mcp 2.3.0, fastmcp 4.2.3 (PyPI), @modelcontextprotocol/sdk 1.32.2, server and client 2.4.0 (npm), Node 20; over stdio.
# Why:   a program that refreshes its tools on this signal keeps the first list for good after an update of the other side; nothing
#        fails, and a list by hand shows the new tool.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
venv_install "$WORK/mcp-2" mcp==2.3.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/server@2.4.0 @modelcontextprotocol/client@2.4.0 zod@4
cat >server.py <<'PY'
import sys

if sys.argv[1] == "mcp-2":
    from mcp.server.mcpserver import Context, MCPServer as Server
else:
    import mcp_types
    from fastmcp import Context, FastMCP as Server
server = Server("toy")


def extra() -> str:
    return ""


@server.tool()
async def grow(ctx: Context) -> str:
    server.tool(name="extra")(extra)
    if sys.argv[1] == "mcp-2":
        await ctx.notify_tools_changed()  # for those who listen
        await ctx.session.send_tool_list_changed()  # for older clients
    else:
        await ctx.send_notification(mcp_types.ToolListChangedNotification())
    return "grown"


server.run("stdio")
PY
cat >node/server.mjs <<'JS'
const one = process.argv[2] === "ts-1";
const { McpServer } = await import(one ? "@modelcontextprotocol/sdk/server/mcp.js" : "@modelcontextprotocol/server");
const make = () => {
  const server = new McpServer({ name: "toy", version: "1" });
  server.registerTool("grow", {}, async () => {
    server.registerTool("extra", {}, async () => ({ content: [] })); // sends the notification
    return { content: [{ type: "text", text: "grown" }] };
  });
  return server;
};
if (one) {
  const { StdioServerTransport } = await import("@modelcontextprotocol/sdk/server/stdio.js");
  await make().connect(new StdioServerTransport());
} else {
  const { serveStdio } = await import("@modelcontextprotocol/server/stdio");
  serveStdio(make);
}
JS
cat >client.py <<'PY'
import asyncio
import sys

from mcp import Client, StdioServerParameters, stdio_client

heard = asyncio.Event()


async def handler(message):
    if getattr(message, "method", "") == "notifications/tools/list_changed":
        heard.set()


async def main():
    parameters = StdioServerParameters(command=sys.argv[1], args=sys.argv[2:])
    async with Client(stdio_client(parameters), message_handler=handler) as client:
        await client.list_tools()
        await client.call_tool("grow", {})
        try:
            await asyncio.wait_for(heard.wait(), 2)
        except TimeoutError:
            pass
        assert "extra" in [tool.name for tool in (await client.list_tools()).tools]
    print("heard" if heard.is_set() else "silent")


asyncio.run(main())
PY
cat >node/client.mjs <<'JS'
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
const [mode, command, ...args] = process.argv.slice(2);
let tell;
const heard = new Promise((resolve) => (tell = resolve));
const client = new Client(
  { name: "toy", version: "1" },
  { ...(mode === "auto" ? { versionNegotiation: { mode } } : {}), listChanged: { tools: { onChanged: () => tell("heard") } } },
);
await client.connect(new StdioClientTransport({ command, args, stderr: "ignore" }));
await client.listTools();
await client.callTool({ name: "grow", arguments: {} });
const seen = await Promise.race([heard, new Promise((resolve) => setTimeout(() => resolve("silent"), 2000))]);
if (!(await client.listTools()).tools.some((tool) => tool.name === "extra")) throw new Error("not added");
console.log(seen);
await client.close();
JS
judge 170 <<'PY'
from wire import *

here = os.getcwd()
servers = {
    "TypeScript 1": ["node", "node/server.mjs", "ts-1"],
    "TypeScript 2": ["node", "node/server.mjs", "ts-2"],
    "Python SDK 2": [f"{here}/mcp-2/bin/python", "server.py", "mcp-2"],
    "FastMCP": [f"{here}/fastmcp/bin/python", "server.py", "fastmcp"],
}
clients = {
    "Python SDK 2": ["mcp-2/bin/python", "client.py"],
    "TypeScript 2": ["node", "node/client.mjs", "default"],
    "TypeScript 2, auto": ["node", "node/client.mjs", "auto"],
}
wanted = {
    "Python SDK 2": ["heard", "silent", "silent", "heard"],
    "TypeScript 2": ["heard", "heard", "silent", "heard"],
    "TypeScript 2, auto": ["heard", "heard", "heard", "silent"],
}
facts = []
for client, argv in clients.items():
    seen = []
    for server in servers.values():
        run = subprocess.run([*argv, *server], capture_output=True, text=True, timeout=40)
        seen.append(run.stdout.strip() or f"failed: {run.stderr.strip()[-200:]}")
    show(f"client {client}: " + ", ".join(f"{said} from {server}" for server, said in zip(servers, seen)))
    facts.append((seen == wanted[client], client))
finish(*facts)
PY
