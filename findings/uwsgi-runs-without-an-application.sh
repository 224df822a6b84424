#!/usr/bin/env bash
# Guess: uwsgi whose application cannot be imported exits, and SIGTERM ends it.
# Seen:  it writes "no app loaded. going in full dynamic mode", listens, and answers 500 to everything for as long as it is
#        there; --need-app makes it exit with 22. With --master SIGTERM restarts it in place, with the same pid; SIGINT or
#        --die-on-term ends it.
# With:  uWSGI 2.0.31 (PyPI, built here), Python 3.11.
# Why:   "it runs and its port accepts" is true of a server without an application, and a supervisor that sends SIGTERM and
#        waits finds the process as it was.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need gcc curl
pip_install uWSGI==2.0.31
printf 'import no_such_module\n' >shop.py
port=$(free_port)
attempt() { local code=0; bounded 30 "$@" >once.log 2>&1 || code=$?; echo "$code"; }
uwsgi --http "127.0.0.1:$port" --wsgi-file shop.py --master >uwsgi.log 2>&1 &
server=$!
status() { curl -s -o answer -w '%{http_code}' "http://127.0.0.1:$port" || true; }
answers() { [ "$(status)" = 500 ]; }
wait_for 30 answers && first=500 || first=$(status)
dynamic=$(grep -c 'no app loaded. going in full dynamic mode' uwsgi.log || true)
kill -TERM "$server"
restarted() { grep -q 'gracefully (RE)spawned uWSGI master process' uwsgi.log && answers; }
wait_for 30 restarted && again=500 || again=$(status)
kill -0 "$server" && alive=yes || alive=no
kill -INT "$server"
ended() { ! kill -0 "$server" 2>/dev/null; }
wait_for 20 ended && interrupted=ended || interrupted=runs
needed=$(attempt uwsgi --http "127.0.0.1:$port" --wsgi-file shop.py --master --need-app)
observed "it answers $first ($(cat answer)), 'full dynamic mode' $dynamic; after SIGTERM alive $alive, answers $again; after SIGINT $interrupted; with --need-app status $needed"
[ "$first/$dynamic/$alive/$again/$interrupted/$needed" = 500/1/yes/500/ended/22 ] && verdict 0
verdict 1
