#!/usr/bin/env bash
# Guess: a process manager's `start` of a program that does not exist fails; the status of a program that ends at once is
#        failed, backoff or stopped after a while; its count of processes is 0.
# Seen:  `circusctl start` answers "ok", status 0, for both. The one that does not exist is then "stopped", as if it had
#        been stopped. The one that ends at once (/bin/false) is "active", for good, while it is started over and over;
#        numprocesses says 1 (what is wanted), and `list` names no process. Status 0 again.
# With:  circus 0.19.0 (PyPI).
# Why:   neither the answer of start nor the status tells whether anything runs; a server on top of it reports "active".
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install circus==0.19.0
control=$(free_port)
events=$(free_port)
cat >circus.ini <<INI
[circus]
endpoint = tcp://127.0.0.1:$control
pubsub_endpoint = tcp://127.0.0.1:$events
[watcher:ends]
cmd = /bin/false
autostart = false
[watcher:missing]
cmd = $WORK/no-such-program
autostart = false
INI
circusd circus.ini >circus.log 2>&1 &
ctl() { bounded 20 circusctl --endpoint "tcp://127.0.0.1:$control" --timeout 15 "$@" 2>/dev/null; }
wait_for 20 ctl status || unable "circusd did not come up"
rc_ends=0 rc_missing=0
start_ends=$(ctl start ends) || rc_ends=$?
start_missing=$(ctl start missing) || rc_missing=$?
sleep 6
status_ends=$(ctl status ends) || true
status_missing=$(ctl status missing) || true
count=$(ctl numprocesses ends) || true
observed "start: ends '$start_ends' status $rc_ends, missing '$start_missing' status $rc_missing"
observed "6 s later: ends '$status_ends' with numprocesses $count, missing '$status_missing'"
ctl quit >/dev/null || true
[ "$start_ends/$rc_ends" = ok/0 ] && [ "$start_missing/$rc_missing" = ok/0 ] && [ "$status_ends" = active ] \
    && [ "$count" = 1 ] && [ "$status_missing" = stopped ] && verdict 0
verdict 1
