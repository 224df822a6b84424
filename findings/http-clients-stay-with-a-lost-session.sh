#!/usr/bin/env bash
# Guess: a client over HTTP whose session is gone, since the server was restarted or the session was idle for too long,
#        begins another: the 2025-11-25 protocol says that it MUST on a 404 for a request with a session id.
# Seen:  the clients of six libraries hand the 404 to the caller as an error, and so for every later call, until the
#        caller builds a new client. The bridge mcp-remote does as the protocol says: initialize again, the call again.
# With:  @modelcontextprotocol/sdk 1.32.2, @modelcontextprotocol/client 2.4.0, @ai-sdk/mcp 2.0.99, mcp-remote 0.15.1
#        (npm), mcp 1.30.0 and 2.3.0, fastmcp 4.2.3 (PyPI); the server is a few lines of Python.
# Why:   every restart of an HTTP server, and every reaped idle session, is a broken connection for good. A server that
#        wants to be restarted must serve the sessions of its earlier life.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0 @ai-sdk/mcp@2.0.99 mcp-remote@0.15.1
venv_install "$WORK/v1" mcp==1.30.0
venv_install "$WORK/v2" mcp==2.3.0
venv_install "$WORK/fast" fastmcp==4.2.3

cat >server.py <<'PY'
"""Streamable HTTP with sessions. POST /forget drops all of them, as a restart does."""
import http.server, json, sys, uuid
sessions = set()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def reply(self, status, message=None, **headers):
        body = b"" if message is None else json.dumps(message).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self): self.reply(405)
    def do_DELETE(self): self.reply(200)
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/forget":
            sessions.clear()
            return self.reply(200)
        message, session = json.loads(body), self.headers.get("Mcp-Session-Id")
        answer = {"jsonrpc": "2.0", "id": message.get("id")}
        if message["method"] == "initialize":
            sessions.add(fresh := uuid.uuid4().hex)
            info = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}}
            return self.reply(200, {**answer, "result": info}, **{"Mcp-Session-Id": fresh})
        if session is None:
            return self.reply(200, {**answer, "error": {"code": -32601, "message": "Method not found"}})
        if session not in sessions:
            return self.reply(404, {**answer, "error": {"code": -32001, "message": "Session not found"}})
        if "id" not in message:
            return self.reply(202)
        results = {"tools/list": {"tools": [{"name": "hi", "inputSchema": {"type": "object"}}]},
                   "tools/call": {"content": [{"type": "text", "text": "hi"}]}}
        self.reply(200, {**answer, "result": results.get(message["method"], {})})
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
PY
cat >node/sdk.mjs <<'JS'
const [client, transport, url] = process.argv.slice(2)
const { Client } = await import(client)
const { StreamableHTTPClientTransport } = await import(transport)
const one = new Client({ name: "findings", version: "1" })
await one.connect(new StreamableHTTPClientTransport(new URL(url)))
const call = async () => (await one.callTool({ name: "hi", arguments: {} })).content[0].text
console.log(await call())
await fetch(new URL("/forget", url), { method: "POST" })
for (let i = 0; i < 2; i++) console.log(await call().catch(error => "error: " + error.message.split("\n")[0]))
process.exit(0)
JS
cat >node/ai.mjs <<'JS'
import { createMCPClient } from "@ai-sdk/mcp"
const url = process.argv[2]
const tools = await (await createMCPClient({ transport: { type: "http", url } })).tools()
const call = async () => (await tools.hi.execute({}, { toolCallId: "1", messages: [] })).content[0].text
console.log(await call())
await fetch(new URL("/forget", url), { method: "POST" })
for (let i = 0; i < 2; i++) console.log(await call().catch(error => "error: " + error.message.split("\n")[0]))
process.exit(0)
JS
cat >client.py <<'PY'
import anyio, sys, urllib.request
library, url = sys.argv[1:]
async def judge(call):
    print(await call(), flush=True)
    urllib.request.urlopen(urllib.request.Request(url.replace("/mcp", "/forget"), b"", method="POST"))
    for _ in range(2):
        try:
            with anyio.fail_after(15):
                print(await call(), flush=True)
        except Exception as error:
            print("error:", str(error).split("\n")[0], flush=True)
async def main():
    if library == "mcp1":
        from mcp import ClientSession
        from mcp.client.streamable_http import streamablehttp_client
        async with streamablehttp_client(url) as (read, write, _), ClientSession(read, write) as client:
            await client.initialize()
            await judge(lambda: text(client))
    else:
        if library == "fastmcp":
            from fastmcp import Client
        else:
            from mcp import Client
        async with Client(url) as client:
            await judge(lambda: text(client))
async def text(client): return (await client.call_tool("hi", {})).content[0].text
anyio.run(main)
PY
port=$(free_port)
python3 server.py "$port" &
wait_for 10 listens "$port"

PORT=$port judge 240 <<'PY'
import http.client, os, subprocess
from wire import *

work, port = os.environ["WORK"], os.environ["PORT"]
url = f"http://127.0.0.1:{port}/mcp"
clients = {
    "@modelcontextprotocol/sdk": ["node", "sdk.mjs", "@modelcontextprotocol/sdk/client/index.js",
                                  "@modelcontextprotocol/sdk/client/streamableHttp.js", url],
    "@modelcontextprotocol/client": ["node", "sdk.mjs", "@modelcontextprotocol/client", "@modelcontextprotocol/client", url],
    "@ai-sdk/mcp": ["node", "ai.mjs", url],
    "mcp 1": [f"{work}/v1/bin/python", "client.py", "mcp1", url],
    "mcp 2": [f"{work}/v2/bin/python", "client.py", "mcp2", url],
    "fastmcp": [f"{work}/fast/bin/python", "client.py", "fastmcp", url],
}
facts = []
for name, command in clients.items():
    folder = "node" if command[0] == "node" else "."
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder).stdout.splitlines()
    show(f"{name}: {[line[:60] for line in said]}")
    facts.append((said[:1] == ["hi"] and len(said) == 3 and all(line.startswith("error:") for line in said[1:]), name))
bridge = Stdio("mcp-remote", url, "--allow-http", "--transport", "http-only")
bridge.hello()
before = text_of(bridge.call("hi")["result"])
connection = http.client.HTTPConnection("127.0.0.1", int(port))
connection.request("POST", "/forget")
connection.getresponse().read()
after = text_of(bridge.call("hi")["result"])
bridge.kill()
show(f"mcp-remote: before {before!r}, after {after!r}")
finish(*facts, (before == after == "hi", "mcp-remote"))
PY
