#!/usr/bin/env bash
# Guess: a worker's own health check fails soon after its worker was killed, and a list of workers shows those that run.
# Seen:  `arq --check` ends with 0, "Health check successful", for up to an hour after kill -9: it reads a key in Redis that lives for
#        health_check_interval and a second, 3600 s by default, which only a clean end deletes. `rq info` lists a killed worker
#        as idle for minutes. `saq --check` fails within seconds. A job that is queued meanwhile waits, with no error.
# With:  arq 0.28.0, rq 2.12.0, saq 0.26.4, redis 5.3.1 (PyPI), Redis 7.0.15 (Debian 12).
# Why:   the check that arq's documentation gives for supervisors and containers is green while no one works; with
#        health_check_interval = 10 it is useful.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install redis-server=5:7.0.15-1~deb12u10 redis-tools=5:7.0.15-1~deb12u10 liblzf1 libjemalloc2 libatomic1 liblua5.1-0 lua-bitop lua-cjson
pip_install arq==0.28.0 rq==2.12.0 'saq[redis]==0.26.4' redis==5.3.1 typing_extensions==4.16.0
port=$(free_port)
redis-server --bind 127.0.0.1 --port "$port" --save '' >redis.log 2>&1 &
wait_for 20 redis-cli -p "$port" ping || unable "Redis did not come up"
cat >tasks.py <<PY
from arq.connections import RedisSettings
from saq import Queue


async def hello(ctx):
    return 1


class Worker:
    functions = [hello]
    redis_settings = RedisSettings(port=$port)


class Short:  # arq reads nothing that is inherited
    functions = [hello]
    redis_settings = RedisSettings(port=$port)
    queue_name = "short"
    health_check_interval = 2


queue = Queue.from_url("redis://127.0.0.1:$port/1")
settings = {"queue": queue, "functions": [hello]}
PY
export PYTHONPATH="$WORK"
check() { local code=0; bounded 30 "$@" >said 2>&1 || code=$?; echo "$code"; }
passes() { [ "$(check "$@")" = 0 ]; }
fails() { ! passes "$@"; }
rq_lists() { rq info --url "redis://127.0.0.1:$port/2" >said 2>&1 && grep -q '^1 workers' said; }
before="$(check arq --check tasks.Worker) $(check saq --check tasks.settings)"
arq tasks.Worker >arq.log 2>&1 &
workers=$!
arq tasks.Short >short.log 2>&1 &
workers="$workers $!"
saq tasks.settings >saq.log 2>&1 &
workers="$workers $!"
rq worker --url "redis://127.0.0.1:$port/2" >rq.log 2>&1 &
workers="$workers $!"
wait_for 60 passes arq --check tasks.Worker || unable "arq did not come up: $(tail -1 arq.log)"
wait_for 60 passes arq --check tasks.Short || unable "arq did not come up: $(tail -1 short.log)"
wait_for 60 passes saq --check tasks.settings || unable "saq did not come up: $(tail -1 saq.log)"
wait_for 60 rq_lists || unable "rq did not come up: $(tail -1 rq.log)"
# shellcheck disable=SC2086
{ kill -9 $workers && wait $workers; } 2>/dev/null || true
sleep 15
wait_for 30 fails saq --check tasks.settings && saq=fails || saq=passes
arq="$(check arq --check tasks.Worker), $(grep -o 'Health check successful' said)"
short=$(check arq --check tasks.Short)
seconds=$(redis-cli -p "$port" ttl arq:queue:health-check)
rq_lists && listed="listed as $(grep -o 'idle' said)" || listed=gone
observed "without a worker: arq and saq $before; 15 s and more after kill -9: arq $arq, for $seconds s more; with an interval of 2 s: $short; saq $saq; rq's worker is $listed"
[ "$before/$arq/$short/$saq/$listed" = "1 1/0, Health check successful/1/fails/listed as idle" ] && [ "$seconds" -gt 3000 ] && verdict 0
verdict 1
