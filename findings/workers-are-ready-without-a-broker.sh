#!/usr/bin/env bash
# Guess: a worker without its broker exits, or does not say that it is ready.
# Seen:  rq exits with 1. dramatiq writes "Worker process is ready for action." before it has tried to connect, and goes on
#        for ever with "Consumer encountered a connection error"; huey writes "consumer started" and goes on likewise.
# With:  dramatiq 2.2.1, huey 3.5.4, rq 3.0.0, redis 8.1.0 (PyPI).
# Why:   readiness by that log line is true before anything works; what shows health is the absence of later errors.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install dramatiq==2.2.1 huey==3.5.4 rq==3.0.0 redis==8.1.0
nobody=$(free_port)
cat >tasks.py <<PY
import dramatiq
from dramatiq.brokers.redis import RedisBroker
from huey import RedisHuey

dramatiq.set_broker(RedisBroker(url="redis://127.0.0.1:$nobody/0"))
huey = RedisHuey("tasks", url="redis://127.0.0.1:$nobody/0")


@dramatiq.actor
def work():
    pass
PY
code=0
bounded 60 rq worker --url "redis://127.0.0.1:$nobody/0" >rq.log 2>&1 || code=$?
dramatiq tasks -p 1 -t 1 >dramatiq.log 2>&1 &
dramatiq=$!
huey_consumer tasks.huey >huey.log 2>&1 &
huey=$!
failed() { [ "$(grep -c 'connection error' dramatiq.log)" -ge 4 ] && [ "$(grep -c 'Error reading from queue' huey.log)" -ge 2 ]; }
wait_for 60 failed && failing=yes || failing=no
kill -0 "$dramatiq" && kill -0 "$huey" && alive=yes || alive=no
ready=$(grep -n -m1 'ready for action' dramatiq.log | cut -d: -f1)
error=$(grep -n -m1 'connection error' dramatiq.log | cut -d: -f1)
started=$(grep -c 'consumer started' huey.log || true)
observed "rq: status $code; dramatiq: ready in line $ready, its first error in line $error; huey: started $started; both fail again and again: $failing, and live: $alive"
[ "$code/$failing/$alive/$started" = 1/yes/yes/1 ] && [ "$ready" -lt "$error" ] && verdict 0
verdict 1
