#!/usr/bin/env bash
# Guess: `roots/list` has no parameters, so the question of a server for the client's roots needs no `params`.
# Seen:  asked in an answer (`inputRequests` of 2026-07-28) without `params`, the Go SDK fails the whole call with
#        "unexpected end of JSON input"; with `"params": {}` it answers, and the call goes on. The Python SDK reads both.
# With:  github.com/modelcontextprotocol/go-sdk 1.8.0 (Go 1.25 or newer), mcp 2.3.0 (PyPI).
# Why:   the Python SDK's server leaves `params` out of a question by default: its tools fail for clients in Go.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need go
venv_install "$WORK/python" mcp==2.3.0
cat >server.py <<'PY'
import json
import sys

ABOUT = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
TOOLS = {"tools": [{"name": "roots", "inputSchema": {"type": "object"}}], "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
question = {"method": "roots/list", **({"params": {}} if sys.argv[1] == "with" else {})}
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    method, params = message["method"], message.get("params") or {}
    result = {"server/discover": ABOUT, "tools/list": TOOLS}.get(method)
    if method == "tools/call":
        answered = params.get("inputResponses")
        result = {"resultType": "complete", "content": [{"type": "text", "text": json.dumps(answered)}]}
        if not answered:
            result = {"resultType": "input_required", "inputRequests": {"roots": question}}
    said = {"result": result} if result else {"error": {"code": -32601, "message": "unknown method"}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}), flush=True)
PY
go_build go-client github.com/modelcontextprotocol/go-sdk@v1.8.0 <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	client := mcp.NewClient(&mcp.Implementation{Name: "findings", Version: "1"}, nil)
	client.AddRoots(&mcp.Root{URI: "file:///there"})
	session, err := client.Connect(ctx, &mcp.CommandTransport{Command: exec.Command("python3", "server.py", os.Args[1])}, nil)
	if err != nil {
		fmt.Println("no session:", err)
		return
	}
	defer session.Close()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "roots"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, part := range result.Content {
		if text, ok := part.(*mcp.TextContent); ok {
			fmt.Println(text.Text)
		}
	}
}
GO
cat >client.py <<'PY'
import sys

import anyio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp_types import ListRootsResult, Root


async def roots(_context):
    return ListRootsResult(roots=[Root(uri="file:///there")])


async def main():
    async with Client(StdioServerParameters(command="python3", args=["server.py", sys.argv[1]]), list_roots_callback=roots) as client:
        print((await client.call_tool("roots", {})).content[0].text)


anyio.run(main)
PY
for how in with without; do
    bounded 30 ./go-client "$how" >"go-$how" 2>&1 || true
    bounded 30 "$WORK/python/bin/python" client.py "$how" >"python-$how" 2>&1 || true
    observed "$how params: Go: $(tail -1 "go-$how"); Python: $(tail -1 "python-$how")"
done
grep -q "file:///there" go-with && grep -q "unexpected end of JSON input" go-without \
    && grep -q "file:///there" python-with && grep -q "file:///there" python-without && verdict 0
verdict 1
