#!/usr/bin/env bash
# Guess: the `timeout` of a call is how long a client waits for its answer; with 15 minutes a call of six minutes works.
# Seen:  over HTTP in Node it fails after five minutes of silence: without a header for so long with "fetch failed"
#        (HeadersTimeoutError); within a stream of events the stream ends unnoticed, and the call waits on for an answer
#        that no longer comes, up to its own limit. Node's fetch has limits that the option does not touch. A comment in the
#        stream every 15 s keeps it.
# With:  @modelcontextprotocol/sdk 1.32.2 and client 2.4.0 (npm), Node 20. Takes six minutes.
# Why:   a start that takes long (an image is pulled, a database restored) succeeds at the server and fails at the client;
#        a server has to send something at least every five minutes: a progress notification or a comment in the stream.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0
cat >server.py <<'PY'
import http.server
import json
import sys
import time

TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("plain", "stream", "kept")]
INFO = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "slow", "version": "1"}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def start(self, status, kind, length=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.close_connection = True

    def do_GET(self):
        self.start(405, "text/plain", 0)

    do_DELETE = do_GET

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "id" not in message:
            return self.start(202, "text/plain", 0)
        found = {"initialize": INFO, "tools/list": {"tools": TOOLS}, "tools/call": {"content": [{"type": "text", "text": "done"}]}}.get(message["method"])
        said = {"result": found} if found else {"error": {"code": -32601, "message": "Method not found"}}
        answer = json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}).encode()
        tool = message["params"]["name"] if message["method"] == "tools/call" else ""
        if tool in ("stream", "kept"):
            self.start(200, "text/event-stream")
            answer = b"data: " + answer + b"\n\n"
        for _ in range(22 if tool else 0):
            time.sleep(15)
            if tool == "kept":
                self.wfile.write(b": still at work\n\n")
        if tool not in ("stream", "kept"):
            self.start(200, "application/json", len(answer))
        self.wfile.write(answer)


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
PY
cat >node/client.mjs <<'JS'
const [kind, url, tool] = process.argv.slice(2)
const one = kind === "sdk1"
const { Client } = await import(one ? "@modelcontextprotocol/sdk/client/index.js" : "@modelcontextprotocol/client")
const { StreamableHTTPClientTransport } = await import(one ? "@modelcontextprotocol/sdk/client/streamableHttp.js" : "@modelcontextprotocol/client")
const client = new Client({ name: "findings", version: "1" })
await client.connect(new StreamableHTTPClientTransport(new URL(url)))
const begun = Date.now(), options = { timeout: 900_000 }, call = { name: tool, arguments: {} }
let said
try {
  const result = await Promise.race([one ? client.callTool(call, undefined, options) : client.callTool(call, options),
    new Promise((_, lost) => setTimeout(() => lost(new Error("no answer")), 360_000))])
  said = result.content[0].text
} catch (error) { said = String(error.cause?.name ?? error.message) }
console.log(JSON.stringify([said, Math.round((Date.now() - begun) / 1000)]))
process.exit(0)
JS
port=$(free_port)
python3 server.py "$port" 2>/dev/null &
wait_for 10 listens "$port"
judge 480 "$port" <<'PY'
import sys

from wire import *

url = f"http://127.0.0.1:{sys.argv[1]}/mcp"
runs = {(kind, tool): subprocess.Popen(["node", "client.mjs", kind, url, tool], cwd="node", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for kind in ("sdk1", "client2") for tool in ("plain", "stream", "kept")}
facts = []
for (kind, tool), run in runs.items():
    said, seconds = json.loads(run.communicate(timeout=450)[0] or '["nothing", 0]')
    show(f"{kind}, {tool}: {said!r} after {seconds} s")
    wanted = "done" if tool == "kept" else "HeadersTimeoutError" if tool == "plain" else "no answer"
    facts.append((said == wanted, f"{kind}, {tool}"))
finish(*facts)
PY
