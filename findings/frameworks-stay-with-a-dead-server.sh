#!/usr/bin/env bash
# Guess: a framework that started a stdio server starts it again once it has exited, or all of them fail alike, in words that
#        say so; a call that failed because the server is gone is no reason to try other arguments.
# Seen:  five answers. Google ADK starts the server again for the next call, without a word: what it held is gone. OpenAI
#        Agents, Strands and Pydantic AI fail each later call with "Connection closed" and never start it again; Pydantic AI
#        raises ModelRetry, which asks the model to correct its call. AutoGen fails them with an empty text.
# With:  openai-agents 0.24.0, google-adk 2.13.0, pydantic-ai-slim 2.68.0 on mcp 2.3.0; strands-agents 1.62.0 on mcp 2.1.1;
#        autogen-ext 0.7.5 on mcp 1.30.0 (PyPI); the server is a few lines of Python.
# Why:   after one crash an agent has lost its server for good, and its model is told nothing, or to try again; with ADK it
#        goes on with handles that the new process has never given.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
venv_install "$WORK/two" openai-agents==0.24.0 google-adk==2.13.0 "pydantic-ai-slim[mcp]==2.68.0" mcp==2.3.0
venv_install "$WORK/strands" strands-agents==1.62.0 mcp==2.1.1
venv_install "$WORK/one" "autogen-ext[mcp]==0.7.5" mcp==1.30.0
cat >server.py <<'PY'
import json
import os
import sys

with open(sys.argv[1], "a") as heard:
    print("begins", file=heard)
for line in sys.stdin:
    message = json.loads(line)
    if message.get("params", {}).get("name") == "leave":
        os._exit(1)
    found = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
        "tools/list": {"tools": [{"name": name, "description": name, "inputSchema": {"type": "object", "properties": {}}} for name in ("greet", "leave")]},
        "tools/call": {"content": [{"type": "text", "text": "hello"}]},
    }.get(message["method"])
    if "id" in message:
        said = {"result": found} if found else {"error": {"code": -32601, "message": "Method not found"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}), flush=True)
PY
cat >client.py <<'PY'
import asyncio
import sys

name = sys.argv[1]
SERVER = {"command": sys.executable, "args": ["server.py", f"{name}.heard"]}


async def calls(call):
    for tool in ("greet", "leave", "greet", "greet"):
        try:
            said = str(await asyncio.wait_for(call(tool), 15))
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        said = said.replace("\\n", "")
        known = [word for word in ("ModelRetry", "hello", "Connection closed", "content=''") if word in said]
        print(tool, "|".join(known) or said, flush=True)


async def openai():
    from agents.mcp import MCPServerStdio

    async with MCPServerStdio(params=SERVER) as server:
        await calls(lambda tool: server.call_tool(tool, {}))


async def adk():
    from google.adk.tools.mcp_tool import McpToolset, StdioConnectionParams
    from mcp import StdioServerParameters

    found = McpToolset(connection_params=StdioConnectionParams(server_params=StdioServerParameters(**SERVER)))
    tools = {tool.name: tool for tool in await found.get_tools()}
    await calls(lambda tool: tools[tool].run_async(args={}, tool_context=None))
    await found.close()


async def pydantic():
    from fastmcp.client.transports import StdioTransport
    from pydantic_ai.mcp import MCPToolset

    async with MCPToolset(StdioTransport(**SERVER)) as server:
        await calls(lambda tool: server.direct_call_tool(tool, {}))


async def strands():
    from mcp import StdioServerParameters, stdio_client
    from strands.tools.mcp import MCPClient

    client = MCPClient(lambda: stdio_client(StdioServerParameters(**SERVER)))
    with client:
        await calls(lambda tool: asyncio.to_thread(client.call_tool_sync, "1", tool, {}))


async def autogen():
    from autogen_ext.tools.mcp import McpWorkbench, StdioServerParams

    async with McpWorkbench(StdioServerParams(**SERVER)) as server:
        await calls(lambda tool: server.call_tool(tool, {}))


asyncio.run(globals()[name]())
PY
changed=0
trial() { # VENV NAME PROCESSES AFTER
    local said starts
    said=$(bounded 60 "$1/bin/python" client.py "$2" 2>>errors.log | tr '\n' ';' || true)
    starts=$(grep -c begins "$2.heard" || true)
    observed "$2: $said processes: $starts"
    [[ "$said" == "greet hello;leave "*";greet $4;greet $4;" && "$starts" = "$3" ]] || changed=1
}
trial two openai 1 "Connection closed"
trial two adk 2 hello
trial two pydantic 1 "ModelRetry|Connection closed"
trial strands strands 1 "Connection closed"
trial one autogen 1 "content=''"
verdict "$changed"
