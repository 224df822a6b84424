#!/usr/bin/env bash
# Guess: `celery multi start` fails if no worker starts; a start of a worker that runs, and a stop of one that does not, are
#        reported; a worker of a module that cannot be imported exits.
# Seen:  `celery multi start` and `restart` print FAILED for a module that is missing and end with 0. A second start prints
#        "ERROR: Pidfile … already exists" and then OK, and ends with 0; so does the start of a worker whose broker is not
#        there, and the stop of a misspelled name. `celery worker` alone ends with 2. A task that the worker does not know is
#        accepted (`celery call`, status 0) and discarded. A taskiq worker of a missing module stays, and starts its processes
#        again and again.
# With:  celery 5.7.0, redis 8.1.0, packaging 26.4, taskiq 0.13.0 (PyPI), redis-server 7.0.15 (Debian 12).
# Why:   a service that is started with `celery multi` is up for every supervisor, also if it never was; `celery inspect ping`
#        is what fails.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need redis-server
version_is redis-server "$(redis-server --version | grep -o 'v=[0-9.]*')" v=7.0.15
pip_install celery==5.7.0 redis==8.1.0 packaging==26.4 taskiq==0.13.0
port=$(free_port)
nobody=$(free_port)
redis-server --port "$port" --bind 127.0.0.1 --save "" >redis.log 2>&1 &
wait_for 20 listens "$port" || unable "redis-server did not come up"
for name in app lost; do
    broker=$port
    [ "$name" = app ] || broker=$nobody
    cat >"$name.py" <<PY
from celery import Celery

app = Celery("app", broker="redis://127.0.0.1:$broker/0")
PY
done
attempt() { local code=0; bounded 60 "$@" >said 2>&1 || code=$?; echo "$code"; }
multi() { attempt celery multi "$1" "$2" -A "$3" "--pidfile=$WORK/%n.pid" "--logfile=$WORK/%n.log" -c 1 -P solo -l INFO; }
says() { grep -o "$1" said | tail -1 || true; }
missing="$(multi start a missing) $(says FAILED)"
again="$(multi restart a missing) $(says FAILED)"
foreground=$(attempt celery -A missing worker)
first="$(multi start b app) $(says OK)"
is_ready() { grep -q 'ready\.' b.log; }
wait_for 40 is_ready || unable "the worker did not come up: $(tail -1 b.log)"
second="$(multi start b app) $(says 'Pidfile .* already exists' | sed 's/(.*) //') $(says OK)"
call=$(attempt celery -A app call app.nosuch)
is_discarded() { grep -q 'Received unregistered task' b.log; }
wait_for 20 is_discarded && discarded=yes || discarded=no
multi stop b app >/dev/null
is_gone() { [ ! -e b.pid ]; }
wait_for 20 is_gone || unable "the worker did not stop"
typo="$(multi stop typo app) $(says DOWN)"
lost="$(multi start c lost) $(says OK)"
cannot() { grep -q 'Cannot connect' c.log; }
wait_for 30 cannot && connected=no || connected=yes
ping=$(attempt celery -A app inspect ping --timeout 1)
taskiq worker missing:broker --workers 1 >taskiq.log 2>&1 &
taskiq=$!
restarts() { [ "$(grep -c "No module named 'missing'" taskiq.log)" -ge 3 ]; }
wait_for 60 restarts && again_and_again=yes || again_and_again=no
kill -0 "$taskiq" && stays=yes || stays=no
observed "a missing module: start $missing, restart $again, celery worker $foreground; taskiq: fails again and again $again_and_again, stays $stays"
observed "start: $first; again: $second; a broker that is not there: $lost, connected $connected; stop of a misspelled name: $typo"
observed "call of an unknown task: $call, discarded $discarded; inspect ping without a worker: $ping"
[ "$missing/$again/$foreground/$first/$second" = "0 FAILED/0 FAILED/2/0 OK/0 Pidfile already exists OK" ] \
    && [ "$lost/$connected/$typo/$call/$discarded/$ping" = "0 OK/no/0 DOWN/0/yes/69" ] && [ "$again_and_again/$stays" = yes/yes ] && verdict 0
verdict 1
