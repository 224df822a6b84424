#!/usr/bin/env bash
# Guess: with default settings an agent framework gives a tool call a minute, as most clients do, or no limit; a limit
#        that is given in whole seconds counts.
# Seen:  OpenAI Agents, Google ADK and AutoGen end each call after 5 seconds; the first two cancel it, AutoGen does not say
#        so to the server, which works on. mcpadapt (smolagents and CrewAI's adapter use it) has the same default of 5 and
#        never applies it: an int is no limit at all, neither the default nor one that is given; 2.0 is one.
# With:  openai-agents 0.24.0 and google-adk 2.13.0 on mcp 2.3.0, autogen-ext 0.7.5 and mcpadapt 0.1.19 on mcp 1.30.0
#        (PyPI); the server is a few lines of Python.
# Why:   a start that takes 6 seconds "failed", so the agent starts another; a tool should answer sooner and be asked again,
#        or its users must set client_session_timeout_seconds, timeout or read_timeout_seconds.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
venv_install "$WORK/new" openai-agents==0.24.0 google-adk==2.13.0 mcp==2.3.0
venv_install "$WORK/old" "autogen-ext[mcp]==0.7.5" mcpadapt==0.1.19 mcp==1.30.0
cat >server.py <<'PY'
import json
import sys
import threading

lock = threading.Lock()


def say(**message):
    with lock:
        print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def note(text):
    with open(sys.argv[1], "a") as heard:
        print(text, file=heard)


def done(number):
    note("done")
    say(id=number, result={"content": [{"type": "text", "text": "started"}]})


for line in sys.stdin:
    message = json.loads(line)
    method = message["method"]
    note(method)
    results = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
        "tools/list": {"tools": [{"name": "start", "description": "start it", "inputSchema": {"type": "object", "properties": {}}}]},
    }
    if method == "tools/call":
        threading.Timer(8, done, [message["id"]]).start()
    elif method in results:
        say(id=message["id"], result=results[method])
    elif "id" in message:
        say(id=message["id"], error={"code": -32601, "message": "Method not found"})
PY
cat >common.py <<'PY'
import asyncio
import sys
import time

SERVER = {"command": sys.executable, "args": ["server.py", sys.argv[1]]}


async def timed(call):
    begun = time.monotonic()
    try:
        said = str(await call)
    except Exception as error:
        said = str(error)
    print(f"{'ended' if 'timed out' in said.lower() else 'answered'} {time.monotonic() - begun:.0f}", flush=True)
    await asyncio.sleep(4)
PY
cat >openai-agents.py <<'PY'
from agents.mcp import MCPServerStdio

from common import *


async def main():
    async with MCPServerStdio(params=SERVER) as server:
        await timed(server.call_tool("start", {}))


asyncio.run(main())
PY
cat >adk.py <<'PY'
from google.adk.tools.mcp_tool import McpToolset, StdioConnectionParams
from mcp import StdioServerParameters

from common import *


async def main():
    tools = McpToolset(connection_params=StdioConnectionParams(server_params=StdioServerParameters(**SERVER)))
    await timed((await tools.get_tools())[0].run_async(args={}, tool_context=None))
    await tools.close()


asyncio.run(main())
PY
cat >autogen.py <<'PY'
from autogen_ext.tools.mcp import McpWorkbench, StdioServerParams

from common import *


async def main():
    async with McpWorkbench(StdioServerParams(**SERVER)) as server:
        await timed(server.call_tool("start", {}))


asyncio.run(main())
PY
cat >mcpadapt-default.py <<'PY'
from mcp import StdioServerParameters
from mcpadapt.core import mcptools

from common import *


async def main(**given):
    async with mcptools(StdioServerParameters(**SERVER), **given) as (session, _):
        await timed(session.call_tool("start", {}))


if __name__ == "__main__":
    asyncio.run(main(**({"client_session_timeout_seconds": eval(sys.argv[2])} if sys.argv[2:] else {})))
PY
facts=0
trial() { # WANTED CANCELLED PYTHON PROGRAM [SECONDS]
    local name="$4${5:+ $5}" said cancelled
    said=$(bounded 60 "$3/bin/python" "$4.py" "heard-$4${5:-}" ${5:+"$5"} 2>>errors.log | grep -E '^(ended|answered) ' || true)
    cancelled=$(grep -c notifications/cancelled "heard-$4${5:-}" || true)
    observed "$name: a call of 8 s $said s after it was sent; cancelled: $cancelled"
    [ "$said $cancelled" = "$1 $2" ] || facts=1
}
trial "ended 5" 1 new openai-agents
trial "ended 5" 1 new adk
trial "ended 5" 0 old autogen
trial "answered 8" 0 old mcpadapt-default
trial "answered 8" 0 old mcpadapt-default 2
trial "ended 2" 0 old mcpadapt-default 2.0
verdict "$facts"
