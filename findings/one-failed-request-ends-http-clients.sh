#!/usr/bin/env bash
# Guess: a request over HTTP that fails (503 of a pool that is full, 403, a server that is restarted at that moment) fails that
#        call, and the next one works, with each client library, as no session is lost: the server has none.
# Seen:  of eight clients four do. In the Python SDK 1 any status of 400 and more, and any lost connection, cancels the whole
#        `async with` block of the program: the call raises CancelledError, and what comes out at the end is an ExceptionGroup with
#        an HTTPStatusError. The Python SDK 2 and FastMCP bear a status, but not a server that is away for a moment: in the
#        SDK all that the block does is cancelled, in FastMCP this and each later call is "Connection closed", or a
#        ConnectError, for good. The Go SDK's session is closed for good by a 403 ("client is closing"), though not by 503 or a
#        lost connection. TypeScript 1 and 2, the AI SDK and mcp-go go on.
# With:  mcp 1.30.0 and 2.3.0, fastmcp 4.2.3 (PyPI), @modelcontextprotocol/sdk 1.32.2, client 2.4.0, @ai-sdk/mcp 2.0.99 (npm),
#        github.com/modelcontextprotocol/go-sdk 1.8.0, github.com/mark3labs/mcp-go 1.2.1; the server is a few lines of Python.
# Why:   an agent whose server is restarted once, or that gets one 503, has no tools until it connects anew; `except Exception`
#        around the call does not catch it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need go
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0 @ai-sdk/mcp@2.0.99
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
cat >server.py <<'PY'
import http.server
import json
import sys

STATUS = {"full": (503, b"the pool is full"), "forbidden": (403, b"not for you")}
TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("greet", *STATUS)]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body=b"", kind="text/plain"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply(405)

    do_DELETE = do_GET

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        tool = message["params"]["name"] if message["method"] == "tools/call" else None
        if "id" not in message:
            return self.reply(202)
        if tool in STATUS:
            return self.reply(*STATUS[tool])
        said = {
            "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
            "tools/list": {"tools": TOOLS},
            "tools/call": {"content": [{"type": "text", "text": "hello"}]},
        }.get(message["method"])
        part = {"error": {"code": -32601, "message": "Method not found"}} if said is None else {"result": said}
        self.reply(200, json.dumps({"jsonrpc": "2.0", "id": message["id"], **part}).encode(), "application/json")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
PY
# Each client reads names of tools from stdin, calls them, and writes a line for each.
cat >node/client.mjs <<'JS'
import readline from "node:readline"
const [version, url] = process.argv.slice(2)
let call
if (version === "ai") {
  const { createMCPClient } = await import("@ai-sdk/mcp")
  const tools = await (await createMCPClient({ transport: { type: "http", url } })).tools()
  call = name => tools[name].execute({}, { toolCallId: "1", messages: [] })
} else {
  const old = version === "1"
  const { Client } = await import(old ? "@modelcontextprotocol/sdk/client/index.js" : "@modelcontextprotocol/client")
  const { StreamableHTTPClientTransport } = await import(old ? "@modelcontextprotocol/sdk/client/streamableHttp.js" : "@modelcontextprotocol/client")
  const client = new Client({ name: "findings", version: "1" })
  await client.connect(new StreamableHTTPClientTransport(new URL(url)))
  call = name => client.callTool({ name, arguments: {} })
}
for await (const name of readline.createInterface({ input: process.stdin }))
  console.log(await call(name).then(answer => answer.content[0].text, () => "error"))
process.exit(0)
JS
cat >client.py <<'PY'
import sys

import anyio

version, url = sys.argv[1:]


async def run(call):
    while name := (await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)).strip():
        try:
            said = (await call(name, {})).content[0].text
        except Exception:
            said = "error"
        print(said, flush=True)


async def main():
    if version == "1":
        from mcp import ClientSession
        from mcp.client.streamable_http import streamablehttp_client

        async with streamablehttp_client(url) as (read, write, _), ClientSession(read, write) as client:
            await client.initialize()
            await run(client.call_tool)
    elif version == "2":
        from mcp import Client

        async with Client(url) as client:
            await run(client.call_tool)
    else:
        from fastmcp import Client

        async with Client(url) as client:
            await run(client.call_tool_mcp)


