#!/usr/bin/env bash
# Guess: a worker that is asked to end by SIGTERM finishes the job that it has begun and exits, or gives it back; a job is begun
#        twice only if its worker was killed.
# Seen:  of seven, with a job of four seconds, celery, rq, dramatiq and taskiq with a list finish it and exit. huey exits at
#        once, with 0, and the job is gone: no worker begins it again; SIGINT lets it finish. arq and saq break it off, exit
#        with 0, and the next worker begins it from the start, so what its first half did is done twice. taskiq with a stream
#        of Redis finishes it and is still there twenty seconds later.
# With:  celery 5.7.0, rq 3.0.0, dramatiq 2.2.1, huey 3.5.4, arq 0.28.0, saq 0.26.4, taskiq 0.13.0 with taskiq-redis 1.2.4 (PyPI),
#        a Redis server.
# Why:   SIGTERM is what every supervisor sends for a stop or a restart. For huey each restart loses what was in hand, and
#        status 0 says that all went well; for huey the signal to send is SIGINT, for taskiq's streams the stop ends with SIGKILL.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need redis-server
pip_install celery==5.7.0 packaging==26.4 rq==3.0.0 dramatiq==2.2.1 huey==3.5.4 saq==0.26.4 taskiq==0.13.0 taskiq-redis==1.2.4 redis==8.1.0
venv_install "$WORK/arq" arq==0.28.0
port=$(free_port)
redis-server --port "$port" --bind 127.0.0.1 --save "" --appendonly no >redis.log 2>&1 &
wait_for 20 listens "$port" || unable "no Redis"
export REDIS_URL="redis://127.0.0.1:$port/0"
cat >jobs.py <<'PY'
import asyncio
import os
import time
from pathlib import Path

URL = os.environ["REDIS_URL"]


def note(what):
    with Path(os.environ["JOURNAL"]).open("a") as journal:
        journal.write(what + "\n")


def plain():
    note("begun")
    end = time.monotonic() + 4
    while time.monotonic() < end:
        time.sleep(0.05)
    note("done")


async def waiting():
    note("begun")
    await asyncio.sleep(4)
    note("done")
PY
cat >with_celery.py <<'PY'
import jobs
from celery import Celery

app = Celery("with_celery", broker=jobs.URL)
job = app.task(name="job")(jobs.plain)
send = job.delay
PY
cat >with_rq.py <<'PY'
import jobs
from redis import Redis
from rq import Queue


def send():
    Queue(connection=Redis.from_url(jobs.URL)).enqueue(jobs.plain)
PY
cat >with_dramatiq.py <<'PY'
import dramatiq
import jobs
from dramatiq.brokers.redis import RedisBroker

dramatiq.set_broker(RedisBroker(url=jobs.URL))
send = dramatiq.actor(jobs.plain).send
PY
cat >with_huey.py <<'PY'
import jobs
from huey import RedisHuey

huey = RedisHuey("jobs", url=jobs.URL)
send = huey.task()(jobs.plain)
PY
cat >with_arq.py <<'PY'
import asyncio

import jobs
from arq import create_pool
from arq.connections import RedisSettings


async def job(ctx):
    await jobs.waiting()


class Settings:
    functions = [job]
    redis_settings = RedisSettings.from_dsn(jobs.URL)


def send():
    async def enqueue():
        await (await create_pool(Settings.redis_settings)).enqueue_job("job")

    asyncio.run(enqueue())
PY
cat >with_saq.py <<'PY'
import asyncio

import jobs
from saq import Queue

queue = Queue.from_url(jobs.URL)


async def job(ctx):
    await jobs.waiting()


settings = {"queue": queue, "functions": [job], "concurrency": 1}


def send():
    asyncio.run(queue.enqueue("job", timeout=60))
PY
for kind in ListQueue RedisStream; do
    cat >"with_taskiq_$kind.py" <<PY
import asyncio

import jobs
from taskiq_redis import ${kind}Broker

broker = ${kind}Broker(url=jobs.URL)
job = broker.task(jobs.waiting)


def send():
    async def enqueue():
        await broker.startup()
        await job.kiq()
        await broker.shutdown()

    asyncio.run(enqueue())
PY
done
judge 400 <<'PY'
import signal
from pathlib import Path

from wire import *

WORKERS = {  # exits by itself, what it did until then, what a second worker adds
    "celery": ("celery -A with_celery worker -c 1", True, "begun done", ""),
    "rq": (f"rq worker --url {os.environ['REDIS_URL']}", True, "begun done", ""),
    "dramatiq": ("dramatiq with_dramatiq -p 1 -t 1", True, "begun done", ""),
    "huey": ("huey_consumer with_huey.huey", True, "begun", ""),
    "huey, SIGINT": ("huey_consumer with_huey.huey", True, "begun done", ""),
    "arq": ("arq with_arq.Settings", True, "begun", "begun done"),
    "saq": ("saq with_saq.settings", True, "begun", "begun done"),
    "taskiq_ListQueue": ("taskiq worker with_taskiq_ListQueue:broker -w 1", True, "begun done", ""),
    "taskiq_RedisStream": ("taskiq worker with_taskiq_RedisStream:broker -w 1", False, "begun done", ""),
}
journal = Path("journal")
os.environ["JOURNAL"] = str(journal.resolve())


def has(what, times=1):
    return journal.exists() and journal.read_text().split().count(what) >= times


def start(command):
    folder = "arq" if command.startswith("arq") else "venv"
    program, *rest = command.split()
    return subprocess.Popen([Path(folder, "bin", program).resolve(), *rest], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, start_new_session=True)


def kill(worker):
    try:
        os.killpg(worker.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    worker.wait()


facts = []
for name, (command, exits, until_then, added) in WORKERS.items():
    journal.unlink(missing_ok=True)
    module = "with_" + name.partition(",")[0]
    folder = "arq" if name == "arq" else "venv"
    subprocess.run([f"{folder}/bin/python", "-c", f"import {module}; {module}.send()"], check=True)
    worker = start(command)
    if not until(lambda: has("begun"), 40):
        print(f"  {name} did not begin the job")
        raise SystemExit(2)
    time.sleep(0.5)
    worker.send_signal(signal.SIGINT if "SIGINT" in name else signal.SIGTERM)
    ended = until(lambda: worker.poll() is not None, 24)
    first = journal.read_text().split()
    status = worker.poll()
    kill(worker)
    second_worker = start(command)
    if until(lambda: has("begun", 2), 10):
        until(lambda: has("done"), 10)
    kill(second_worker)
    second = journal.read_text().split()[len(first):]
    show(f"{name}: {f'exits with {status}' if ended else 'is still there'}, its job {first}; a second worker adds {second}")
    facts.append(((ended, " ".join(first), " ".join(second)) == (exits, until_then, added) and status in (0, None), name))
finish(*facts)
PY
