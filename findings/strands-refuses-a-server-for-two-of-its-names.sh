#!/usr/bin/env bash
# Guess: tools named "open-it" and "open_it", both valid, are two tools to a framework, or it leaves out one of them.
# Seen:  Strands makes no agent at all: "Tool name 'open_it' already exists as 'open-it'", also if the two are of two servers and
#        none of them is needed. With one of them filtered out, the agent has all others. Pydantic AI has both, of one server.
# With:  strands-agents 1.62.0, pydantic-ai-slim 2.68.0, mcp 2.1.1 (PyPI).
# Why:   a tool that a server adds in an update, or a second server, ends every agent that has them.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install strands-agents==1.62.0 "pydantic-ai-slim[mcp]==2.68.0" openai==3.57.0 mcp==2.1.1
cat >server.py <<'PY'
import json
import sys

for line in sys.stdin:
    message = json.loads(line)
    result = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
        "tools/list": {"tools": [{"name": name, "description": name, "inputSchema": {"type": "object", "properties": {}}} for name in sys.argv[1:]]},
    }.get(message["method"])
    if "id" in message:
        said = {"result": result} if result else {"error": {"code": -32601, "message": "Method not found"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}), flush=True)
PY
PYTHON="$WORK/venv/bin/python" judge 90 2>errors.log <<'PY'
import asyncio
import sys

from fastmcp.client.transports import StdioTransport
from mcp import StdioServerParameters, stdio_client
from pydantic_ai.mcp import MCPToolset
from strands import Agent
from strands.models.openai import OpenAIModel
from strands.tools.mcp import MCPClient

from wire import finish, show


def strands(*servers, **more):
    clients = [
        MCPClient(lambda names=names: stdio_client(StdioServerParameters(command=sys.executable, args=["server.py", *names])), **more)
        for names in servers
    ]
    try:
        return sorted(Agent(model=OpenAIModel(client_args={"api_key": "k"}, model_id="m"), tools=clients, callback_handler=None).tool_names)
    except ValueError as error:
        return str(error)


async def pydantic(*names):
    async with MCPToolset(StdioTransport(sys.executable, ["server.py", *names])) as server:
        return sorted(tool.name for tool in await server.list_tools())


one, two = strands(["open-it", "open_it", "close"]), strands(["open-it", "close"], ["open_it"])
filtered = strands(["open-it", "open_it", "close"], tool_filters={"rejected": ["open_it"]})
other = asyncio.run(pydantic("open-it", "open_it", "close"))
show(f"Strands, of one server: {one[-120:]}")
show(f"of two servers: {two[-120:]}")
show(f"with a filter: {filtered}; Pydantic AI: {other}")
finish(("already exists as 'open-it'" in one, "one server"), ("already exists as 'open-it'" in two, "two servers"),
       (filtered == ["close", "open-it"], "a filter"), (other == ["close", "open-it", "open_it"], "Pydantic AI"))
PY
