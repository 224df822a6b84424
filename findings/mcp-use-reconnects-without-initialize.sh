#!/usr/bin/env bash
# Guess: a client that starts a server again greets it again; a second `create_session` of a name gives the session that there is, or
#        replaces it, process and all.
# Seen:  after a server has exited, mcp-use starts it again for the next call, and sends the call without `initialize`: a server on
#        the Python SDK refuses this call and all later ones with "Invalid request parameters", while `is_connected` is true.
#        Each further create_session of a name starts another process; the earlier ones keep running, after close_all_sessions,
#        too. If one of several servers cannot be started, create_all_sessions raises, and those that were started keep running.
# With:  mcp-use 1.7.1 with mcp 1.30.0 (PyPI), over stdio.
# Why:   one crash of a server makes an agent's tool useless, with an error that blames the arguments; a browser or a port is held
#        by a process that no session knows.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install mcp-use==1.7.1 mcp==1.30.0
export MCP_USE_ANONYMIZED_TELEMETRY=false
cat >server.py <<'PY'
import os

from mcp.server.fastmcp import FastMCP

server = FastMCP("toy")
with open("begun", "a") as begun:
    print(os.getpid(), file=begun)


@server.tool()
def which() -> str:
    return str(os.getpid())


@server.tool()
def leave() -> str:
    os._exit(0)


server.run()
PY
PYTHON="$WORK/venv/bin/python" judge 110 <<'PY'
import asyncio
import logging
import sys

from mcp_use import MCPClient
from wire import *

logging.disable(logging.CRITICAL)
TOY = {"command": sys.executable, "args": ["server.py"]}


def running():
    return [pid for pid in open("begun").read().split() if os.path.exists(f"/proc/{pid}") and "server.py" in open(f"/proc/{pid}/cmdline").read()]


async def attempt(session, tool):
    try:
        result = await asyncio.wait_for(session.call_tool(tool, {}), 20)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return result.content[0].text


async def lives():
    client = MCPClient.from_dict({"mcpServers": {"toy": TOY}})
    session = await client.create_session("toy")
    first = await attempt(session, "which")
    left = await attempt(session, "leave")
    after = [await attempt(session, "which") for _ in range(3)]
    connected = session.is_connected
    await client.create_session("toy")
    await client.create_session("toy")
    doubles = len(running())
    await client.close_all_sessions()
    closed = len(running())
    two = MCPClient.from_dict({"mcpServers": {"toy": TOY, "gone": {"command": "./missing", "args": []}}})
    try:
        await two.create_all_sessions()
        partly = "no error"
    except Exception as error:
        partly = type(error).__name__
    kept = len(running()) - closed
    await two.close_all_sessions()
    return first.isdigit(), left, after, connected, doubles, closed, partly, kept


first, left, after, connected, doubles, closed, partly, kept = asyncio.run(lives())
show(f"first call answered: {first}; the tool that exits: {left}; then: {after}, connected {connected}")
show(f"processes after two more create_session: {doubles}, after close_all_sessions: {closed}; one of two servers missing: {partly}, {kept} process runs")
finish((first and connected and len(set(after)) == 1 and "Invalid request parameters" in after[0], "after an exit"), (doubles == 3 and closed == 2, "further sessions"),
       ((partly, kept) == ("RuntimeError", 1), "one of two servers"))
PY
