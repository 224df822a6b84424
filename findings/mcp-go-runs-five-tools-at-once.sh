#!/usr/bin/env bash
# Guess: a server in Go runs each tool call in a goroutine of its own, and a call that was cancelled before it began does
#        not begin.
# Seen:  over stdio mcp-go runs five calls at once; a sixth waits for one of them, a quick tool's as well, while ping and
#        lists are answered. A call that is cancelled while it runs ends, one that is cancelled while it waits is carried out
#        later all the same. With more than 105 calls in the server ping waits, too. The official Go SDK runs all at once and
#        ends each that is cancelled. mcp-go has an option for the number, WithWorkerPoolSize.
# With:  github.com/mark3labs/mcp-go 1.2.1, github.com/modelcontextprotocol/go-sdk 1.8.0 (Go 1.25 or newer).
# Why:   five calls that wait (logs that are followed, a build, a rollout) make the next status check time out although
#        ping says that the server is well; a start that was cancelled in time happens minutes later.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need go
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
	s := server.NewMCPServer("waits", "1")
	s.AddTool(mcp.NewTool("wait", mcp.WithNumber("seconds"), mcp.WithString("file")),
		func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			select {
			case <-time.After(time.Duration(r.GetFloat("seconds", 0) * float64(time.Second))):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			os.WriteFile(r.GetString("file", ""), nil, 0o600)
			return mcp.NewToolResultText("done"), nil
		})
	server.ServeStdio(s)
}
GO
go_build go-sdk-server github.com/modelcontextprotocol/go-sdk@v1.8.0 <<'GO'
package main

import (
	"context"
	"os"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type arguments struct {
	Seconds float64 `json:"seconds"`
	File    string  `json:"file"`
}

func main() {
	s := mcp.NewServer(&mcp.Implementation{Name: "waits", Version: "1"}, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "wait"}, func(ctx context.Context, _ *mcp.CallToolRequest, in arguments) (*mcp.CallToolResult, any, error) {
		select {
		case <-time.After(time.Duration(in.Seconds * float64(time.Second))):
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
		os.WriteFile(in.File, nil, 0o600)
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil, nil
	})
	s.Run(context.Background(), &mcp.StdioTransport{})
}
GO
judge 120 <<'PY'
from pathlib import Path

from wire import *

LONG = 8


def is_answered(server, number, seconds):
    try:
        return "result" in (server.answer(number, seconds) or {})
    except TimeoutError:
        return False


def wait(server, seconds, file):
    return server.ask("tools/call", {"name": "wait", "arguments": {"seconds": seconds, "file": f"{server.name}-{file}"}})


facts = []
for name, has_five in (("mcp-go", True), ("go-sdk", False)):
    server = Stdio(f"./{name}-server")
    server.name = name
    server.hello()
    for number in range(4):
        wait(server, LONG, f"long{number}")
    running = wait(server, LONG, "running")
    time.sleep(0.5)
    quick, cancelled = wait(server, 0, "quick"), wait(server, 1, "waiting")
    ping, sixth = is_answered(server, server.ask("ping"), 3), is_answered(server, quick, 2)
    for number in (cancelled, running):
        server.notify("notifications/cancelled", {"requestId": number})
    time.sleep(LONG + 2)
    carried = [Path(f"{name}-{file}").exists() for file in ("long0", "running", "waiting")]
    server.kill()
    show(f"{name}: while five calls wait: ping answered {ping}, a sixth, quick call {sixth}; carried out: one that was "
         f"not cancelled {carried[0]}, one that was while it ran {carried[1]}, one that was right after it came {carried[2]}")
    facts += [(ping, f"{name}: ping"), (sixth != has_five, f"{name}: the sixth"), (carried == [True, False, has_five], f"{name}: cancelled")]
server = Stdio("./mcp-go-server")
server.name = "full"
server.hello()
for number in range(106):
    wait(server, LONG, number)
full = is_answered(server, server.ask("ping"), 3)
server.kill()
show(f"mcp-go: ping with 106 calls in the server: answered {full}")
finish(*facts, (not full, "ping with a full queue"))
PY
