#!/usr/bin/env bash
# Guess: `log://{name}` gives its function the name as it is, decoded, as a web framework does with a path; a resource can be
#        read under the address that the server was given and lists.
# Seen:  the TypeScript SDK, in both versions, and the Python SDK 1 hand on "J%C3%B6rg" and "a%2Fb" as they were sent. The
#        Python SDK 2 and FastMCP decode them. A resource with an umlaut after the scheme ("log://Jörg") can be read in no
#        spelling in TypeScript, though it is listed; the Python SDK 1 and FastMCP list it encoded, and FastMCP cannot read
#        it as it was given.
# With:  @modelcontextprotocol/sdk 1.32.2, @modelcontextprotocol/server 2.4.0 (npm), mcp 1.30.0 and 2.3.0, fastmcp 4.2.3 (PyPI).
# Why:   the log of "a/b" is found on one server and not on the next; code that decodes for version 1 of the Python SDK
#        decodes twice with version 2. Such names are safe in the arguments of a tool.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/server@2.4.0
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
cat >server.py <<'PY'
import sys

if sys.argv[1] == "fastmcp":
    from fastmcp import FastMCP as Server
elif sys.argv[1] == "mcp-1":
    from mcp.server.fastmcp import FastMCP as Server
else:
    from mcp.server.mcpserver import MCPServer as Server
server = Server("logs")


@server.resource("log://of/{name}")
def log(name: str) -> str:
    return name


@server.resource("log://Jörg")
def own() -> str:
    return "own"


server.run()
PY
cat >node/server.mjs <<'JS'
const old = process.argv[2] === "1"
const { McpServer, ResourceTemplate } = await import(old ? "@modelcontextprotocol/sdk/server/mcp.js" : "@modelcontextprotocol/server")
const { StdioServerTransport } = await import(old ? "@modelcontextprotocol/sdk/server/stdio.js" : "@modelcontextprotocol/server/stdio")
const server = new McpServer({ name: "logs", version: "1" })
const answer = (uri, text) => ({ contents: [{ uri: uri.href, text }] })
server.registerResource("log", new ResourceTemplate("log://of/{name}", { list: undefined }), {}, async (uri, { name }) => answer(uri, name))
server.registerResource("own", "log://Jörg", {}, async uri => answer(uri, "own"))
await server.connect(new StdioServerTransport())
JS
judge 120 <<'PY'
from wire import *

URIS = ["log://of/web", "log://of/J%C3%B6rg", "log://of/a%2Fb", "log://Jörg", "log://J%C3%B6rg"]
encoded, decoded = ["web", "J%C3%B6rg", "a%2Fb"], ["web", "Jörg", "a/b"]
wanted = {  # what the five read give, and the address in the list
    "TypeScript 1": ([*encoded, None, None], "log://Jörg"),
    "TypeScript 2": ([*encoded, None, None], "log://Jörg"),
    "mcp-1": ([*encoded, "own", "own"], "log://J%C3%B6rg"),
    "mcp-2": ([*decoded, "own", None], "log://Jörg"),
    "fastmcp": ([*decoded, None, "own"], "log://J%C3%B6rg"),
}
facts = []
for name in wanted:
    server = Stdio("node", "node/server.mjs", name[-1]) if "Type" in name else Stdio(f"{name}/bin/python", "server.py", name)
    server.hello()
    [listed] = [one["uri"] for one in server.request("resources/list", {})["result"]["resources"]]
    answers = [server.request("resources/read", {"uri": uri}).get("result") for uri in URIS]
    server.kill()
    seen = [answer["contents"][0]["text"] if answer else None for answer in answers]
    show(f"{name} lists {listed} and reads {dict(zip(URIS, seen))}")
    facts.append(((seen, listed) == wanted[name], name))
finish(*facts)
PY
