#!/usr/bin/env bash
# Guess: over HTTP, mcpo answers with what the tool answered, and its OpenAPI schema says what the tool's schema says.
# Seen:  an answer with structured content alone is `[]` with status 200. Text that looks like JSON becomes JSON: "1e5" is
#        100000.0, "true" is true, while "0123" stays text. A tool's failure is status 500, "Unexpected error". Of a
#        parameter's schema the enum is dropped: a value outside of it reaches the server; an unknown argument is dropped
#        without a word.
# With:  mcpo 0.0.20, with mcp 1.30.0 and fastapi 0.115.14: it does not start with mcp 2 or a newer fastapi (PyPI).
# Why:   an id that is only in the structured part is lost, and a wrong argument is known to nobody.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install mcpo==0.0.20 mcp==1.30.0 fastapi==0.115.14
cat >server.py <<'PY'
import json
import sys

LEVEL = {"type": "object", "properties": {"level": {"type": "string", "enum": ["low", "high"]}}}
ANSWERS = {
    "structured": {"content": [], "structuredContent": {"id": "k1"}},
    "texts": {"content": [{"type": "text", "text": text} for text in ("0123", "1e5", "true")]},
    "fails": {"isError": True, "content": [{"type": "text", "text": "no such id"}]},
}
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    params = message.get("params") or {}
    result = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
        "tools/list": {"tools": [{"name": name, "inputSchema": LEVEL} for name in (*ANSWERS, "echo")]},
        "tools/call": ANSWERS.get(params.get("name"), {"content": [{"type": "text", "text": json.dumps(params.get("arguments"))}]}),
    }.get(message["method"], {})
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
PY
port=$(free_port)
mcpo --port "$port" -- python3 server.py >mcpo.log 2>&1 &
wait_for 60 curl -sf "http://127.0.0.1:$port/openapi.json" || { tail -3 mcpo.log >&2; unable "mcpo did not start"; }
holds=yes
expect() { # WANTED TOOL BODY
    local seen
    seen=$(curl -s -w ' %{http_code}' -H 'Content-Type: application/json' -d "$3" "http://127.0.0.1:$port/$2")
    observed "$2 $3: $seen"
    case "$seen" in *"$1"*) ;; *) holds=no ;; esac
}
expect '[] 200' structured '{}'
expect '["0123",100000.0,true] 200' texts '{}'
expect 'Unexpected error' fails '{}'
expect '{"level":"middle"} 200' echo '{"level": "middle"}'
expect '{"level":"low"} 200' echo '{"level": "low", "levle": "high"}'
schema=$(curl -s "http://127.0.0.1:$port/openapi.json" | python3 -c '
import json, sys
print(json.load(sys.stdin)["components"]["schemas"]["echo_form_model"]["properties"]["level"])')
observed "the schema of level: $schema"
case "$schema" in *enum* | *low*) holds=no ;; esac
[ "$holds" = yes ] && verdict 0
verdict 1
