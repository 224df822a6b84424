#!/usr/bin/env bash
# Guess: a job fails if its program does not exist or is killed, and a client fails if no server listens; a server in the background
#        fails if its port is in use, and one in the foreground soon does.
# Seen:  `gearman -f name work` without a server ends with 0, with -b as well. A worker whose program does not exist answers the job
#        with success, and so does one whose program a signal has killed; only a program that exits with a status fails the job
#        (1). `gearmand -d` on a port in use ends with 0; it tries for about twenty seconds, and then ends. `gearadmin
#        --cancel-job` of an unknown job prints UNKNOWN_JOB, and ends with 0.
# With:  gearmand 1.1.20, its clients (Debian 12).
# Why:   a queue looks healthy while each of its jobs does nothing; a submit in a script is lost with status 0.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install gearman-job-server=1.1.20+ds-1 gearman-tools=1.1.20+ds-1 libgearman8=1.1.20+ds-1
deb_install libevent-2.1-7 libevent-core-2.1-7 libevent-pthreads-2.1-7 libhashkit2 libhiredis0.14 libmemcached11 libmariadb3
attempt() { local code=0; bounded 60 "$@" >said 2>&1 || code=$?; echo "$code"; }
port=$(free_port) nobody=$(free_port) taken=$(free_port)
python3 -m http.server "$taken" --bind 127.0.0.1 >/dev/null 2>&1 &
wait_for 20 listens "$taken"
without="$(attempt gearman -h 127.0.0.1 -p "$nobody" -f work job)$(attempt gearman -h 127.0.0.1 -p "$nobody" -b -f work job)"
grep -q COULD_NOT_CONNECT said || unable "gearman: $(tail -1 said)"
background=$(attempt gearmand -d -L 127.0.0.1 -p "$taken" -l "$WORK/taken.log")
gearmand -L 127.0.0.1 -p "$port" -l "$WORK/gearmand.log" &
wait_for 20 listens "$port" || unable "gearmand did not come up: $(tail -1 gearmand.log)"
at=(-h 127.0.0.1 -p "$port")
job() { # NAME COMMAND…: the status of a job that a worker of the command does
    local name=$1 worker
    shift
    gearman "${at[@]}" -w -f "$name" -- "$@" >worker.log 2>&1 &
    worker=$!
    registered() { gearadmin "${at[@]}" --status | grep -q "^$name[[:space:]].*1$"; }
    wait_for 20 registered || unable "the worker did not come up: $(tail -1 worker.log)"
    attempt gearman "${at[@]}" -f "$name" job
    kill "$worker" 2>/dev/null || true
}
missing=$(job missing "$WORK/missing")
killed=$(job killed sh -c 'kill -9 $$')
failed=$(job failed sh -c 'exit 3')
cancelled="$(attempt gearadmin "${at[@]}" --cancel-job=H:nowhere:7) $(grep -o UNKNOWN_JOB said)"
gone() { grep -q 'Timeout occurred when calling bind' taken.log; }
wait_for 50 gone && later="gave up" || later="still tries"
observed "without a server: $without; a missing program: $missing, one that is killed: $killed, one that ends with 3: $failed"
observed "gearmand -d on a port in use: $background, later: $later; cancel of an unknown job: $cancelled"
[ "$without/$missing/$killed/$failed/$background/$later/$cancelled" = "00/0/0/1/0/gave up/0 UNKNOWN_JOB" ] && verdict 0
verdict 1
