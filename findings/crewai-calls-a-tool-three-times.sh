#!/usr/bin/env bash
# Guess: a call of an agent framework's MCP client is sent once; if it takes too long it is cancelled, and the agent learns
#        that it is unknown what became of it.
# Seen:  CrewAI sends a call that takes too long (30 s by default) three times, without a cancellation: the server carries
#        it out three times, at once if it is slow. It also repeats a call that was answered with a protocol error, unless
#        its text says "not found" or "authentication". Neither the tool's hints nor its annotations matter, nor does a
#        setting of the agent: MCP_MAX_RETRIES is 3. An isError result is taken as it is.
# With:  crewai 1.15.30 with mcp 1.30.0 (PyPI); the server is a few lines of Python.
# Why:   a start that needs a minute makes three services, a payment is made three times; the error that the agent reads is
#        that of the last try.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install crewai==1.15.30 mcp==1.30.0
cat >server.py <<'PY'
import json
import sys
import threading

lock = threading.Lock()


def say(**message):
    with lock:
        print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def make(number):
    with open("heard", "a") as heard:
        print("made", file=heard)
    say(id=number, result={"content": [{"type": "text", "text": "made"}]})


for line in sys.stdin:
    message = json.loads(line)
    method, tool = message["method"], message.get("params", {}).get("name")
    with open("heard", "a") as heard:
        print(tool or method, file=heard)
    hints = {"annotations": {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False}}
    results = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
        "tools/list": {"tools": [{"name": name, "inputSchema": {"type": "object"}, **hints} for name in ("slow", "refused", "failed")]},
        "tools/call": {"content": [{"type": "text", "text": "no"}], "isError": True},
    }
    if tool == "slow":
        threading.Timer(4, make, [message["id"]]).start()
    elif tool == "refused":
        say(id=message["id"], error={"code": -32000, "message": "the account has no money"})
    elif "id" in message:
        say(id=message["id"], result=results.get(method, {}))
PY
cat >client.py <<'PY'
import asyncio
import sys

from crewai.mcp.client import MCPClient
from crewai.mcp.transports.stdio import StdioTransport


async def main():
    client = MCPClient(StdioTransport(command=sys.executable, args=["server.py"]), execution_timeout=2)
    await client.connect()
    for tool in ("slow", "refused", "failed"):
        try:
            await client.call_tool(tool, {})
        except Exception as error:
            print("ERROR", tool, error)
    await asyncio.sleep(5)
    await client.disconnect()


asyncio.run(main())
PY
export CREWAI_DISABLE_TELEMETRY=true OTEL_SDK_DISABLED=true
bounded 120 python client.py >client.log 2>&1 || true
count() { grep -cx "$1" heard || true; }
observed "sent: slow $(count slow), refused $(count refused), failed $(count failed) times; cancelled $(count notifications/cancelled) times; made $(count made)"
observed "$(grep '^ERROR' client.log | tr '\n' ';')"
[ "$(count slow) $(count refused) $(count failed) $(count notifications/cancelled) $(count made)" = "3 3 1 0 3" ] \
    && grep -q "^ERROR slow Operation timed out" client.log && verdict 0
verdict 1
