#!/usr/bin/env bash
# Guess: a stdio server whose work is done exits when its stdin closes; a cancelled task ends; a task is kept for as long as
#        its client asked (ttl), or less.
# Seen:  without a task the reference server exits at once. After one task, completed or cancelled long ago, it stays for
#        five minutes more: the SDK's in-memory task store holds a timer for each, which keeps Node.js alive. The client
#        asked for 1 second. The work of the cancelled task goes on, until its next report is refused.
# With:  @modelcontextprotocol/server-everything 2026.8.31 on @modelcontextprotocol/sdk 1.32.2 (npm), Node 20.
# Why:   a client that closes stdin and waits leaves a server behind, or waits until it kills it; one that kills at once
#        ends servers that are still writing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/server-everything@2026.8.31 @modelcontextprotocol/sdk@1.32.2
judge 150 <<'PY'
from wire import *


def trial(task, cancel=False):
    server = Stdio("mcp-server-everything")
    server.hello(capabilities={"tasks": {}})
    state, ttl, works_on = None, None, False
    if task:
        made = server.call("simulate-research-query", {"topic": "x"}, task={"ttl": 1000})["result"]["task"]
        if cancel:
            server.request("tasks/cancel", {"taskId": made["taskId"]})
            time.sleep(3)
        else:
            server.request("tasks/result", {"taskId": made["taskId"]}, 60)
        kept = server.request("tasks/get", {"taskId": made["taskId"]})["result"]
        state, ttl = kept["status"], kept["ttl"]
        works_on = any("from terminal status" in line for line in server.errors)
    else:
        server.call("echo", {"message": "x"})
    status = server.end_input(15)
    server.kill()
    show(f"task {state}, kept for {ttl} ms, asked for 1000; its work was refused later: {works_on}; exit status 15 s after stdin closed: {status}")
    return status, state, ttl, works_on


finish((trial(False)[0] == 0, "without a task"), (trial(True) == (None, "completed", 300000, False), "a completed task"),
       (trial(True, True) == (None, "cancelled", 300000, True), "a cancelled task"))
PY
