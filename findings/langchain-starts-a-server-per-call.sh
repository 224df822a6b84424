#!/usr/bin/env bash
# Guess: the tools of one MultiServerMCPClient share a server process; a model sees the structured content of an answer.
# Seen:  get_tools() returns tools that start the stdio server anew for each single call and end it afterwards: two calls
#        see two pids. A server that was stateful for its author (a started job, an open session) has forgotten it by the
#        next call. An answer that has structured content alone reaches the model as [], as the facts go to the message's
#        artifact, which models do not get.
# With:  langchain-mcp-adapters 0.3.2 with mcp 1.30.0 (PyPI); `async with client.session(...)` is the way to keep a process.
# Why:   servers must not tie a service's life to their own process or to one client's session, and their text must have
#        all facts.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install langchain-mcp-adapters==0.3.2 mcp==1.30.0
cat >toy.py <<'PY'
import json, os, sys
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    result = {}
    if message["method"] == "initialize":
        result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}},
                  "serverInfo": {"name": "toy", "version": "1"}}
    elif message["method"] == "tools/list":
        result = {"tools": [{"name": name, "description": name, "inputSchema": {"type": "object"}} for name in ("pid", "facts")]}
    elif message["method"] == "tools/call":
        text = [{"type": "text", "text": str(os.getpid())}] if message["params"]["name"] == "pid" else []
        result = {"content": text, "structuredContent": {"id": "k1"}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
PY
judge 90 <<'PY'
import asyncio
import sys

from langchain_mcp_adapters.client import MultiServerMCPClient

from wire import *


async def main():
    client = MultiServerMCPClient({"toy": {"transport": "stdio", "command": sys.executable, "args": ["toy.py"]}})
    tools = {tool.name: tool for tool in await client.get_tools()}

    async def ask(name):
        return await tools[name].ainvoke({"type": "tool_call", "id": "1", "name": name, "args": {}})

    pids = [(await ask("pid")).content[0]["text"] for _ in range(2)]
    facts = await ask("facts")
    show(f"two calls, same process: {pids[0] == pids[1]}")
    show(f"structured content alone: content {facts.content}, artifact {facts.artifact}")
    finish((pids[0] != pids[1], "calls share a process"),
           (facts.content == [] and facts.artifact == {"structured_content": {"id": "k1"}}, "the model sees the facts"))


asyncio.run(main())
PY
