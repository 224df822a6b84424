#!/usr/bin/env bash
# Guess: since version 2 the Python SDK runs tools that are plain functions in threads, so ping, a quick tool and a
#        cancellation are answered whatever other tools wait for; at worst the forty-first tool waits for a free thread.
# Seen:  so it is up to 38 of them. With 39 at work nothing is answered at all, not even ping, until one of them ends: the
#        forty threads that anyio lends are shared with what reads stdin and writes stdout. FastMCP does the same.
# With:  mcp 2.3.0 with anyio 4.16.0, fastmcp 4.2.3 (PyPI).
# Why:   a server whose tools wait (for a start, a build, a job) looks dead to health checks as soon as enough of them do.
#        Tools that are `async def` do not count.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
venv_install "$WORK/sdk" mcp==2.3.0 anyio==4.16.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3 anyio==4.16.0
cat >server.py <<'PY'
import sys
import time

if sys.argv[1] == "sdk":
    from mcp.server import MCPServer as Server
else:
    from fastmcp import FastMCP as Server
app = Server("waits")


@app.tool()
def wait(seconds: float) -> str:
    time.sleep(seconds)
    return "done"


@app.tool()
async def quick() -> str:
    return "quick"


app.run("stdio", **({} if sys.argv[1] == "sdk" else {"show_banner": False}))
PY
judge 120 <<'PY'
from wire import *

work, facts = os.environ["WORK"], []
for kind in ("sdk", "fastmcp"):
    for number in (38, 39):
        server = Stdio(f"{work}/{kind}/bin/python", "server.py", kind)
        server.hello()
        server.call("quick")
        for _ in range(number):
            server.ask("tools/call", {"name": "wait", "arguments": {"seconds": 15}})
        time.sleep(1)
        answered = {}
        for name, asked in (("ping", server.ask("ping")), ("a quick tool", server.ask("tools/call", {"name": "quick", "arguments": {}}))):
            try:
                answered[name] = "result" in server.answer(asked, 5)
            except TimeoutError:
                answered[name] = False
        server.kill()
        show(f"{kind}: while {number} tools wait, answered within 5 s: {answered}")
        facts.append((set(answered.values()) == {number == 38}, f"{kind}, {number} tools"))
finish(*facts)
PY
