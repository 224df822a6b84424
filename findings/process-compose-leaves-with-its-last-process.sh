#!/usr/bin/env bash
# Guess: a supervisor stays until it is told to leave, its port is its own affair, and a list of processes comes from it.
# Seen:  `process-compose process stop web` succeeds; as web was the last one that ran, process-compose exits too, and
#        `process start web` is refused: nothing listens any more (--keep-project changes that). Every project takes port
#        8080 for its API: a second project, or any server there, ends `up` with status 1 before anything was started. With
#        an API server of someone else on that port, which answers 404 in JSON, `process list -o json` prints `null` with
#        status 0.
# With:  github.com/f1bonacc1/process-compose 1.85.0 (Go 1.24 or newer).
# Why:   two checkouts cannot be up at once without -p; a script that reads the list takes a foreign server for "nothing runs".
set -euo pipefail
. "$(dirname "$0")/lib.sh"
go_install github.com/f1bonacc1/process-compose@v1.85.0
export PC_DISABLE_TUI=1
cat >pc.yaml <<'YAML'
version: "0.5"
processes:
  web: {command: "sleep 300"}
YAML
port=$(free_port)
ask() { bounded 20 process-compose -p "$port" process "$@" 2>&1 | grep -v '"level":"debug"'; return "${PIPESTATUS[0]}"; }
(code=0; process-compose -p "$port" -f pc.yaml up -t=false >up.log 2>&1 || code=$?; echo "$code" >up.code) &
running() { ask list -o json | grep -q '"web"'; }
wait_for 30 running || unable "process-compose did not start"
stopped=0
ask stop web >stop.log || stopped=$?
wait_for 20 test -s up.code && left=$(cat up.code) || left="none, it runs"
started=0
ask start web >start.log || started=$?
observed "stop web: status $stopped; process-compose's own exit status: $left; start web: status $started, $(grep -o 'connection refused' start.log | head -1)"
cat >other.py <<'PY'
import http.server
import sys


class Other(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"detail": "Not Found"}')


http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Other).serve_forever()
PY
python3 other.py "$port" >/dev/null 2>&1 &
wait_for 20 listens "$port"
listed=0
list=$(bounded 20 process-compose -p "$port" process list -o json 2>/dev/null) || listed=$?
observed "list, with an API server of someone else on its port: '$list', status $listed"
second=0
(bounded 20 process-compose -p "$port" -f pc.yaml up -t=false >second.log 2>&1) || second=$?
observed "up, with that server on its port: status $second, $(grep -o 'address already in use' second.log | head -1)"
default=$(process-compose --help 2>/dev/null | grep -A1 -e '--port' | grep -o '8080' | head -1)
observed "its default port: $default"
[ "$stopped/$left/$started/$list/$listed/$second/$default" = 0/0/1/null/0/1/8080 ] && verdict 0
verdict 1
