#!/usr/bin/env bash
# Guess: a call that reports progress is not timed out, at least by a client that asked for the progress.
# Seen:  both TypeScript clients give up and cancel the call after 60 s, whether they asked for progress or not (the
#        option that lets progress count is off by default); so does the Inspector's command line. The AI SDK and both
#        Python SDKs have no limit at all: they wait for the answer, also where none ever comes.
# With:  @modelcontextprotocol/sdk 1.32.2, @modelcontextprotocol/client 2.4.0, @ai-sdk/mcp 2.0.99, inspector 2.12.0 and
#        node 22.22.0 (npm), mcp 1.30.0 and 2.3.0 (PyPI); the server is a few lines of Python that answers after 75 s.
# Why:   work of a minute must be answered before 60 s with something to wait on, for the clients that people use most;
#        for others the server's own deadline is the only one there is.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0 @ai-sdk/mcp@2.0.99 \
    @modelcontextprotocol/inspector@2.12.0 node@22.22.0
venv_install "$WORK/v1" mcp==1.30.0
venv_install "$WORK/v2" mcp==2.3.0

cat >"$WORK/toy.py" <<'PY'
"""A tool that takes 75 s and reports progress every 5 s when asked to. argv[1] gets each method that comes."""
import json, sys, threading, time
lock = threading.Lock()
def send(message):
    with lock:
        print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
def work(number, token):
    for done in range(15):
        time.sleep(5)
        if token is not None:
            send({"method": "notifications/progress", "params": {"progressToken": token, "progress": done + 1, "total": 15}})
    send({"id": number, "result": {"content": [{"type": "text", "text": "done"}]}})
for line in sys.stdin:
    message = json.loads(line)
    with open(sys.argv[1], "a") as heard:
        print(message["method"], file=heard)
    if "id" not in message:
        continue
    if message["method"] == "tools/call":
        token = message["params"].get("_meta", {}).get("progressToken")
        threading.Thread(target=work, args=(message["id"], token), daemon=True).start()
        continue
    info = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}}
    found = {"initialize": info, "tools/list": {"tools": [{"name": "slow", "inputSchema": {"type": "object"}}]}}.get(message["method"])
    send({"id": message["id"], **({"result": found} if found else {"error": {"code": -32601, "message": "Method not found"}})})
PY
cat >node/sdk.mjs <<'JS'
const [client, transport, heard, progress] = process.argv.slice(2)
const { Client } = await import(client)
const { StdioClientTransport } = await import(transport)
const one = new Client({ name: "findings", version: "1" })
await one.connect(new StdioClientTransport({ command: "python3", args: ["../toy.py", heard] }))
let reports = 0
const options = progress === "progress" ? { onprogress: () => reports++ } : {}
const call = { name: "slow", arguments: {} }
const answer = client.includes("index.js") ? one.callTool(call, undefined, options) : one.callTool(call, options)
const began = Date.now()
const outcome = await answer.then(() => "answered", () => "gave up")
console.log(outcome, Math.round((Date.now() - began) / 1000), reports)
setTimeout(() => process.exit(0), 500)
JS
cat >node/ai.mjs <<'JS'
import { createMCPClient } from "@ai-sdk/mcp"
import { Experimental_StdioMCPTransport } from "@ai-sdk/mcp/mcp-stdio"
const transport = new Experimental_StdioMCPTransport({ command: "python3", args: ["../toy.py", process.argv[2]] })
const { slow } = await (await createMCPClient({ transport })).tools()
const began = Date.now()
const outcome = await slow.execute({}, { toolCallId: "1", messages: [] }).then(() => "answered", () => "gave up")
console.log(outcome, Math.round((Date.now() - began) / 1000), 0)
process.exit(0)
JS
cat >client.py <<'PY'
import anyio, sys, time
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
async def main():
    async with stdio_client(StdioServerParameters(command="python3", args=["toy.py", sys.argv[1]])) as streams:
        async with ClientSession(*streams) as client:
            await client.initialize()
            began = time.monotonic()
            await client.call_tool("slow", {})
            print("answered", round(time.monotonic() - began), 0)
anyio.run(main)
PY

judge 200 <<'PY'
import os, subprocess
from wire import *

work = os.environ["WORK"]
one = ["@modelcontextprotocol/sdk/client/index.js", "@modelcontextprotocol/sdk/client/stdio.js"]
two = ["@modelcontextprotocol/client", "@modelcontextprotocol/client/stdio"]
runs = {  # outcome, cancellation sent
    "sdk 1": (["node", "sdk.mjs", *one, "H", "-"], "gave up"),
    "sdk 1 with progress": (["node", "sdk.mjs", *one, "H", "progress"], "gave up"),
    "client 2": (["node", "sdk.mjs", *two, "H", "-"], "gave up"),
    "client 2 with progress": (["node", "sdk.mjs", *two, "H", "progress"], "gave up"),
    "AI SDK": (["node", "ai.mjs", "H"], "answered"),
    "Python 1": ([f"{work}/v1/bin/python", "client.py", "H"], "answered"),
    "Python 2": ([f"{work}/v2/bin/python", "client.py", "H"], "answered"),
}
started = {}
for number, (name, (command, _)) in enumerate(runs.items()):
    heard = f"{work}/heard{number}"
    folder = "node" if command[0] == "node" else "."
    process = subprocess.Popen([heard if part == "H" else part for part in command], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True, cwd=folder)
    started[name] = process, heard
inspector = subprocess.run(["mcp-inspector", "--cli", "python3", f"{work}/toy.py", f"{work}/heard-inspector", "--method",
                            "tools/call", "--tool-name", "slow"], capture_output=True, text=True, timeout=150)
facts = []
for name, (process, heard) in started.items():
    *outcome, seconds, reports = process.communicate(timeout=120)[0].split()
    cancelled = "notifications/cancelled" in open(heard).read()
    show(f"{name}: {' '.join(outcome)} after {seconds} s, {reports} reports of progress, cancellation sent: {cancelled}")
    wanted = runs[name][1]
    facts.append((" ".join(outcome) == wanted and cancelled == (wanted == "gave up"), name))
    facts.append(("with progress" not in name or int(reports) > 8, f"{name} had its reports"))
timed_out = "timed out" in (inspector.stdout + inspector.stderr)
show(f"Inspector's command line: exit status {inspector.returncode}, timed out: {timed_out}")
finish(*facts, (timed_out and inspector.returncode != 0, "the Inspector"))
PY
