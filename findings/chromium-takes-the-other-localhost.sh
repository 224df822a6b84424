#!/usr/bin/env bash
# Guess: Chromium whose --remote-debugging-port is in use ends, or says that it has none; a second one with the same port is not
#        reachable.
# Seen:  it listens on the same number of [::1], and says so among its errors. So two browsers answer on one port: 127.0.0.1 is the
#        first, [::1] the second, and what "localhost" is depends on the client. If both are in use, it stays, without a
#        debugging port. On a profile that is in use it ends with 21.
# With:  Chromium 156.0.8078.114 (Debian 12), headless, on a machine with IPv6.
# Why:   the process runs, and the port answers with Chromium's version, so each check is green, while the tests drive the browser of
#        another checkout. --remote-debugging-port=0 and the file DevToolsActivePort of the profile are safe.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need chromium curl
version_is chromium "$(chromium --version --no-sandbox 2>/dev/null | grep -o '[0-9.]\{8,\}' | head -1)" 156.0.8078.114
python3 -c 'import socket; socket.create_server(("::1", 0), family=socket.AF_INET6)' 2>/dev/null || unable "no IPv6 here"
browser() { # PROFILE PORT: as a job
    chromium --headless --no-sandbox --disable-gpu --no-first-run --user-data-dir="$WORK/$1" --remote-debugging-port="$2" about:blank >"$1.log" 2>&1 &
}
path_at() { curl -s -m 5 "http://$1/json/version" | grep -o 'browser/[0-9a-f-]*' || true; }
answers() { [ -n "$(path_at "$1")" ]; }
port=$(free_port)
browser first "$port"
wait_for 60 answers "127.0.0.1:$port" || unable "Chromium did not come up: $(tail -1 first.log)"
browser second "$port"
second=$!
wait_for 60 answers "[::1]:$port" && other=answers || other="does not answer"
kill -0 "$second" 2>/dev/null && lives=stays || lives=ends
four=$(path_at "127.0.0.1:$port")
six=$(path_at "[::1]:$port")
[ "$four" != "$six" ] && two="two browsers" || two="one browser"
browser third "$port"
third=$!
refused() { [ "$(grep -c 'bind() failed' third.log)" -ge 2 ]; }
wait_for 60 refused || true
sleep 5
kill -0 "$third" 2>/dev/null && last=stays || last=ends
named=$(grep -c 'DevTools listening' third.log || true)
code=0
bounded 60 chromium --headless --no-sandbox --disable-gpu --user-data-dir="$WORK/first" --remote-debugging-port=0 about:blank >again.log 2>&1 || code=$?
observed "a second one on the port: $lives, and on [::1] $other; $two; a third: $last, lines that name a port: $named; a second one on the profile: status $code"
[ "$lives/$other/$two/$last/$named/$code" = "stays/answers/two browsers/stays/0/21" ] && verdict 0
verdict 1
