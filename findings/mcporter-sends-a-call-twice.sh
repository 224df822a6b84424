#!/usr/bin/env bash
# Guess: a tool call is sent once. If it is not known whether the server carried it out, the caller gets an error; a call
#        that takes too long ends alone.
# Seen:  for a server that is kept running (`"lifecycle": "keep-alive"`) a call whose connection closes is sent again to a
#        new process: a tool that did its work and exited is carried out twice, and the exit status is 0. A server that
#        is not kept gets it once, and the status is 1. A call that times out ends the kept server: another client's
#        call, in the middle of its work, is cut off and sent again to the new process, which knows nothing of what the
#        old one started.
# With:  mcporter 0.12.3 (npm), Node 20; the server is a few lines of Python.
# Why:   a start, a payment or a migration may happen twice because someone else's call was slow; what a server holds in
#        memory (sessions, processes, browsers) is lost with any call that takes longer than its time limit.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install mcporter@0.12.3
cat >server.py <<'PY'
import json
import os
import sys


def note(text):
    with open("heard", "a") as heard:
        print(text, file=heard)


note("begins")
for line in sys.stdin:
    message = json.loads(line)
    tool = message.get("params", {}).get("name")
    found = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
        "tools/list": {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ("greet", "once", "wait", "long")]},
        "tools/call": {"content": [{"type": "text", "text": str(os.getpid())}]},
    }.get(message["method"])
    if message["method"] == "tools/call":
        note(tool)
        if tool == "once" and open("heard").read().split().count("once") == 1:
            os._exit(0)
        if tool in ("wait", "long"):
            continue
    if "id" in message:
        said = {"result": found} if found else {"error": {"code": -32601, "message": "Method not found"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}), flush=True)
note("ends")
PY
toy="{\"command\": \"$(command -v python3)\", \"args\": [\"$WORK/server.py\"]"
printf '{"mcpServers": {"kept": %s, "lifecycle": "keep-alive"}, "plain": %s}}}\n' "$toy" "$toy" >mcporter.json
call() { bounded 60 mcporter --config "$WORK/mcporter.json" call "$@" 2>>calls.log; }
words() { tr '\n' ' ' <heard; }

kept=0 plain=0
call kept.greet >/dev/null || unable "mcporter cannot call the server: $(tail -1 calls.log)"
rm heard
call kept.once >/dev/null || kept=$?
twice=$(words)
rm heard
call plain.once >/dev/null || plain=$?
once=$(words)
observed "the tool exits after its work. Kept server: status $kept, it heard: $twice; plain server: status $plain, it heard: $once"

before=$(call kept.greet)
rm heard
call kept.long --timeout 15000 >/dev/null &
other=$!
wait_for 20 grep -qx long heard
call kept.wait --timeout 2000 >/dev/null && unable "the call that never ends has ended"
after=$(call kept.greet)
wait "$other" || true
seen=$(words)
observed "two clients, and the call 'wait' times out after 2 s. The server heard: $seen; another process: $([ "$before" = "$after" ] && echo no || echo yes)"
bounded 20 mcporter --config "$WORK/mcporter.json" daemon stop >/dev/null 2>&1 || true

[ "$kept" -eq 0 ] && [ "$twice" = "once begins once " ] && [ "$plain" -eq 1 ] && [ "$once" = "begins once " ] \
    && [ "$before" != "$after" ] && [ "$(grep -cx long heard)" -eq 2 ] && [ "$(grep -cx wait heard)" -eq 1 ] && verdict 0
verdict 1
