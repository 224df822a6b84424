#!/usr/bin/env bash
# Guess: `caddy reload` and `caddy stop` in a project's folder are for that project's server, and fail if it does not run; a
#        second `caddy run` finds the admin port taken.
# Seen:  whoever listens on localhost:2019 is meant. `caddy reload` in folder b ends with 0 and makes the server of folder a
#        that of b: a's port is closed. `caddy stop` in b ends a. A second `caddy run` shares the admin port without a
#        word, so that from then on chance says which of the two is stopped.
# With:  caddy 2.6.2 (Debian 12).
# Why:   two checkouts with a Caddyfile each: a script of one reloads or ends the other's server, with status 0. Each needs an
#        `admin` address of its own.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install caddy=2.6.2-5
need curl ss
listens 2019 && unable "something listens on port 2019"
mkdir a b
for who in a b; do
    free_port >"$who/port"
    printf '{\n auto_https off\n}\nhttp://127.0.0.1:%s {\n bind 127.0.0.1\n respond %s\n}\n' "$(cat "$who/port")" "$who" >"$who/Caddyfile"
done
answer() { curl -s --max-time 5 "http://127.0.0.1:$(cat "$1/port")" || true; }
answers() { [ "$(answer "$1")" = "$2" ]; }
in_folder() { local code=0; (cd "$1" && bounded 20 caddy "$2" >"$2.log" 2>&1) || code=$?; echo "$code"; }
(cd a && exec caddy run >run.log 2>&1) &
first=$!
wait_for 20 answers a a || unable "caddy did not start: $(tail -1 a/run.log)"
(cd b && exec caddy run >run.log 2>&1) &
second=$!
wait_for 20 answers b b && both=yes || both=no
admins=$(ss -Hltn | grep -c ':2019 ' || true)
kill "$second"
wait "$second" || true
reload=$(in_folder b reload)
wait_for 10 answers b b || true
after="'$(answer a)' '$(answer b)'"
stop=$(in_folder b stop)
ended() { ! kill -0 "$first" 2>/dev/null; }
wait_for 10 ended && end=ended || end=runs
observed "a second caddy run: serves $both, listeners on the admin port: $admins"
observed "only a's server runs; caddy reload in b: status $reload, the ports of a and b answer $after; caddy stop in b: status $stop, a's server $end"
[ "$both/$admins/$reload/$after/$stop/$end" = "yes/2/0/'' 'b'/0/ended" ] && verdict 0
verdict 1
