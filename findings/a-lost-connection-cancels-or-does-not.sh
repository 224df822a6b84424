#!/usr/bin/env bash
# Guess: a call over HTTP whose connection is lost is carried out, as the 2025-11-25 protocol says that a disconnection is no
#        cancellation; at least one server does the same for each client.
# Seen:  of five servers mcp-go cancels it, the others carry it out. But one server of the Python SDK 2 or of FastMCP 4 cancels the
#        same call if the client is of 2026-07-28, where the end of the stream is the cancellation, and carries it out for a client of
#        2025-11-25. A plain function of Python, which cannot be cancelled, runs to its end in both.
# With:  mcp 1.30.0 and 2.3.0, fastmcp 4.2.3 (PyPI), github.com/modelcontextprotocol/go-sdk 1.8.0, github.com/mark3labs/mcp-go
#        1.2.1.
# Why:   a gateway's time limit, a laptop that sleeps or an agent that is killed stops a deployment half way, or not, by what
#        the client and the server were built with; whether to call again is known only by a look.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need go
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
cat >server.py <<'PY'
import asyncio
import sys
import time

which, port = sys.argv[1:]
where = {"host": "127.0.0.1", "port": int(port)}
if which == "mcp-1":
    from mcp.server.fastmcp import FastMCP

    server, where = FastMCP("toy", **where), {}
elif which == "mcp-2":
    from mcp.server.mcpserver import MCPServer

    server = MCPServer("toy")
else:
    from fastmcp import FastMCP

    server = FastMCP("toy")


def say(word):
    print("tool:", word, flush=True)


@server.tool()
async def wait() -> str:
    say("begun")
    try:
        await asyncio.sleep(2)
    except BaseException:
        say("cancelled")
        raise
    say("carried out")
    return "done"


@server.tool()
def plain() -> str:
    say("begun")
    time.sleep(2)
    say("carried out")
    return "done"


server.run("streamable-http" if which != "fastmcp" else "http", **where)
PY
go_build go-sdk-server github.com/modelcontextprotocol/go-sdk@v1.8.0 <<'GO'
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type none struct{}

func main() {
	s := mcp.NewServer(&mcp.Implementation{Name: "toy", Version: "1"}, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "wait"}, func(ctx context.Context, _ *mcp.CallToolRequest, _ none) (*mcp.CallToolResult, none, error) {
		fmt.Println("tool: begun")
		select {
		case <-ctx.Done():
			fmt.Println("tool: cancelled")
			return nil, none{}, ctx.Err()
		case <-time.After(2 * time.Second):
		}
		fmt.Println("tool: carried out")
		return nil, none{}, nil
	})
	http.ListenAndServe("127.0.0.1:"+os.Args[1], mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, nil))
}
GO
go_build mcp-go-server github.com/mark3labs/mcp-go@v1.2.1 <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func main() {
	s := server.NewMCPServer("toy", "1")
	s.AddTool(mcp.NewTool("wait"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		fmt.Println("tool: begun")
		select {
		case <-ctx.Done():
			fmt.Println("tool: cancelled")
			return nil, ctx.Err()
		case <-time.After(2 * time.Second):
		}
		fmt.Println("tool: carried out")
		return mcp.NewToolResultText("done"), nil
	})
	server.NewStreamableHTTPServer(s).Start("127.0.0.1:" + os.Args[1])
}
GO
declare -A ports
for name in mcp-1 mcp-2 fastmcp go-sdk mcp-go; do
    ports[$name]=$(free_port)
    if [ -d "$name/bin" ]; then command=("$name/bin/python" server.py "$name"); else command=("./$name-server"); fi
    "${command[@]}" "${ports[$name]}" >"$name.log" 2>&1 &
    wait_for 60 listens "${ports[$name]}" || unable "$name does not listen: $(tail -1 "$name.log")"
done
judge 120 "${ports[mcp-1]}" "${ports[mcp-2]}" "${ports[fastmcp]}" "${ports[go-sdk]}" "${ports[mcp-go]}" <<'PY'
import socket
import sys

from wire import *

ports = dict(zip(("mcp-1", "mcp-2", "fastmcp", "go-sdk", "mcp-go"), map(int, sys.argv[1:])))
NEW = {f"io.modelcontextprotocol/{key}": value for key, value in (("protocolVersion", "2026-07-28"), ("clientInfo", CLIENT), ("clientCapabilities", {}))}


def told(name):
    return [line.removeprefix("tool: ") for line in open(f"{name}.log").read().splitlines() if line.startswith("tool: ")]


def lost(name, version, tool="wait"):
    """What a tool says whose client's connection is gone before it has answered."""
    before, client = len(told(name)), Http(ports[name])
    params = {"name": tool, "arguments": {}}
    if version == LEGACY:
        client.hello()
    else:
        params["_meta"] = NEW
        client.headers = {"MCP-Protocol-Version": version, "Mcp-Method": "tools/call", "Mcp-Name": tool}
    connection = http.client.HTTPConnection("127.0.0.1", ports[name], timeout=10)
    message = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}
    connection.request("POST", "/mcp", json.dumps(message), {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **client.headers})
    until = time.monotonic() + 10
    while len(told(name)) == before and time.monotonic() < until:
        time.sleep(0.05)
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
    while len(told(name)) < before + 2 and time.monotonic() < until:
        time.sleep(0.05)
    return " and ".join(told(name)[before:])


CARRIED, CANCELLED = "begun and carried out", "begun and cancelled"
facts = []
for name, version, tool, wanted in (
    ("mcp-1", LEGACY, "wait", CARRIED), ("go-sdk", LEGACY, "wait", CARRIED), ("mcp-go", LEGACY, "wait", CANCELLED),
    ("mcp-2", LEGACY, "wait", CARRIED), ("mcp-2", "2026-07-28", "wait", CANCELLED), ("mcp-2", "2026-07-28", "plain", CARRIED),
    ("fastmcp", LEGACY, "wait", CARRIED), ("fastmcp", "2026-07-28", "wait", CANCELLED), ("fastmcp", "2026-07-28", "plain", CARRIED),
):
    seen = lost(name, version, tool)
    show(f"{name}, {version}, {tool}: {seen}")
    facts.append((seen == wanted, f"{name} {version} {tool}"))
finish(*facts)
PY
