#!/usr/bin/env bash
# Guess: `printf '…' | server`, as in a script or a first test, gets an answer to each request, since a stdio server reads what
#        was sent before its input ended; or it fails, and what is not answered has not been carried out.
# Seen:  servers of the TypeScript SDK finish and answer all. Those of the Python SDK, in both versions, carry out the call that is
#        under way and drop its answer: `git_create_branch` of the official git server makes the branch, and the time server does not say
#        the time. An async tool is cancelled, silently in version 1, with an error in version 2. The Go SDK cuts the tool off and mostly
#        leaves even `initialize` and tools/list without an answer. mcp-go cancels the tool's context, and answers that. The status
#        is 0 for all of them.
# With:  @modelcontextprotocol/server-everything and server-filesystem 2026.8.31 (npm), mcp-server-git and mcp-server-time 2026.10.19,
#        mcp 1.30.0 and 2.3.0 (PyPI), github.com/modelcontextprotocol/go-sdk 1.8.0, github.com/mark3labs/mcp-go 1.2.1.
# Why:   a script that pipes its calls takes a change that was made for one that was not; a health check by pipe is empty, with
#        status 0. Keep stdin open until the last answer has come.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need go git
npm_install @modelcontextprotocol/server-everything@2026.8.31 @modelcontextprotocol/server-filesystem@2026.8.31
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0 mcp-server-git==2026.10.19 mcp-server-time==2026.10.19
cat >server.py <<'PY'
import asyncio
import time

try:
    from mcp.server.fastmcp import FastMCP as Server
except ImportError:
    from mcp.server.mcpserver import MCPServer as Server

server = Server("toy")


@server.tool()
def plain() -> str:
    time.sleep(0.5)
    open("made", "w").close()
    return "made"


@server.tool()
async def coroutine() -> str:
    await asyncio.sleep(0.5)
    open("made", "w").close()
    return "made"


server.run()
PY
go_build go-sdk-server github.com/modelcontextprotocol/go-sdk@v1.8.0 <<'GO'
package main

import (
	"context"
	"os"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type none struct{}

func main() {
	s := mcp.NewServer(&mcp.Implementation{Name: "toy", Version: "1"}, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "make"}, func(context.Context, *mcp.CallToolRequest, none) (*mcp.CallToolResult, none, error) {
		time.Sleep(500 * time.Millisecond)
		os.WriteFile("made", nil, 0o644)
		return nil, none{}, nil
	})
	s.Run(context.Background(), &mcp.StdioTransport{})
}
GO
go_build mcp-go-server github.com/mark3labs/mcp-go@v1.2.1 <<'GO'
package main

import (
	"context"
	"os"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func main() {
	s := server.NewMCPServer("toy", "1")
	s.AddTool(mcp.NewTool("make"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
		os.WriteFile("made", nil, 0o644)
		return mcp.NewToolResultText("made"), nil
	})
	server.ServeStdio(s)
}
GO
git init -q repo
git -C repo -c user.name=A -c user.email=a@example.com commit -q --allow-empty -m one
judge 120 <<'PY'
import os

from wire import *

HELLO = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": CLIENT}


def piped(tool, arguments, *command):
    """The exit status, and what came: the ids of results and, with a minus, of errors."""
    messages = [{"id": 1, "method": "initialize", "params": HELLO}, {"method": "notifications/initialized"}, {"id": 2, "method": "tools/list"},
                {"id": 3, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}]
    given = "".join(json.dumps({"jsonrpc": "2.0", **message}) + "\n" for message in messages)
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=40)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    answers = sorted((message["id"] for message in said if "result" in message or "error" in message))
    failed = any("error" in message or message.get("result", {}).get("isError") for message in said)
    return done.returncode, answers, failed


def made(path="made"):
    try:
        os.unlink(path)
        return True
    except FileNotFoundError:
        return False


facts = []


def check(name, wanted, seen, carried_out=None):
    tail = "" if carried_out is None else f", carried out: {carried_out}"
    show(f"{name}: exit status {seen[0]}, answered {seen[1]}{', one of them an error' if seen[2] else ''}{tail}")
    facts.append(((seen, carried_out) == wanted, name))


bin_1, bin_2, node = "mcp-1/bin", "mcp-2/bin", "node/node_modules/.bin"
whole, two = (0, [1, 2, 3], False), (0, [1, 2], False)
check("server-everything", (whole, None), piped("trigger-long-running-operation", {"duration": 1, "steps": 1}, f"{node}/mcp-server-everything"))
check("server-filesystem", (whole, None), piped("list_allowed_directories", {}, f"{node}/mcp-server-filesystem", os.getcwd()))
check("mcp-server-time", (two, None), piped("get_current_time", {"timezone": "UTC"}, f"{bin_2}/mcp-server-time"))
seen = piped("git_create_branch", {"repo_path": "repo", "branch_name": "new"}, f"{bin_2}/mcp-server-git")
check("mcp-server-git", (two, True), seen, made("repo/.git/refs/heads/new"))
check("Python 1, plain", (two, True), piped("plain", {}, f"{bin_1}/python", "server.py"), made())
check("Python 1, coroutine", (two, False), piped("coroutine", {}, f"{bin_1}/python", "server.py"), made())
check("Python 2, plain", (two, True), piped("plain", {}, f"{bin_2}/python", "server.py"), made())
check("Python 2, coroutine", ((0, [1, 2, 3], True), False), piped("coroutine", {}, f"{bin_2}/python", "server.py"), made())
check("mcp-go", ((0, [1, 2, 3], True), False), piped("make", {}, "./mcp-go-server"), made())
runs = [piped("make", {}, "./go-sdk-server") for _ in range(5)]
show(f"Go SDK, five times: {[(status, answers) for status, answers, _ in runs]}, carried out: {made()}")
facts.append((all(status == 0 and 3 not in answers for status, answers, _ in runs) and any(len(answers) < 2 for _, answers, _ in runs), "Go SDK"))
finish(*facts)
PY
