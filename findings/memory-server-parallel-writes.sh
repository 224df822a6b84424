#!/usr/bin/env bash
# Guess: a server that answers each of twenty pipelined create calls with success has stored twenty entities.
# Seen:  it has stored one. Every call reads the whole file, adds its part and writes the file anew, with nothing between
#        them; all calls start from the same empty graph and the last writer wins. No answer says so.
# With:  @modelcontextprotocol/server-memory 2026.8.31 (npm), Node 20.
# Why:   a client that runs tool calls in parallel (most agents do) loses data behind a server whose every answer was
#        "created". Calls that change state need to be serial per server unless the server says otherwise.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/server-memory@2026.8.31

judge 60 <<'PY'
from wire import *

server = Stdio("mcp-server-memory", env={"MEMORY_FILE_PATH": os.path.abspath("graph.jsonl")})
server.hello()


def entity(name):
    return {"name": "create_entities", "arguments": {
        "entities": [{"name": name, "entityType": "service", "observations": []}]}}


def stored():
    return sorted(found["name"] for found in server.call("read_graph")["result"]["structuredContent"]["entities"])


asked = [server.ask("tools/call", entity(f"parallel-{number}")) for number in range(20)]
answers = [server.answer(number) for number in asked]
good = sum(1 for answer in answers
           if not answer["result"].get("isError") and len(answer["result"]["structuredContent"]["entities"]) == 1)
kept = len(stored())
show(f"{good} of 20 parallel calls answered that their entity was created; {kept} of them are in the graph")
for number in range(20):
    server.request("tools/call", entity(f"serial-{number}"))
serial = sum(1 for name in stored() if name.startswith("serial"))
show(f"of 20 calls one after the other {serial} are in the graph")
server.kill()
finish((good == 20, f"{good} calls succeeded"), (kept < 20, "nothing was lost"), (serial == 20, f"serial calls lost some: {serial}"))
PY
