#!/usr/bin/env bash
# Guess: `daemon --name=web` fails when a "web" runs, `--stop` fails or waits when the program does not end, `--running` tells
#        whether the program runs, and what a killed daemon left is still known.
# Seen:  status 0 for a second start, which starts nothing; 0 for a stop that a program ignores; 0 for `--running` with
#        --respawn while the program has ended with 3 and waits to be run again, five minutes at a time. After kill -9 of
#        the daemon its program runs on: `--running` and `--stop` give 1, and a start runs a second one beside it.
# With:  daemon 0.8 (Debian 12), of libslack.
# Why:   a start and a stop that did nothing look as good as those that did, and `--running` is true of a program that cannot
#        run; two programs of one name write to the same files.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install daemon=0.8-1+b1
mkdir pids
run() { # a daemon command; its status
    local code=0
    bounded 20 daemon --pidfiles="$WORK/pids" "$@" </dev/null >said 2>&1 || code=$?
    echo "$code"
}
runs() { case $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) in '' | Z*) return 1 ;; esac; }
fate() { runs "$1" && echo runs || echo gone; }
program() { printf '#!/bin/sh\n%s\necho $$ >%s/%s\nwhile :; do sleep 0.2; done\n' "$2" "$WORK" "$1" >"$1.sh" && chmod +x "$1.sh"; }
program first :
program second :
program stubborn 'trap "" TERM'
printf '#!/bin/sh\necho >>%s/attempts\nexit 3\n' "$WORK" >fails.sh
chmod +x fails.sh

start=$(run --name=web sh "$WORK/first.sh")
wait_for 10 test -s first || unable "the first program did not start: $(cat said)"
again=$(run --name=web sh "$WORK/second.sh")
sleep 2
second=$([ -e second ] && echo started || echo "not started")
observed "start: $start; another program under the same name: $again, $second"

kill -9 "$(cat pids/web.pid)"
sleep 1
lost="$(run --name=web --running) $(run --name=web --stop) $(fate "$(cat first)")"
double=$(run --name=web sh "$WORK/second.sh")
wait_for 10 test -s second || true
double="$double $(fate "$(cat first)") $(fate "$(cat second)")"
observed "after kill -9 of the daemon (--running, --stop, program): $lost; a new start (status, first and second program): $double"

run --name=stubborn sh "$WORK/stubborn.sh" >/dev/null
wait_for 10 test -s stubborn || unable "the second daemon did not start: $(cat said)"
stop=$(run --name=stubborn --stop)
sleep 2
stop="$stop $(fate "$(cat stubborn)") $(run --name=stubborn --running)"
observed "a program that ignores SIGTERM (--stop, program, --running): $stop"

run --name=fails --respawn sh "$WORK/fails.sh" >/dev/null
wait_for 10 test -e attempts
sleep 3
attempts=$(wc -l <attempts)
sleep 3
running=$(run --name=fails --running)
later=$(wc -l <attempts)
told=$(run --name=fails --verbose --running)
observed "--respawn of one that ends with 3 (--running, runs after 3 and 6 s): $running, $attempts, $later; $told with --verbose: $(cat said)"
[ "$start $again $second" = "0 0 not started" ] && [ "$lost" = "1 1 runs" ] && [ "$double" = "0 runs runs" ] && [ "$stop" = "0 runs 0" ] \
    && [ "$running $told" = "0 0" ] && [ "$attempts" = "$later" ] && grep -q 'client is not running' said && verdict 0
verdict 1