try:
    anyio.run(main)
except BaseException as error:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    print("all cancelled:", type(error).__name__)
PY
go_build go-sdk-client github.com/modelcontextprotocol/go-sdk@v1.8.0 <<'GO'
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	ctx := context.Background()
	client := mcp.NewClient(&mcp.Implementation{Name: "findings", Version: "1"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: os.Args[1]}, nil)
	if err != nil {
		panic(err)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		answer, err := session.CallTool(ctx, &mcp.CallToolParams{Name: lines.Text()})
		if err != nil {
			fmt.Println("error")
		} else {
			fmt.Println(answer.Content[0].(*mcp.TextContent).Text)
		}
	}
}
GO
go_build mcp-go-client github.com/mark3labs/mcp-go@v1.2.1 <<'GO'
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
)

func main() {
	ctx := context.Background()
	session, err := client.NewStreamableHttpClient(os.Args[1])
	if err == nil {
		err = session.Start(ctx)
	}
	if err == nil {
		var request mcp.InitializeRequest
		request.Params.ProtocolVersion = mcp.LATEST_PROTOCOL_VERSION
		request.Params.ClientInfo = mcp.Implementation{Name: "findings", Version: "1"}
		_, err = session.Initialize(ctx, request)
	}
	if err != nil {
		panic(err)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var request mcp.CallToolRequest
		request.Params.Name = lines.Text()
		answer, err := session.CallTool(ctx, request)
		if err != nil {
			fmt.Println("error")
		} else {
			fmt.Println(answer.Content[0].(mcp.TextContent).Text)
		}
	}
}
GO
judge 170 "$(free_port)" <<'PY'
import sys

from wire import *

port = sys.argv[1]
url = f"http://127.0.0.1:{port}/mcp"
CLIENTS = {"TypeScript 1": ["node", "node/client.mjs", "1", url], "TypeScript 2": ["node", "node/client.mjs", "2", url],
           "AI SDK": ["node", "node/client.mjs", "ai", url], "mcp-go": ["./mcp-go-client", url], "Go SDK": ["./go-sdk-client", url],
           "Python 1": ["mcp-1/bin/python", "client.py", "1", url], "Python 2": ["mcp-2/bin/python", "client.py", "2", url],
           "FastMCP 4": ["fastmcp/bin/python", "client.py", "fastmcp", url]}


def serve():
    process = subprocess.Popen([sys.executable, "server.py", port])
    for _ in range(200):
        try:
            http.client.HTTPConnection("127.0.0.1", int(port), timeout=2).connect()
            return process
        except OSError:
            time.sleep(0.05)
    raise SystemExit(2)


def tried(client, trouble):
    """What a client says to a call, to one in trouble, and to two after it."""
    server = serve()
    process = subprocess.Popen(CLIENTS[client], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    said = []

    def ask(tool):
        try:
            process.stdin.write(tool + "\n")
            process.stdin.flush()
        except OSError:
            return
        if line := process.stdout.readline().strip():
            said.append(line)

    ask("greet")
    if trouble == "restart":
        server.kill()
        server.wait()
        ask("greet")
        server = serve()
    else:
        ask(trouble)
    ask("greet")
    ask("greet")
    process.kill()
    server.kill()
    server.wait()
    return said


good, closed = ["hello", "error", "hello", "hello"], ["hello", "error", "error", "error"]
wanted = {name: [good] * 3 for name in CLIENTS}
wanted["Go SDK"] = [good, closed, good]
wanted["Python 1"] = [["hello", f"all cancelled: {what}"] for what in ("HTTPStatusError", "HTTPStatusError", "ConnectError")]
wanted["Python 2"] = [good, good, ["hello", "all cancelled: ConnectError"]]
wanted["FastMCP 4"] = [good, good, closed]
facts = []
for client in CLIENTS:
    seen = [tried(client, trouble) for trouble in ("full", "forbidden", "restart")]
    show(f"{client}: 503 {seen[0]}, 403 {seen[1]}, restart {seen[2]}")
    facts.append((seen == wanted[client], client))
finish(*facts)
PY
