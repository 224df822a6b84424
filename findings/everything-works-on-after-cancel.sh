#!/usr/bin/env bash
# Guess: after notifications/cancelled a server stops the work and sends nothing more for that request; at the end of
#        stdin a server drops what is in flight.
# Seen:  the reference server works on to the end and sends a progress notification for each further step; only the
#        response is withheld. At the end of stdin with a call in flight it finishes the call first, writes the answer
#        and ends only then, with 0. A server of the Python SDK (mcp 1) ends at once and drops it.
# With:  @modelcontextprotocol/server-everything 2026.8.31 (npm), mcp 1.30.0 (PyPI), Node 20.
# Why:   progress for a token that is no longer known must be ignored, not an error; a cancelled start may still happen;
#        the grace for a closing server has to be longer than its calls, or work is cut in the middle.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/server-everything@2026.8.31
pip_install mcp==1.30.0
cat >slow.py <<'PY'
import anyio
from mcp.server.fastmcp import FastMCP
server = FastMCP("slow")
@server.tool()
async def slow() -> str:
    await anyio.sleep(3)
    return "done"
server.run()
PY
judge 90 <<'PY'
from wire import *

tool = "trigger-long-running-operation"
server = Stdio("mcp-server-everything")
server.hello()
asked = server.ask("tools/call", {"name": tool, "arguments": {"duration": 3, "steps": 6}, "_meta": {"progressToken": "p"}})
time.sleep(1.2)
server.notify("notifications/cancelled", {"requestId": asked})
cancelled = time.monotonic() - server.begun
time.sleep(3.5)
late = [message for when, message in server.lines if when > cancelled + 0.2]
progress = [message["params"]["progress"] for message in late if message.get("method") == "notifications/progress"]
responses = [message for message in late if message.get("id") == asked]
show(f"after the cancellation: progress {progress} of 6, {len(responses)} responses")


def end(server, name, arguments):
    asked = server.ask("tools/call", {"name": name, "arguments": arguments})
    time.sleep(0.5)
    begun = time.monotonic()
    status = server.end_input(10)
    took = time.monotonic() - begun
    time.sleep(0.3)
    return status, took, any(isinstance(message, dict) and message.get("id") == asked for _, message in server.lines)


reference = end(server, tool, {"duration": 3, "steps": 3})
python = Stdio("python", "slow.py")
python.hello()
dropped = end(python, "slow", {})
for name, (status, took, answered) in (("reference server", reference), ("mcp 1", dropped)):
    show(f"stdin closed during a call of 3 s, {name}: exit status {status} after {took:.1f} s, the call answered: {answered}")
finish((progress and progress[-1] == 6 and not responses, "the work stops"),
       (reference[0] == 0 and reference[1] > 1.5 and reference[2], "the reference server drops the call"),
       (dropped[0] == 0 and dropped[1] < 1.5 and not dropped[2], "mcp 1 finishes the call"))
PY
