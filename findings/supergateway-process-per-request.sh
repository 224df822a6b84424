#!/usr/bin/env bash
# Guess: a gateway that serves a stdio server over streamable HTTP keeps one process of it, or one per client, so that
#        what one call starts the next call can see; the server learns the client's protocol version and name.
# Seen:  by default each single request gets a process of its own, ended after the answer: three calls of one client see
#        three pids, and a counter in the server never gets past 1. There is no session id. To that process the gateway
#        plays a client of its own: protocol 2024-11-05 and its own name, whatever the real client said. `ping` succeeds
#        each time, as it is a new process. Only `--stateful` keeps a process per client.
# With:  supergateway 4.0.0 (npm), Node 20.
# Why:   start, status and stop of a service never meet through it; a stop that finds nothing is no proof of an end.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install supergateway@4.0.0
cat >toy.py <<'PY'
import json, os, sys
calls, hello = 0, None
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    result = {}
    if message["method"] == "initialize":
        hello = message["params"]
        result = {"protocolVersion": hello["protocolVersion"], "capabilities": {"tools": {}},
                  "serverInfo": {"name": "toy", "version": "1"}}
    elif message["method"] == "tools/list":
        result = {"tools": [{"name": "count", "inputSchema": {"type": "object"}}]}
    elif message["method"] == "tools/call":
        calls += 1
        facts = {"calls": calls, "pid": os.getpid(), "version": hello["protocolVersion"], "client": hello["clientInfo"]["name"]}
        result = {"content": [{"type": "text", "text": json.dumps(facts)}]}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
PY
plain=$(free_port)
supergateway --stdio "python3 $WORK/toy.py" --outputTransport streamableHttp --port "$plain" >plain.log 2>&1 &
wait_for 30 listens "$plain" || unable "supergateway did not come up: $(tail -1 plain.log)"
stateful=$(free_port)
supergateway --stdio "python3 $WORK/toy.py" --outputTransport streamableHttp --stateful --port "$stateful" >stateful.log 2>&1 &
wait_for 30 listens "$stateful" || unable "supergateway --stateful did not come up: $(tail -1 stateful.log)"

judge 60 "$plain" "$stateful" <<'PY'
import sys

from wire import *


def three(port):
    client = Http(int(port))
    client.hello()
    answers = [client.request("tools/call", {"name": "count", "arguments": {}})[2][0]["result"] for _ in range(3)]
    return "Mcp-Session-Id" in client.headers, [json.loads(text_of(answer)) for answer in answers]


session, plain = three(sys.argv[1])
kept, stateful = three(sys.argv[2])
pids = len({answer["pid"] for answer in plain})
show(f"default: session id {session}, calls {[answer['calls'] for answer in plain]}, {pids} pids, "
     f"the server saw protocol {plain[-1]['version']} and client {plain[-1]['client']!r} (client spoke {LEGACY})")
show(f"--stateful: session id {kept}, calls {[answer['calls'] for answer in stateful]}, protocol {stateful[-1]['version']}")
finish((not session and pids == 3 and [answer["calls"] for answer in plain] == [1, 1, 1], "calls share a process"),
       (plain[-1]["version"] == "2024-11-05" and plain[-1]["client"] != CLIENT["name"], "the server learns of the client"),
       (kept and [answer["calls"] for answer in stateful] == [1, 2, 3], "--stateful no longer keeps the process"))
PY
