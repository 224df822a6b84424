#!/usr/bin/env bash
# Guess: start-server-and-test tests the server that it started, and fails if that one does not start.
# Seen:  if anything answers at the address, the tests run against it at once, whether their own server is still starting, will
#        find its port in use, or is a program that does not exist; the status is the tests': 0.
# With:  start-server-and-test 3.0.12 (npm, on Node.js 20).
# Why:   with a dev server of another checkout, or of yesterday, on the port the tests pass for code that never ran. A port that
#        answers is ready only if the process that was started holds it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install start-server-and-test@3.0.12
need curl
port=$(free_port)
cat >server.cjs <<JS
setTimeout(() => require("http").createServer((_, response) => response.end(process.argv[2])).listen($port, "127.0.0.1"), Number(process.argv[3]))
JS
echo "{\"private\": true, \"scripts\": {\"late\": \"node server.cjs own 4000\", \"missing\": \"sleep 4; no-such-program\", \"test\": \"curl -s http://127.0.0.1:$port/\"}}" >package.json
attempt() { local code=0; bounded 60 start-server-and-test "$1" "http-get://127.0.0.1:$port" test </dev/null >said 2>&1 || code=$?; echo "$code $(grep -Eo '(own|other)$' said | tail -1)"; }
free=$(attempt late)
node server.cjs other 0 &
wait_for 20 listens "$port" || unable "the other server did not come up"
late=$(attempt late)
missing=$(attempt missing)
observed "the port is free: status and answer $free; another server has it: $late; and the start command is missing: $missing"
[ "$free/$late/$missing" = "0 own/0 other/0 other" ] && verdict 0
verdict 1
