#!/usr/bin/env bash
# Guess: a stdio bridge to an HTTP server answers a call with an error when its request fails (status 500, a closed
#        connection, a stream that ends early), and the next call works.
# Seen:  mcp-remote and supergateway do so for a status and a closed connection. A stream of events that ends before the
#        answer, as when the server or a gateway is stopped at that moment, gets no answer at all: the call stays open. Of
#        mcp-proxy no failure gets one, and after a status or a closed connection the next message ends the bridge, status 1.
#        FastMCP's proxy alone gives an error for all three and goes on.
# With:  mcp-remote 0.15.1, supergateway 4.0.0 (npm), mcp-proxy 0.13.0 on mcp 1.30.0, fastmcp 4.2.3 (PyPI), Node 20; the
#        server is a few lines of Python.
# Why:   a restart of an HTTP server looks like a slow call, up to the client's own limit if it has one; one status 500 costs
#        the whole connection.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install mcp-remote@0.15.1 supergateway@4.0.0
venv_install "$WORK/python" mcp-proxy==0.13.0 mcp==1.30.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
cat >server.py <<'PY'
import http.server
import json
import sys

TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("greet", "status", "close", "end")]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply(405, b"")

    do_DELETE = do_GET

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        tool = message["params"]["name"] if message["method"] == "tools/call" else None
        if "id" not in message:
            self.reply(202, b"")
        elif tool == "status":
            self.reply(500, b"the disk is full", "text/plain")
        elif tool == "close":
            self.close_connection = True
        elif tool == "end":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b": the answer follows\n\n")
        else:
            said = {
                "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
                "tools/list": {"tools": TOOLS},
                "tools/call": {"content": [{"type": "text", "text": "hello"}]},
                "ping": {},
            }.get(message["method"])
            part = {"error": {"code": -32601, "message": "Method not found"}} if said is None else {"result": said}
            self.reply(200, json.dumps({"jsonrpc": "2.0", "id": message["id"], **part}).encode())


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
PY
PORT=$(free_port)
python3 server.py "$PORT" >/dev/null 2>&1 &
wait_for 10 listens "$PORT" || unable "the server does not listen"
judge 170 "http://127.0.0.1:$PORT/mcp" <<'PY'
import sys
from concurrent.futures import ThreadPoolExecutor

from wire import *

url = sys.argv[1]
BRIDGES = {
    "mcp-remote": ["mcp-remote", url],
    "supergateway": ["supergateway", "--streamableHttp", url, "--logLevel", "none"],
    "mcp-proxy": ["python/bin/mcp-proxy", "--transport", "streamablehttp", url],
    "fastmcp": ["fastmcp/bin/fastmcp", "run", url],
}


def said(server, tool):
    """One word for what became of a call."""
    try:
        answer = server.call(tool, timeout=6)
    except TimeoutError:
        return "silent"
    except OSError:
        answer = None
    if answer is None:
        return f"exited {server.exited(10)}"
    return "error" if "error" in answer or answer["result"].get("isError") else text_of(answer["result"])


def tried(bridge):
    seen = {}
    for tool in ("status", "close", "end"):
        server = Stdio(*BRIDGES[bridge])
        server.hello()
        server.request("tools/list")
        first = said(server, "greet")
        seen[tool] = [first, said(server, tool), said(server, "greet")]
        server.kill()
    return seen


with ThreadPoolExecutor(4) as pool:
    seen = dict(zip(BRIDGES, pool.map(tried, BRIDGES)))
for bridge, facts in seen.items():
    show(f"{bridge}: {facts}")
good, silent, ended = ["hello", "error", "hello"], ["hello", "silent", "hello"], ["hello", "silent", "exited 1"]
finish(*((seen[name] == {"status": good, "close": good, "end": silent}, name) for name in ("mcp-remote", "supergateway")),
       (seen["mcp-proxy"] == {"status": ended, "close": ended, "end": silent}, "mcp-proxy"),
       (seen["fastmcp"] == {"status": good, "close": good, "end": good}, "fastmcp"))
PY
