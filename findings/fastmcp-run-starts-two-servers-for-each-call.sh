#!/usr/bin/env bash
# Guess: `fastmcp run mcp.json` starts each server of the file once, and it is the same whether the file names one or two.
# Seen:  with one server it is. With two, each request starts both, waits for both, and ends both after the answer, whichever of them
#        it is for: a list and three calls start ten processes; a counter of the first server answers 1 each time, and a call of it
#        takes as long as the other one needs to start. Two proxies that a program mounts itself keep their processes.
# With:  fastmcp 4.2.3 (PyPI); the servers are a few lines of Python.
# Why:   a browser, a shell or a database session of one call is gone in the next, from the day on which a second server is added to
#        the file; nothing is logged.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install fastmcp==4.2.3
cat >toy.py <<'PY'
import json
import sys
import time

name, needs, heard_by = sys.argv[1:]


def say(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def note(text):
    with open(heard_by, "a") as heard:
        print(text, name, file=heard)


note("begun")
time.sleep(float(needs))
count = 0
for line in sys.stdin:
    message = json.loads(line)
    method = message["method"]
    if method == "tools/call":
        count += 1
    results = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": name, "version": "1"}},
        "ping": {},
        "tools/list": {"tools": [{"name": "count", "inputSchema": {"type": "object"}}]},
        "tools/call": {"content": [{"type": "text", "text": str(count)}]},
    }
    if method in results:
        say(id=message["id"], result=results[method])
    elif "id" in message:
        say(id=message["id"], error={"code": -32601, "message": "Method not found"})
note("ended")
PY
cat >mounted.py <<'PY'
from fastmcp import FastMCP
from fastmcp.client.transports import StdioTransport
from fastmcp.server import create_proxy

server = FastMCP("both")
for name, needs in (("quick", "0"), ("slow", "1.5")):
    server.mount(create_proxy(StdioTransport("python3", ["toy.py", name, needs, "mounted.heard"])), namespace=name)
server.run(show_banner=False)
PY
judge 120 <<'PY'
from wire import *


def trial(label, argv, tool):
    heard = f"{label}.heard"
    server = Stdio(*argv)
    server.hello()
    listed = [one["name"] for one in server.request("tools/list")["result"]["tools"]]
    counts, longest = [], 0.0
    for _ in range(3):
        begun = time.monotonic()
        counts.append(text_of(server.call(tool)["result"]))
        longest = max(longest, time.monotonic() - begun)
    server.end_input()
    lines = open(heard).read().splitlines()
    starts = {name: lines.count(f"begun {name}") for name in ("quick", "slow")}
    show(f"{label}: lists {listed}; three calls of {tool} answer {counts}, the longest took {longest:.1f} s; starts: {starts}")
    return counts, starts, longest


def config(label, *entries):
    entry = {name: {"command": "python3", "args": ["toy.py", name, needs, f"{label}.heard"]} for name, needs in entries}
    path = f"{label}.json"
    json.dump({"mcpServers": entry}, open(path, "w"))
    return path


one = trial("one", ("fastmcp", "run", config("one", ("quick", "0"))), "count")
two = trial("two", ("fastmcp", "run", config("two", ("quick", "0"), ("slow", "1.5"))), "quick_count")
mounted = trial("mounted", ("python3", "mounted.py"), "quick_count")
finish(
    (one[:2] == (["1", "2", "3"], {"quick": 1, "slow": 0}), "one server in the file is started once"),
    (two[0] == ["1", "1", "1"], "with two each call reaches a new process"),
    (min(two[1].values()) >= 4, "with two every request starts both"),
    (two[2] >= 1.5 and one[2] < 1, "a call waits for the start of the other server"),
    (mounted[:2] == (["1", "2", "3"], {"quick": 1, "slow": 1}), "two mounted proxies keep theirs"),
)
PY
