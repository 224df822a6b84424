#!/usr/bin/env bash
# Guess: `nats-server -p 0` takes any free port, as port 0 does elsewhere; `--signal stop` is the gentle way to end it.
# Seen:  0 counts as "not given": it listens on the default, 4222, so that the second server started that way fails. Any
#        free port is -1. `--signal stop` sends SIGKILL: the process dies by signal 9 with no shutdown in its log.
#        `--signal quit` is the one that shuts down, with status 0.
# With:  nats-server 2.15.3 (Go module).
# Why:   tests and per-worktree services that ask for port 0 share one server, or get in each other's way; "stop" in a
#        service file risks what is not yet on disk.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
go_install github.com/nats-io/nats-server/v2@v2.15.3
listens 4222 && unable "something listens on 4222 already"
ending() { # SIGNAL: how a server ends; its log stays in SIGNAL.log
    local server code=0
    nats-server -a 127.0.0.1 -p -1 -P "$WORK/nats.pid" >"$1.log" 2>&1 &
    server=$!
    wait_for 10 grep -q "Server is ready" "$1.log" || unable "nats-server did not come up"
    nats-server --signal "$1=$WORK/nats.pid" >/dev/null 2>&1
    wait "$server" 2>/dev/null || code=$?
    echo "$code"
}
said() { sed -n 's/.*Listening for client connections on //p' "$1"; }
nats-server -a 127.0.0.1 -p 0 >zero.log 2>&1 &
zero=$!
wait_for 10 grep -q "Server is ready" zero.log || unable "nats-server did not come up"
second=0
bounded 10 nats-server -a 127.0.0.1 -p 0 >second.log 2>&1 || second=$?
kill "$zero"
wait "$zero" || true
stop=$(ending stop)
quit=$(ending quit)
goodbye_stop=$(grep -ci 'exiting\|shutdown' stop.log || true)
goodbye_quit=$(grep -ci 'exiting\|shutdown' quit.log || true)
observed "-p 0: $(said zero.log); a second one ends with $second: $(grep -o 'Error listening.*' second.log | head -1)"
observed "-p -1: $(said stop.log | sed 's/:[0-9]*$/:(any)/')"
observed "signal stop: exit status $stop, $goodbye_stop lines of shutdown; quit: exit status $quit, $goodbye_quit lines"
[ "$(said zero.log)" = 127.0.0.1:4222 ] && [ "$second" = 1 ] && [ "$stop" = 137 ] && [ "$goodbye_stop" = 0 ] \
    && [ "$quit" = 0 ] && [ "$goodbye_quit" -gt 0 ] && verdict 0
verdict 1
