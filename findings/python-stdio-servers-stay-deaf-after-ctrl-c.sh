#!/usr/bin/env bash
# Guess: SIGINT ends a stdio server in Python, and SIGTERM ends it with what stands after the `yield` of its lifespan, as it
#        does for a server over HTTP.
# Seen:  after SIGINT the process stays: it answers nothing, not even ping, and ends when its stdin closes or gets another
#        line. The Python SDKs have run the end of the lifespan by then; FastMCP runs it only when stdin closes.
#        SIGTERM kills all three at once, without the end of the lifespan. Only a closed stdin ends them in order.
# With:  mcp 1.30.0 and 2.3.0, fastmcp 4.2.3 (PyPI), Python 3.11.
# Why:   Ctrl-C in a terminal reaches a client and its servers: the client waits for a server that does not answer. What a
#        lifespan started (a process, a temp folder, a lock) is left behind by each client that ends servers with SIGTERM.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
cat >server.py <<'PY'
import contextlib
import pathlib
import sys

if sys.argv[1] == "fastmcp":
    from fastmcp import FastMCP as Server
elif sys.argv[1] == "mcp-1":
    from mcp.server.fastmcp import FastMCP as Server
else:
    from mcp.server.mcpserver import MCPServer as Server


@contextlib.asynccontextmanager
async def lifespan(_):
    try:
        yield {}
    finally:
        pathlib.Path(sys.argv[2]).touch()


Server("toy", lifespan=lifespan).run()
PY
judge 300 <<'PY'
import signal

from wire import *

facts = []
for name in ("mcp-1", "mcp-2", "fastmcp"):
    seen = {}
    for end in ("stdin", "SIGTERM", "SIGINT"):
        note = os.path.abspath(f"{name}-{end}")
        server = Stdio(f"{name}/bin/python", "server.py", name, note)
        server.hello()
        server.request("tools/list", {})
        if end == "stdin":
            server.process.stdin.close()
        else:
            server.process.send_signal(getattr(signal, end))
        seen[end] = (server.exited(8 if end == "SIGINT" else 20), os.path.exists(note))
        if end == "SIGINT":
            closed = server.end_input(20)
            seen["then stdin"] = (closed is not None, os.path.exists(note))
        server.kill()
    show(f"{name}, status and whether its lifespan ended: {seen}")
    facts.append((seen == {"stdin": (0, True), "SIGTERM": (-signal.SIGTERM, False), "SIGINT": (None, name != "fastmcp"), "then stdin": (True, True)}, name))
    server = Stdio(f"{name}/bin/python", "server.py", name, os.path.abspath(f"{name}-deaf"))
    server.hello()
    server.request("tools/list", {})
    server.process.send_signal(signal.SIGINT)
    time.sleep(2)
    try:
        answer = server.request("ping", timeout=5)
    except (TimeoutError, BrokenPipeError):
        answer = None
    ended = server.exited(15)
    server.kill()
    show(f"{name}: ping two seconds after SIGINT is answered with {answer}; that line ended it: {ended is not None}")
    facts.append((answer is None and ended is not None, f"{name}: ping"))
finish(*facts)
PY
