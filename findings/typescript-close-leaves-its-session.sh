#!/usr/bin/env bash
# Guess: a client that is closed ends its session at the server with DELETE, as the 2025-11-25 protocol says that it should.
# Seen:  `close()` of both TypeScript clients sends nothing; only `terminateSession()` of the transport does. The AI SDK, both
#        Python SDKs and FastMCP send DELETE. A server of the Python SDK 1 begins its lifespan anew for each session, so what
#        the lifespan opened for a client in TypeScript stays open until the server ends. Version 2 begins it once.
# With:  @modelcontextprotocol/sdk 1.32.2, @modelcontextprotocol/client 2.4.0, @ai-sdk/mcp 2.0.99 (npm), mcp 1.30.0 and 2.3.0,
#        fastmcp 4.2.3 (PyPI).
# Why:   a pool of connections that a lifespan opens is opened for each run of a program, and stays open; a limit of sessions
#        is used up by clients that are gone.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0 @ai-sdk/mcp@2.0.99
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
cat >toy.py <<'PY'
"""Streamable HTTP with sessions; notes each session that begins and ends."""
import http.server
import json
import sys
import uuid


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, message=None, **headers):
        body = b"" if message is None else json.dumps(message).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply(405)

    def do_DELETE(self):
        print("end", file=open(sys.argv[2], "a"), flush=True)
        self.reply(200)

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = {"jsonrpc": "2.0", "id": message.get("id")}
        if message["method"] == "initialize":
            print("begin", file=open(sys.argv[2], "a"), flush=True)
            result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}}
            self.reply(200, {**answer, "result": result}, **{"Mcp-Session-Id": uuid.uuid4().hex})
        elif "id" not in message:
            self.reply(202)
        elif message["method"] == "tools/list":
            self.reply(200, {**answer, "result": {"tools": []}})
        else:
            self.reply(200, {**answer, "error": {"code": -32601, "message": "Method not found"}})


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
PY
cat >lifespan.py <<'PY'
import contextlib
import sys

version, port, log = sys.argv[1:]
if version == "mcp-1":
    from mcp.server.fastmcp import FastMCP as Server
else:
    from mcp.server.mcpserver import MCPServer as Server


@contextlib.asynccontextmanager
async def lifespan(_):
    print("begin", file=open(log, "a"), flush=True)
    try:
        yield {}
    finally:
        print("end", file=open(log, "a"), flush=True)


where = {"host": "127.0.0.1", "port": int(port)}
if version == "mcp-1":
    Server("toy", lifespan=lifespan, **where).run("streamable-http")
else:
    Server("toy", lifespan=lifespan).run("streamable-http", **where)
PY
cat >node/client.mjs <<'JS'
const [version, url] = process.argv.slice(2)
if (version === "ai") {
  const { createMCPClient } = await import("@ai-sdk/mcp")
  const one = await createMCPClient({ transport: { type: "http", url } })
  await one.tools()
  await one.close()
} else {
  const old = version === "1"
  const { Client } = await import(old ? "@modelcontextprotocol/sdk/client/index.js" : "@modelcontextprotocol/client")
  const { StreamableHTTPClientTransport } = await import(old ? "@modelcontextprotocol/sdk/client/streamableHttp.js" : "@modelcontextprotocol/client")
  const one = new Client({ name: "findings", version: "1" })
  await one.connect(new StreamableHTTPClientTransport(new URL(url)))
  await one.listTools()
  await one.close()
}
JS
cat >client.py <<'PY'
import sys

import anyio

version, url = sys.argv[1:]


async def main():
    if version == "mcp-1":
        from mcp import ClientSession
        from mcp.client.streamable_http import streamablehttp_client

        async with streamablehttp_client(url) as (read, write, _), ClientSession(read, write) as client:
            await client.initialize()
            await client.list_tools()
        return
    if version == "fastmcp":
        from fastmcp import Client
    else:
        from mcp import Client
    async with Client(url) as client:
        await client.list_tools()


anyio.run(main)
PY
declare -A ports
for name in toy mcp-1 mcp-2; do
    ports[$name]=$(free_port)
    if [ "$name" = toy ]; then
        python3 toy.py "${ports[$name]}" toy.heard >toy.log 2>&1 &
    else
        "$name/bin/python" lifespan.py "$name" "${ports[$name]}" "$name.heard" >"$name.log" 2>&1 &
    fi
    wait_for 60 listens "${ports[$name]}" || unable "$name does not listen"
done
judge 300 "${ports[toy]}" "${ports[mcp-1]}" "${ports[mcp-2]}" <<'PY'
import sys

from wire import *

ports = dict(zip(("toy", "mcp-1", "mcp-2"), sys.argv[1:]))
clients = {"TypeScript 1": ["node", "node/client.mjs", "1"], "TypeScript 2": ["node", "node/client.mjs", "2"], "AI SDK": ["node", "node/client.mjs", "ai"],
           "Python 1": ["mcp-1/bin/python", "client.py", "mcp-1"], "Python 2": ["mcp-2/bin/python", "client.py", "mcp-2"],
           "FastMCP": ["fastmcp/bin/python", "client.py", "fastmcp"]}


def heard(server, client):
    open(f"{server}.heard", "w").close()
    subprocess.run([*clients[client], f"http://127.0.0.1:{ports[server]}/mcp"], check=True, capture_output=True, timeout=60)
    time.sleep(1)
    return open(f"{server}.heard").read().split()


facts = []
for client in clients:
    seen = heard("toy", client)
    show(f"{client}: of its session the server hears {seen}")
    facts.append((seen == (["begin"] if "Type" in client else ["begin", "end"]), client))
for server, client, wanted in (("mcp-1", "TypeScript 1", ["begin"]), ("mcp-1", "Python 1", ["begin", "end"]), ("mcp-2", "TypeScript 1", [])):
    seen = heard(server, client)
    show(f"lifespan of a server of {server}, with {client}: {seen}")
    facts.append((seen == wanted, f"{server} with {client}"))
finish(*facts)
PY
