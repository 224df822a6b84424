#!/usr/bin/env bash
# Guess: a server that is asked to end by SIGTERM or SIGINT while it starts, since its startup hook waits for a database, ends at once: it
#        serves nothing yet.
# Seen:  of six aiohttp alone does. uvicorn (with --workers 2 and --reload, too), hypercorn and granian are still there twelve seconds
#        after either signal, Sanic after SIGTERM; gunicorn's ASGI worker takes the 30 seconds of --graceful-timeout. Their handlers
#        note that the server is to end, and nothing looks before the startup is over.
# With:  uvicorn 0.54.0, hypercorn 0.18.0, granian 2.8.9, sanic 25.12.1, gunicorn 27.0.1 with its asgi worker, aiohttp 3.14.5 (PyPI).
# Why:   an API that waits for a database which never comes is what one wants to stop: a stop takes the whole grace of the supervisor
#        and ends in kill -9, Ctrl+C does nothing, and a time limit on the startup ends in the same way.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install uvicorn==0.54.0 hypercorn==0.18.0 granian==2.8.9 sanic==25.12.1 gunicorn==27.0.1 aiohttp==3.14.5
cat >api.py <<'PY'
import asyncio


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        print("waits for the database", flush=True)
        await asyncio.sleep(600)
PY
cat >with_sanic.py <<'PY'
import asyncio

from sanic import Sanic

app = Sanic("api")


@app.before_server_start
async def connect(_):
    print("waits for the database", flush=True)
    await asyncio.sleep(600)


@app.get("/")
async def index(_):
    pass
PY
cat >with_aiohttp.py <<'PY'
import asyncio
import sys

from aiohttp import web


async def connect(_):
    print("waits for the database", flush=True)
    await asyncio.sleep(600)


app = web.Application()
app.on_startup.append(connect)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]))
PY
PYTHON=python judge 150 <<'PY'
import signal
from pathlib import Path

from wire import *

SERVERS = {  # what is there twelve seconds after the signal
    "uvicorn --port {} api:app": "runs",
    "uvicorn --workers 2 --port {} api:app": "runs",
    "uvicorn --reload --port {} api:app": "runs",
    "hypercorn -b 127.0.0.1:{} api:app": "runs",
    "granian --interface asgi --port {} api:app": "runs",
    "sanic with_sanic:app --host 127.0.0.1 --port {}": "runs",
    "gunicorn --no-control-socket -k asgi -b 127.0.0.1:{} api:app": "runs",
    "python with_aiohttp.py {}": "ended",
}


facts = []
for sign in (signal.SIGTERM, signal.SIGINT):
    begun = {}
    # After SIGINT Sanic ends or stays, by chance.
    for number, command in enumerate(name for name in SERVERS if sign == signal.SIGTERM or "sanic" not in name):
        log = Path(f"{sign.name}-{number}.log")
        with log.open("w") as out:
            process = subprocess.Popen(command.format(free_port()).split(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        deadline = time.monotonic() + 30
        while "waits" not in log.read_text() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        if "waits" not in log.read_text():
            print(f"  {command} did not begin: {log.read_text()[-300:]}")
            raise SystemExit(2)
        begun[command] = process
    time.sleep(1)
    for process in begun.values():
        process.send_signal(sign)
    deadline = time.monotonic() + 12
    while any(process.poll() is None for process in begun.values()) and time.monotonic() < deadline:
        time.sleep(0.2)
    seen = {command: "runs" if process.poll() is None else "ended" for command, process in begun.items()}
    show(f"twelve seconds after {sign.name}: " + "; ".join(f"{command.split(' {')[0]}: {fate}" for command, fate in seen.items()))
    facts += [(fate == SERVERS[command], f"{sign.name}, {command}: {fate}") for command, fate in seen.items()]
    last = "gunicorn --no-control-socket -k asgi -b 127.0.0.1:{} api:app"
    try:
        begun[last].wait(25)
        show(f"{sign.name}: gunicorn ends within 40 seconds, with {begun[last].returncode}")
    except subprocess.TimeoutExpired:
        facts.append((False, f"{sign.name}: gunicorn runs after 40 seconds"))
    for process in begun.values():
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
finish(*facts)
PY
