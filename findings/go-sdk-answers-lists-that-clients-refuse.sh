#!/usr/bin/env bash
# Guess: what a server of the Go SDK makes of a Go type can be read by a client of the same protocol version, and a tool
#        whose answer cannot be sent fails with isError.
# Seen:  a tool that returns a slice lists an output schema of type ["null", "array"] and answers a list, in 2025-11-25 as
#        well, which knows objects alone. For that one tool both TypeScript clients and the Python client 2 refuse the whole
#        tools/list; the Python client 2 then fails each call of the server's other tools, too. A nil map ("want object") and
#        a []byte ("want one of null, array") fail the server's own check after the tool has run, as a protocol error with
#        the code 0. A nil slice is null, which its schema allows.
# With:  github.com/modelcontextprotocol/go-sdk 1.8.0 (Go 1.25 or newer); @modelcontextprotocol/sdk 1.32.2 and client 2.4.0
#        (npm), mcp 1.30.0 and 2.3.0 (PyPI) as clients.
# Why:   with one tool that returns a slice a server has no tools for most clients; a start whose labels are nil is carried
#        out and answered as an error.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need go
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
go_build toy github.com/modelcontextprotocol/go-sdk@v1.8.0 <<'GO'
package main

import (
	"context"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type labels struct {
	Labels map[string]string `json:"labels"`
}

type key struct {
	Key []byte `json:"key"`
}

type names struct {
	Names []string `json:"names"`
}

func add[Out any](s *mcp.Server, name string, out Out) {
	mcp.AddTool(s, &mcp.Tool{Name: name}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, Out, error) {
		os.WriteFile(name+".ran", nil, 0o600)
		return nil, out, nil
	})
}

func main() {
	s := mcp.NewServer(&mcp.Implementation{Name: "toy", Version: "1"}, nil)
	if len(os.Args) > 1 {
		add(s, "jobs", []string{"web"})
	}
	add(s, "labels", labels{})
	add(s, "key", key{[]byte("abc")})
	add(s, "names", names{})
	s.Run(context.Background(), &mcp.StdioTransport{})
}
GO
cat >node/client.mjs <<'JS'
const [version, ...args] = process.argv.slice(2)
const old = version === "1"
const { Client } = await import(old ? "@modelcontextprotocol/sdk/client/index.js" : "@modelcontextprotocol/client")
const { StdioClientTransport } = await import(old ? "@modelcontextprotocol/sdk/client/stdio.js" : "@modelcontextprotocol/client/stdio")
const one = new Client({ name: "findings", version: "1" })
await one.connect(new StdioClientTransport({ command: "./toy", args }))
const listed = await one.listTools().then(list => list.tools.length, () => "refused")
const answer = await one.callTool({ name: "names", arguments: {} }).then(answer => answer.structuredContent, () => "refused")
console.log(JSON.stringify([listed, answer]))
process.exit(0)
JS
cat >client.py <<'PY'
import json
import sys

import anyio
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from pydantic import ValidationError


async def main():
    async with stdio_client(StdioServerParameters(command="./toy", args=sys.argv[1:])) as streams, ClientSession(*streams) as client:
        await client.initialize()
        try:
            listed = len((await client.list_tools()).tools)
        except ValidationError:
            listed = "refused"
        try:
            answer = (await client.call_tool("names", {})).model_dump(by_alias=True)["structuredContent"]
        except ValidationError:
            answer = "refused"
        print(json.dumps([listed, answer]))


anyio.run(main)
PY
judge 400 <<'PY'
from wire import *

server = Stdio("./toy", "jobs")
version = server.hello()["result"]["protocolVersion"]
[schema] = [tool["outputSchema"] for tool in server.request("tools/list", {})["result"]["tools"] if tool["name"] == "jobs"]
jobs = server.call("jobs")["result"]["structuredContent"]
names = server.call("names")["result"]["structuredContent"]
failed = {name: server.call(name).get("error") for name in ("labels", "key")}
ran = [os.path.exists(f"{name}.ran") for name in failed]
server.kill()
show(f"in {version} the schema of a slice has the type {schema['type']}, its answer is {jobs}; a nil slice in a struct is {names}")
show(f"a nil map and a []byte: {failed}; the tools ran: {ran}")
clients = {"TypeScript 1": ["node", "node/client.mjs", "1"], "TypeScript 2": ["node", "node/client.mjs", "2"],
           "Python 1": ["mcp-1/bin/python", "client.py"], "Python 2": ["mcp-2/bin/python", "client.py"]}
none = {"names": None}
wanted = {"TypeScript 1": ["refused", none], "TypeScript 2": ["refused", none], "Python 1": [4, none], "Python 2": ["refused", "refused"]}
facts = []
for name, command in clients.items():
    without, with_list = (json.loads(subprocess.run([*command, *more], capture_output=True, text=True, timeout=60).stdout) for more in ([], ["jobs"]))
    show(f"{name}: without that tool it lists {without[0]} tools and gets {without[1]} from another; with it: {with_list}")
    facts.append((without == [3, none] and with_list == wanted[name], name))
finish(*facts, (version == LEGACY and schema["type"] == ["null", "array"] and jobs == ["web"] and names == none, "a slice"),
       (all(error and error["code"] == 0 for error in failed.values()) and ran == [True, True], "a nil map and a []byte"))
PY
