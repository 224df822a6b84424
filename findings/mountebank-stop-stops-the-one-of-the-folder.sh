#!/usr/bin/env bash
# Guess: `mb stop` stops the server, or fails; a second server in a folder is refused, or has its own pid file; an unknown key of an
#        imposter is refused.
# Seen:  `mb stop` reads mb.pid of the current folder. Without one it ends with 0, while the server runs. A second server in the
#        same folder, on another port, replaces the file: `mb stop` then stops that one, and no command stops the first; a further
#        stop ends with 0. An imposter with the misspelled key "stbs" is made (201), and answers each request with 200 and no body.
# With:  mountebank 2.9.1 (npm), Node 20.
# Why:   a stop in another folder, or after a second start, leaves a server that answers the next run's tests, with 200.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node curl
npm_install mountebank@2.9.1
mkdir here elsewhere
first=$(free_port)
second=$(free_port)
imposter=$(free_port)
start() {
    (cd here && exec mb start --port "$1" --host 127.0.0.1 >"$1.log" 2>&1) &
    wait_for 30 listens "$1" || unable "mountebank did not come up"
    wait_for 10 holds || unable "mb.pid"
}
holds() { [ -s here/mb.pid ] && [ "$(cat here/mb.pid)" != "${held:-}" ]; }
stop() { local code=0; (cd "$1" && bounded 20 mb stop) >said 2>&1 || code=$?; echo "$code"; }
answers() { curl -s -m 5 -o body -w '%{http_code}' "$@" || true; }
start "$first"
held=$(cat here/mb.pid)
away="$(stop elsewhere), then $(answers "http://127.0.0.1:$first/")"
made=$(answers -X POST "http://127.0.0.1:$first/imposters" -H 'Content-Type: application/json' \
    -d "{\"port\": $imposter, \"protocol\": \"http\", \"stbs\": [{\"responses\": [{\"is\": {\"statusCode\": 503}}]}]}")
answered="$(answers "http://127.0.0.1:$imposter/") $(wc -c <body)"
start "$second"
stopped="$(stop here), then the first $(answers "http://127.0.0.1:$first/"), the second $(answers "http://127.0.0.1:$second/")"
again="$(stop here), then the first $(answers "http://127.0.0.1:$first/")"
observed "stop in another folder: $away; an imposter with an unknown key: $made, it answers $answered bytes"
observed "stop after a second start: $stopped; stop again: $again"
[ "$away/$made/$answered/$stopped/$again" = "0, then 200/201/200 0/0, then the first 200, the second 000/0, then the first 200" ] && verdict 0
verdict 1
