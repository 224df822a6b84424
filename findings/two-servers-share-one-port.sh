#!/usr/bin/env bash
# Guess: a second web server on a taken port fails to start; a port that answers belongs to the server just started.
# Seen:  granian sets SO_REUSEPORT, and so do caddy and haproxy: of each, a second one on the port of the first starts
#        without a word. Both listen, and the system deals the requests out to the two.
# With:  granian 2.8.9 (PyPI), caddy 2.6.2 and haproxy 2.6.12 (Debian 12), Linux.
# Why:   "it listens on the port" and "the port answers" are true of another program; half of the requests see old code.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install granian==2.8.9
deb_install caddy=2.6.2-5 haproxy=2.6.12-1+deb12u4 liblua5.3-0 libopentracing-c-wrapper0 libopentracing1
need ss
cat >app.py <<'PY'
import os


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": os.environ["WHO"].encode()})
PY
answers() { for _ in $(seq 60); do curl -s --no-keepalive "http://127.0.0.1:$1/"; echo; done | sort -u | paste -sd, -; }
need curl
port=$(free_port)
for who in first second; do
    WHO=$who granian --interface asgi --host 127.0.0.1 --port "$port" --no-ws app:app >"granian-$who.log" 2>&1 &
    wait_for 20 grep -q "Started worker" "granian-$who.log" || unable "granian did not start: $(tail -1 "granian-$who.log")"
done
sleep 1
granians=$(answers "$port")
observed "granian: $(ss -Hltn "sport = :$port" | wc -l) listening sockets, answers from: $granians"
port=$(free_port)
for who in first second; do
    printf '{\n admin off\n auto_https off\n}\nhttp://127.0.0.1:%s {\n bind 127.0.0.1\n respond %s\n}\n' "$port" "$who" >"Caddyfile-$who"
    caddy run --config "Caddyfile-$who" --adapter caddyfile >"caddy-$who.log" 2>&1 &
    wait_for 20 grep -q "serving initial configuration" "caddy-$who.log" || unable "caddy did not start: $(tail -1 "caddy-$who.log")"
done
sleep 1
caddies=$(answers "$port")
observed "caddy: $(ss -Hltn "sport = :$port" | wc -l) listening sockets, answers from: $caddies"
port=$(free_port)
there() { [ "$(ss -Hltn "sport = :$port" | wc -l)" -ge "$1" ]; }
for who in first second; do
    printf 'defaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\nfrontend f\n  bind 127.0.0.1:%s\n  http-request return status 200 content-type text/plain string %s\n' "$port" "$who" >"$who.cfg"
    haproxy -f "$who.cfg" >"haproxy-$who.log" 2>&1 &
    wait_for 20 there "$([ $who = first ] && echo 1 || echo 2)" || unable "haproxy did not start: $(tail -1 "haproxy-$who.log")"
done
haproxies=$(answers "$port")
observed "haproxy: $(ss -Hltn "sport = :$port" | wc -l) listening sockets, answers from: $haproxies"
[ "$granians/$caddies/$haproxies" = "first,second/first,second/first,second" ] && verdict 0
verdict 1
