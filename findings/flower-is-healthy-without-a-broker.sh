#!/usr/bin/env bash
# Guess: Flower's health check fails if its broker does not answer, and a list of workers is an error then.
# Seen:  /healthcheck answers "OK" with 200, and /api/workers answers 200 with {}, the list that means "no worker", also when it is asked
#        to refresh. The log has "Connection refused". `celery inspect ping` fails, with status 69.
# With:  flower 2.2.0, celery 5.7.0 (PyPI).
# Why:   a supervisor that asks for health, and a script that waits until no worker is left, take a broker that is gone for
#        a quiet day.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need curl
pip_install flower==2.2.0 celery==5.7.0
nobody=$(free_port)
echo "from celery import Celery; app = Celery('tasks', broker='amqp://127.0.0.1:$nobody//')" >tasks.py
port=$(free_port)
FLOWER_UNAUTHENTICATED_API=true celery -A tasks flower --address=127.0.0.1 --port="$port" >flower.log 2>&1 &
server=$!
wait_for 60 listens "$port" || unable "Flower did not come up: $(tail -1 flower.log)"
ask() { curl -s -m 30 -w ' %{http_code}' "http://127.0.0.1:$port/$1" || true; }
health=$(ask healthcheck)
workers=$(ask 'api/workers?refresh=1')
refused=$(grep -c 'Connection refused' flower.log || true)
ping=0
bounded 60 celery -A tasks inspect ping >ping.log 2>&1 || ping=$?
kill -0 "$server" && lives=stays || lives=ends
observed "no broker: Flower $lives, /healthcheck '$health', /api/workers '$workers', lines with 'Connection refused': $refused; celery inspect ping: $ping"
[ "$lives/$health/$workers/$ping" = "stays/OK 200/{} 200/69" ] && [ "$refused" -gt 0 ] && verdict 0
verdict 1
