#!/usr/bin/env bash
# Guess: `curl -s … | jq -e .ok` as a health check fails when the answer is empty: with -e the status shows whether there
#        was a value that is not false or null.
# Seen:  with jq 1.6 the status is 0 when there was no JSON at all: an empty file, an empty line, a server that answers 204
#        or closes the connection. Its manual promises 4 for that. `jq -e` of several values looks at the last one alone.
#        gojq ends with 4.
# With:  jq 1.6 and gojq 0.12.11 (Debian 12).
# Why:   the check is green for a service that answers nothing; whether it is depends on who wrote the jq of the machine.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install jq=1.6-2.1+deb12u3 gojq=0.12.11-1 libjq1=1.6-2.1+deb12u3 libonig5
need curl
cat >server.py <<'PY'
import http.server


class Empty(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()


server = http.server.HTTPServer(("127.0.0.1", 0), Empty)
print(server.server_port, flush=True)
server.serve_forever()
PY
python3 server.py >port 2>/dev/null &
wait_for 10 test -s port || unable "the server did not come up"
status() { local code=0; "$@" >/dev/null 2>&1 || code=$?; echo "$code"; }
facts=()
for program in jq gojq; do
    facts+=("$program")
    facts+=("$(curl -s "http://127.0.0.1:$(cat port)/health" | status "$program" -e .ok)")
    facts+=("$(echo | status "$program" -e .ok)")
    facts+=("$(echo '{"ok": false} {"ok": true}' | status "$program" -e .ok)")
    facts+=("$(echo '{"ok": false}' | status "$program" -e .ok)")
done
observed "status with -e for a 204, an empty line, false and then true, false: ${facts[*]}"
[ "${facts[*]}" = "jq 0 0 0 1 gojq 4 4 0 1" ] && verdict 0
verdict 1
