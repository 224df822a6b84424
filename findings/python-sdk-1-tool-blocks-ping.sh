#!/usr/bin/env bash
# Guess: a server answers `ping` while one of its tools is at work; a call cancelled by the client is cut off, or at least
#        answered in one way by both releases of the SDK.
# Seen:  with mcp 1 a tool written as a plain `def` runs in the event loop: for its whole time the server answers
#        nothing, `ping`, tools/list and the cancellation of that very call included. With mcp 2 it runs in a thread.
#        Neither cuts it off: its side effect comes though the call was cancelled. An `async def` tool is cut off by both.
#        A cancelled call is answered by mcp 1 (the result of the plain one, error code 0 for the coroutine), by mcp 2 never.
# With:  mcp 1.30.0 and mcp 2.3.0 (PyPI).
# Why:   a short ping deadline declares a busy server dead and restarts it in the middle of its work; a client that waits
#        for the answer of a cancelled call waits for ever.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
for version in 1.30.0 2.3.0; do venv_install "$WORK/mcp-$version" "mcp==$version"; done
cat >server.py <<'PY'
import pathlib, time
import anyio
try:
    from mcp.server.mcpserver import MCPServer as Server
except ImportError:
    from mcp.server.fastmcp import FastMCP as Server
server = Server("slow")
@server.tool()
def plain() -> str:
    time.sleep(3)
    pathlib.Path("plain.done").touch()
    return "done"
@server.tool()
async def coroutine() -> str:
    await anyio.sleep(3)
    pathlib.Path("coroutine.done").touch()
    return "done"
server.run()
PY

judge 120 <<'PY'
from wire import *

facts = []
for version, blocks, answers in (("1.30.0", True, True), ("2.3.0", False, False)):
    server = Stdio(f"{os.environ['WORK']}/mcp-{version}/bin/python", "server.py")
    server.hello()
    seen = {}
    for tool in ("plain", "coroutine"):
        asked = server.ask("tools/call", {"name": tool, "arguments": {}})
        time.sleep(0.5)
        server.notify("notifications/cancelled", {"requestId": asked})
        begun = time.monotonic()
        server.request("ping", timeout=10)
        waited = time.monotonic() - begun
        time.sleep(3.5)
        try:
            answer = server.answer(asked, 0.1)
        except TimeoutError:
            answer = None
        seen[tool] = (waited > 1.5, os.path.exists(f"{tool}.done"), (answer or {}).get("error"))
        show(f"mcp {version}, {tool}: ping took {waited:.1f} s, the work was done all the same: {seen[tool][1]}, answer: {answer}")
        if seen[tool][1]:
            os.remove(f"{tool}.done")
    server.kill()
    facts += [(seen["plain"][0] == blocks, f"{version}: does a plain tool hold up ping"),
              (seen["plain"][1], f"{version}: a cancelled plain tool is cut off"),
              (not seen["coroutine"][0] and not seen["coroutine"][1], f"{version}: a cancelled coroutine is not cut off"),
              ((seen["coroutine"][2] or {}).get("code", None) == (0 if answers else None), f"{version}: answer of a cancelled call")]
finish(*facts)
PY
