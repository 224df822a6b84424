#!/usr/bin/env bash
# Guess: a deployment that cannot run is refused, or affects only its own tab; a server whose flows cannot be read does not start,
#        or says so to who asks; one folder has one server.
# Seen:  a deployment with a node of a type that is not installed, on a tab of its own, is 204, and stops every flow: the route of
#        another tab turns from 200 to 404. `/flows/state` says "start", the editor answers 200, and the log has no error. Started
#        with such a file, with one that is not JSON, or with a name that does not exist, it listens and stays; for the last two
#        the log says "Started flows", and the next deployment replaces the file. A second server of the same folder starts, and
#        its deployment (204) replaces the file of the first, which keeps the old flows.
# With:  node-red 4.1.15 (npm), Node 20.
# Why:   port, page, state and log are those of a working server; one package that is missing after an install stops all routes.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node curl
npm_install node-red@4.1.15
mkdir home1 home2
answers() { curl -s -m 10 -o body -w '%{http_code}' "$@" || true; }
start() { # FOLDER PORT FILE: until the log shows what became of its flows
    node-red -u "$WORK/$1" -p "$2" "$3" >"$2.log" 2>&1 &
    server=$!
    wait_for 90 grep -qE 'Started flows|Waiting for missing types' "$2.log" && wait_for 30 listens "$2" || unable "node-red did not come up: $(tail -1 "$2.log")"
}
deploy() { answers -X POST -H 'Content-Type: application/json' --data "@$2" "http://127.0.0.1:$1/flows"; }
tab='{"id": "t1", "type": "tab", "label": "A"}, {"id": "i1", "type": "http in", "z": "t1", "url": "/hello", "method": "get", "wires": [["o1"]]}, {"id": "o1", "type": "http response", "z": "t1", "wires": []}'
echo "[$tab]" >home1/flows.json
echo "[$tab, {\"id\": \"t2\", \"type\": \"tab\", \"label\": \"B\"}, {\"id\": \"x1\", \"type\": \"missing-type\", \"z\": \"t2\", \"wires\": []}]" >unknown.json
echo '[{"id": "t9", "type": "tab", "label": "Z"}]' >other.json
echo '[{"cut' >home2/broken.json
first=$(free_port) second=$(free_port) third=$(free_port) fourth=$(free_port)
start home1 "$first" flows.json
url="http://127.0.0.1:$first"
before=$(answers "$url/hello")
deployed=$(deploy "$first" unknown.json)
wait_for 20 grep -q 'Waiting for missing types' "$first.log" || true
after="$(answers "$url/hello"), state $(curl -s "$url/flows/state"), page $(answers "$url/"), errors $(grep -c '\[error\]' "$first.log" || true)"
start home1 "$second" flows.json
replaced="$(deploy "$second" other.json), $(grep -c '"t1"' home1/flows.json || true) of the first's flows in the file"
kept=$(curl -s "$url/flows" | grep -c '"t1"' || true)
kill "$server"
start home2 "$third" broken.json
broken="started $(grep -c 'Started flows' "$third.log"), page $(answers "http://127.0.0.1:$third/"), errors $(grep -c '\[error\]' "$third.log" || true)"
broken="$broken, deployed $(deploy "$third" other.json), the file has $(grep -c 'cut' home2/broken.json || true) of its lines"
kill "$server"
start home2 "$fourth" misspelled.json
missing="started $(grep -c 'Started flows' "$fourth.log"), page $(answers "http://127.0.0.1:$fourth/")"
kill "$server"
observed "/hello: $before; a deployment with an unknown type on another tab: $deployed, then /hello: $after"
observed "a second server of the folder deploys: $replaced; the first still has them: $kept"
observed "a file that is not JSON: $broken; one that does not exist: $missing"
[ "$before/$deployed/$after" = '200/204/404, state {"state":"start"}, page 200, errors 0' ] \
    && [ "$replaced/$kept" = "204, 0 of the first's flows in the file/1" ] \
    && [ "$broken/$missing" = "started 1, page 200, errors 0, deployed 204, the file has 0 of its lines/started 1, page 200" ] && verdict 0
verdict 1
