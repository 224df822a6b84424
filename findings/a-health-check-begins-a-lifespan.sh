#!/usr/bin/env bash
# Guess: a server over HTTP begins its lifespan once, when it starts, and ends it at SIGTERM; a GET that it refuses, as a health
#        check sends it, begins nothing.
# Seen:  the Python SDK 1 begins and ends the lifespan for each such GET, and answers 406 with a new Mcp-Session-Id, which is a 404
#        a moment later; at its start it begins none. FastMCP begins it once, but does not end it at SIGTERM: what follows `yield`
#        never runs. The Python SDK 2 does both as guessed, although it, too, gives each refused GET an id.
# With:  mcp 1.30.0 and 2.3.0, fastmcp 4.2.3 (PyPI).
# Why:   a lifespan opens the database and starts browsers and workers. A probe every two seconds does that 43,000 times a day; with
#        FastMCP each stop leaves them running, or what they hold locked.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
cat >server.py <<'PY'
import contextlib
import sys

which, port = sys.argv[1:]
where = {"host": "127.0.0.1", "port": int(port)}


@contextlib.asynccontextmanager
async def lifespan(_server):
    print("lifespan begun", flush=True)
    try:
        yield {}
    finally:
        print("lifespan ended", flush=True)


if which == "mcp-1":
    from mcp.server.fastmcp import FastMCP

    server, where = FastMCP("toy", lifespan=lifespan, **where), {}
elif which == "mcp-2":
    from mcp.server.mcpserver import MCPServer

    server = MCPServer("toy", lifespan=lifespan)
else:
    from fastmcp import FastMCP

    server = FastMCP("toy", lifespan=lifespan)


@server.tool()
def hello() -> str:
    return "hello"


server.run("streamable-http" if which != "fastmcp" else "http", **where)
PY
for name in mcp-1 mcp-2 fastmcp; do
    port=$(free_port)
    "$name/bin/python" server.py "$name" "$port" >"$name.log" 2>&1 &
    echo "$port $!" >"$name.is"
    wait_for 60 listens "$port" || unable "$name does not listen: $(tail -1 "$name.log")"
done
judge 90 <<'PY'
import signal

from wire import *


def counts(name):
    log = open(f"{name}.log").read()
    return log.count("lifespan begun"), log.count("lifespan ended")


def steady(name):
    """The counts, when they have not changed for two seconds."""
    last, since = counts(name), time.monotonic()
    while time.monotonic() - since < 2:
        time.sleep(0.1)
        if counts(name) != last:
            last, since = counts(name), time.monotonic()
    return last


facts = []
for name, wanted in (("mcp-1", ((0, 0), (10, 10), (11, 11))), ("mcp-2", ((1, 0), (1, 0), (1, 1))), ("fastmcp", ((1, 0), (1, 0), (1, 0)))):
    port, pid = map(int, open(f"{name}.is").read().split())
    started, statuses, sessions = steady(name), set(), set()
    for _ in range(10):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/mcp")
        response = connection.getresponse()
        statuses.add(response.status)
        sessions.add(response.getheader("mcp-session-id"))
        connection.close()
    probed = steady(name)
    given = Http(port)
    given.headers["Mcp-Session-Id"] = sessions.copy().pop()
    refused = given.request("ping")[0]
    client = Http(port)
    greeted = client.hello()[0]
    os.kill(pid, signal.SIGTERM)
    stopped = steady(name)
    show(f"{name}: (begun, ended) after the start {started}, after ten GET with {statuses} {probed}, after a session and SIGTERM {stopped}")
    show(f"{name}: the ten have {len(sessions)} session ids; a ping with one: {refused}")
    facts += [((started, probed, stopped) == wanted, f"{name}: lifespans"), (statuses == {406} and greeted == 200, f"{name}: statuses"),
              (len(sessions) == 10 and None not in sessions and refused == 404, f"{name}: ids of sessions")]
finish(*facts)
PY
