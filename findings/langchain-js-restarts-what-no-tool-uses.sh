#!/usr/bin/env bash
# Guess: with `restart: {enabled: true}` a stdio server that has exited is started again, and its tools work again.
# Seen:  it is started again, once, within the delay that was set, and is initialized. The tools that the program holds go on
#        asking the process that has exited: each call fails with "Not connected", as it does without `restart`. Only tools
#        that are asked for again (getTools) reach the new process, and the program does not learn that it must.
# With:  @langchain/mcp-adapters 1.1.4, @langchain/core 1.4.0 (npm), Node 20; the server is a few lines of Python.
# Why:   an agent is made with its tools once; after one crash of the server all of them fail until the program restarts,
#        while a new server process runs for no one.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @langchain/mcp-adapters@1.1.4 @langchain/core@1.4.0
cat >server.py <<'PY'
import json
import os
import sys

for line in sys.stdin:
    message = json.loads(line)
    method, tool = message["method"], message.get("params", {}).get("name")
    with open(sys.argv[1], "a") as heard:
        print(os.getpid(), tool or method, file=heard)
    if tool == "leave":
        os._exit(1)
    results = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
        "tools/list": {"tools": [{"name": name, "inputSchema": {"type": "object", "properties": {}}} for name in ("greet", "leave")]},
        "tools/call": {"content": [{"type": "text", "text": "hello"}]},
    }
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": results.get(method, {})}), flush=True)
PY
cat >node/client.mjs <<'JS'
import { readFileSync } from "node:fs"
import { MultiServerMCPClient } from "@langchain/mcp-adapters"

const [heard, restart] = process.argv.slice(2)
const toy = { transport: "stdio", command: "python3", args: ["../server.py", `../${heard}`], ...JSON.parse(restart) }
const client = new MultiServerMCPClient({ mcpServers: { toy } })
const call = (tools, name) =>
  tools.find((tool) => tool.name === name).invoke({}).then((said) => said, (error) => error.message.split(": ").pop())
const starts = () => readFileSync(`../${heard}`, "utf8").split("\n").filter((line) => line.endsWith(" notifications/initialized")).length
const tools = await client.getTools()
const said = [await call(tools, "greet"), await call(tools, "leave")]
for (let tries = 0; starts() < 2 && tries < 60; tries++) await new Promise((resolve) => setTimeout(resolve, 50))
await new Promise((resolve) => setTimeout(resolve, 1000))
said.push(await call(tools, "greet"), await call(tools, "greet"))
const processes = starts()
said.push(await call(await client.getTools(), "greet"))
console.log(`${said.join(", ")}; processes: ${processes}`)
process.exit(0)
JS
for case in plain restart; do
    given='{}'
    [ "$case" = plain ] || given='{"restart": {"enabled": true, "maxAttempts": 3, "delayMs": 100}}'
    (cd node && bounded 60 node client.mjs "$case.heard" "$given") >"$case" 2>"$case.log" || unable "the client: $(tail -1 "$case.log")"
    observed "$case: greet, leave, greet, greet, and greet of tools asked for again: $(cat "$case")"
done
[ "$(cat restart)" = "hello, Connection closed, Not connected, Not connected, hello; processes: 2" ] \
    && [ "$(cut -d, -f1-4 plain)" = "hello, Connection closed, Not connected, Not connected" ] && grep -q "processes: 1" plain && verdict 0
verdict 1
