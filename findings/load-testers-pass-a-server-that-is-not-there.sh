#!/usr/bin/env bash
# Guess: a load test of an address where nothing listens fails, and so does one that got only 500.
# Seen:  of eight, only wrk (1) and ab (111) fail when every connection is refused. hey, siege, h2load, httperf, autocannon
#        and loadtest end with 0 and print figures; h2load's table says "100.00%". For 500 all eight end with 0.
# With:  hey 0.1.4, wrk 4.1.0, ab of apache2-utils 2.4.71, siege 4.0.7, h2load of nghttp2-client 1.52.0, httperf 0.9.0
#        (Debian 12), autocannon 9.0.0, loadtest 8.2.1 (npm).
# Why:   a job "warm up" or "smoke test" is green with its server down, in a supervisor as in CI. What was answered has to be
#        read from the report.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install hey=0.1.4-2+b4 wrk=4.1.0-3+b2 apache2-utils=2.4.71-1~deb12u1 siege=4.0.7-1+b1 nghttp2-client=1.52.0-1+deb12u3 \
    httperf=0.9.0-9+b2 libluajit-5.1-2 libaprutil1 libapr1 libev4
npm_install autocannon@9.0.0 loadtest@8.2.1
cat >failing.py <<'PY'
import http.server
import sys


class Failing(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(500)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"oops")


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Failing).serve_forever()
PY
port=$(free_port)
nobody=$(free_port)
python3 failing.py "$port" &
wait_for 10 listens "$port" || unable "the server did not come up"
attempt() { local name=$1 code=0; shift; bounded 30 "$@" </dev/null >"$name.out" 2>&1 || code=$?; printf '%s %s, ' "$name" "$code"; }
all() { # PORT
    local url="http://127.0.0.1:$1/"
    attempt hey hey -n 20 -c 2 "$url"
    attempt wrk wrk -t1 -c2 -d1 "$url"
    attempt ab ab -n 20 -c 2 "$url"
    attempt siege siege -b -c2 -r5 "$url"
    attempt h2load h2load --h1 -n 20 -c 2 "$url"
    attempt httperf httperf --server 127.0.0.1 --port "$1" --num-conns 5
    attempt autocannon autocannon -a 20 -c 2 "$url"
    attempt loadtest loadtest -n 20 -c 2 "$url"
}
refused=$(all "$nobody")
table=$(grep -c '^req/s.*100.00%' h2load.out || true)
errors=$(grep -c 'connection refused' hey.out || true)
failing=$(all "$port")
observed "nothing listens: ${refused%, }; hey lists its refused connections: $errors, h2load's table says 100%: $table"
observed "500: ${failing%, }"
[ "$refused" = "hey 0, wrk 1, ab 111, siege 0, h2load 0, httperf 0, autocannon 0, loadtest 0, " ] && [ "$table $errors" = "1 1" ] \
    && [ "$failing" = "hey 0, wrk 0, ab 0, siege 0, h2load 0, httperf 0, autocannon 0, loadtest 0, " ] && verdict 0
verdict 1
