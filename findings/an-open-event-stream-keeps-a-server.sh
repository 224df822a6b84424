#!/usr/bin/env bash
# Guess: SIGTERM ends a web server within its time for a graceful end, half a minute at most, also while a browser has a stream of events open
#        (EventSource, hot reload, MCP's GET).
# Seen:  of eleven uvicorn, granian, twistd, Fastify's close() and server.close() of Node, as Express's guide has it, have no such time: each
#        is there for as long as the stream, which none but twistd ends. aiohttp is there after 50 seconds, too, and
#        ends after two minutes, twice its shutdown_timeout. gunicorn ends
#        after its 30 seconds, hypercorn after 3; daphne, waitress and Tornado at once. Each has closed its port by then.
# With:  uvicorn 0.54.0, granian 2.8.9, aiohttp 3.14.5, Twisted 26.10.0, gunicorn 27.0.1, hypercorn 0.18.0, daphne 4.2.3, waitress 3.0.2, tornado
#        6.6.1 (PyPI), fastify 5.12.8, express 5.3.0 (npm), Node 20; default settings.
# Why:   one tab that was left open makes each restart take the whole grace of the supervisor and end in kill -9, which leaves out what the
#        server does at its end. uvicorn has --timeout-graceful-shutdown, granian --workers-kill-timeout, Fastify forceCloseConnections.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node
version_is Node "$(node -p 'process.versions.node.split(".")[0]')" 20
pip_install uvicorn==0.54.0 granian==2.8.9 aiohttp==3.14.5 Twisted==26.10.0 gunicorn==27.0.1 hypercorn==0.18.0 daphne==4.2.3 waitress==3.0.2 \
    tornado==6.6.1
npm_install fastify@5.12.8 express@5.3.0
cat >waiting.py <<'PY'
import asyncio


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": kind + ".complete"})
            if kind == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    while True:
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await asyncio.sleep(0.2)
PY
cat >plain.py <<'PY'
import time


def app(environ, start):
    start("200 OK", [("Content-Type", "text/event-stream")])
    while True:
        yield b"data: 1\n\n"
        time.sleep(0.2)
PY
cat >with_aiohttp.py <<'PY'
import asyncio
import sys

from aiohttp import web


async def events(request):
    stream = web.StreamResponse()
    await stream.prepare(request)
    while True:
        await stream.write(b"data: 1\n\n")
        await asyncio.sleep(0.2)


app = web.Application()
app.router.add_get("/", events)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]))
PY
cat >with_tornado.py <<'PY'
import asyncio
import sys

from tornado import web


class Events(web.RequestHandler):
    async def get(self):
        while True:
            self.write("data: 1\n\n")
            await self.flush()
            await asyncio.sleep(0.2)


async def main():
    web.Application([("/", Events)]).listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


asyncio.run(main())
PY
cat >node/fastify.mjs <<'JS'
import fastify from 'fastify'

const app = fastify()
app.get('/', (_, reply) => {
  reply.hijack()
  reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
  const timer = setInterval(() => reply.raw.write('data: 1\n\n'), 200)
  reply.raw.on('close', () => clearInterval(timer))
})
process.on('SIGTERM', async () => { await app.close(); process.exit(0) })
await app.listen({ port: +process.argv[2], host: '127.0.0.1' })
JS
cat >node/express.mjs <<'JS'
import express from 'express'

const app = express()
app.get('/', (_, answer) => {
  answer.writeHead(200, { 'content-type': 'text/event-stream' })
  const timer = setInterval(() => answer.write('data: 1\n\n'), 200)
  answer.on('close', () => clearInterval(timer))
})
const server = app.listen(+process.argv[2], '127.0.0.1')
process.on('SIGTERM', () => server.close(() => process.exit(0)))
JS
PYTHON=python judge 140 <<'PY'
import signal
import socket

from wire import *

SERVERS = {  # how many seconds it takes to end, at most; None for more than 50
    "uvicorn": ("uvicorn --port {} waiting:app", None),
    "granian": ("granian --interface asgi --port {} waiting:app", None),
    "aiohttp": ("python with_aiohttp.py {}", None),
    "twistd": ("twistd -n --pidfile= web --listen=tcp:{}:interface=127.0.0.1 --wsgi plain.app", None),
    "Fastify": ("node node/fastify.mjs {}", None),
    "Express": ("node node/express.mjs {}", None),
    "gunicorn": ("gunicorn --no-control-socket -b 127.0.0.1:{} plain:app", 40),
    "hypercorn": ("hypercorn -b 127.0.0.1:{} waiting:app", 12),
    "daphne": ("daphne -p {} waiting:app", 12),
    "waitress": ("waitress-serve --listen=127.0.0.1:{} plain:app", 12),
    "Tornado": ("python with_tornado.py {}", 12),
}


def stream(port, process):
    for _ in range(300):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
            connection.request("GET", "/")
            answer = connection.getresponse()
            answer.read1(5)
            return connection, answer
        except OSError:
            time.sleep(0.1)
    print(f"  {process.args} did not come up")
    raise SystemExit(2)


def drain(answer, ends, name):
    try:
        while answer.read1(1000):
            pass
    except (OSError, http.client.HTTPException, ValueError):
        pass
    ends[name] = time.monotonic()


begun, ends, streams = {}, {}, []
for name, (command, _) in SERVERS.items():
    port = free_port()
    with open(f"{name}.log", "wb") as log:
        process = subprocess.Popen(command.format(port).split(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                   env={**os.environ, "PYTHONPATH": f"{os.environ['PYTHONPATH']}:."})
    begun[name] = process, port
    streams.append(stream(port, process))
    threading.Thread(target=drain, args=(streams[-1][1], ends, name), daemon=True).start()
at = time.monotonic()
for process, _ in begun.values():
    process.terminate()
took = {}
while len(took) < len(begun) and time.monotonic() < at + 50:
    for name, (process, _) in begun.items():
        if name not in took and process.poll() is not None:
            took[name] = time.monotonic() - at
    time.sleep(0.1)
facts = []
for name, (process, port) in begun.items():
    limit = SERVERS[name][1]
    open_port = not socket.socket().connect_ex(("127.0.0.1", port))
    text = f"ended after {took[name]:.1f} s" if name in took else "is there after 50 s"
    text += f", its port {'open' if open_port else 'closed'}, the stream {'ended' if name in ends else 'open'}"
    show(f"{name} {text}")
    facts.append((took.get(name, 99) <= limit if limit else name not in took and (name in ends) == (name == "twistd") and not open_port, f"{name} {text}"))
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
facts.append((took.get("gunicorn", 0) > 25, "gunicorn takes its time"))
finish(*facts)
PY
