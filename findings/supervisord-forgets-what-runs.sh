#!/usr/bin/env bash
# Guess: supervisorctl's ERROR lines come with a non-zero status; after supervisord was killed the next one finds or ends
#        the programs of the first.
# Seen:  "ERROR (already started)" and "ERROR (not running)" come with status 0, "ERROR (spawn error)" with 7, and status 3
#        means that some program is stopped, however well that is meant. After SIGKILL of supervisord its programs run
#        on; the next supervisord shows them as STOPPED "Not started", and start runs a second copy next to the first.
# With:  supervisor 4.3.0 (PyPI).
# Why:   the text and the status have to be read together; STOPPED after a crash of the supervisor is no fact about the
#        program, and starting on that word makes doubles.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install supervisor==4.3.0
cat >supervisord.conf <<CONF
[unix_http_server]
file=$WORK/s.sock
[supervisord]
logfile=$WORK/s.log
pidfile=$WORK/s.pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://$WORK/s.sock
[program:web]
command=sleep 90
autostart=false
[program:bad]
command=/bin/false
autostart=false
startretries=0
CONF
ctl() { bounded 30 supervisorctl -c supervisord.conf "$@" 2>&1; }
attempt() { local code=0; ctl "$@" >answer || code=$?; echo "$code $(tr -s ' ' <answer | head -1)"; }
up() { supervisord -c supervisord.conf >/dev/null && wait_for 15 ctl pid || unable "supervisord did not come up"; }
up
attempt start web >/dev/null
twice=$(attempt start web)
spawn=$(attempt start bad)
attempt stop web >/dev/null
idle=$(attempt stop web)
observed "start twice → $twice; start of /bin/false → $spawn; stop twice → $idle"
attempt start web >/dev/null
first=$(ctl pid web)
kill -9 "$(cat s.pid)"
sleep 1
up
shown=$(attempt status web)
attempt start web >/dev/null
second=$(ctl pid web)
both=no
kill -0 "$first" 2>/dev/null && kill -0 "$second" 2>/dev/null && [ "$first" != "$second" ] && both=yes
observed "after kill -9 of supervisord: status → $shown; after start, two copies run: $both"
ctl shutdown >/dev/null || true
[[ $twice == "0 web: ERROR (already started)" ]] && [[ $idle == "0 web: ERROR (not running)" ]] \
    && [[ $spawn == "7 bad: ERROR (spawn error)" ]] && [[ $shown == "3 web STOPPED Not started" ]] && [ $both = yes ] && verdict 0
verdict 1
