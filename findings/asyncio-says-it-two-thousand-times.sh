#!/usr/bin/env bash
# Guess: an asyncio server that has no file descriptor left for a connection says so, waits a second, as its source does
#        before it accepts again, and says so again.
# Seen:  it says so as many times as its backlog is long, at once: 100 times by default, 2,048 times with the backlog of
#        uvicorn, each with a traceback. A second later it does so again, and so on for as long as connections wait. Once
#        there are descriptors again all waiting connections are accepted.
# With:  CPython 3.11 (the standard library), uvicorn 0.54.0 (PyPI).
# Why:   the log of a service that runs out of files grows by megabytes a second and pushes out the line that says why;
#        the disk is the next thing to run out.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
version_is Python "$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')" 3.11
pip_install uvicorn==0.54.0
cat >app.py <<'PY'
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hi"})
PY
cat >server.py <<'PY'
"""What is said without descriptors at once, after the next second, and how many are served once there are some again."""
import asyncio, os, resource, socket, sys

async def main(options):
    said, accepted = [], []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context["message"]))
    listener = await asyncio.start_server(lambda reader, writer: accepted.append(writer), "127.0.0.1", 0, **options)
    clients, files = [socket.socket() for _ in range(3)], []
    try:
        while True:
            files.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    for client in clients:
        client.setblocking(False)
        client.connect_ex(listener.sockets[0].getsockname())
    while not said:
        await asyncio.sleep(0.1)
    first = len(said)
    for _ in range(50):
        await asyncio.sleep(0.1)
        if len(said) > first:
            break
    second = len(said) - first
    for file in files:
        os.close(file)
    while len(accepted) < len(clients):
        await asyncio.sleep(0.1)
    print(first, second, len(accepted), *set(said), flush=True)
    os._exit(0)

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
asyncio.run(main({"backlog": int(sys.argv[1])} if sys.argv[1:] else {}))
PY
PYTHON=python judge 90 <<'PY'
import resource
import socket
import sys

from wire import *

MESSAGE = "socket.accept() out of system resource"


def said(*arguments):
    first, second, served, message = subprocess.run([sys.executable, "server.py", *arguments], capture_output=True, text=True,
                                                    timeout=30).stdout.split(maxsplit=3)
    return int(first), int(second), int(served), message.strip() == MESSAGE


def uvicorn():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "uvicorn", "app:app", "--port", str(port)], stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    log = []
    reader = threading.Thread(target=lambda: log.extend(process.stderr))
    reader.start()
    while not any("running on" in line for line in log):
        time.sleep(0.05)
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(70)]
    deadline = time.monotonic() + 20
    while sum(MESSAGE in line for line in log) < 1900 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.kill()
    reader.join()
    return sum(MESSAGE in line for line in log), len(log), len(held)


default, long, (times, lines, _) = said(), said("2048"), uvicorn()
show(f"said at once, after the next second, connections served in the end: default backlog {default[:3]}, 2048 {long[:3]}")
show(f"uvicorn, 70 connections with 64 descriptors: the message {times} times in {lines} lines of log")
finish((default[0] == 100 and default[1] >= 100 and default[2:] == (3, True), f"default: {default}"),
       (long[0] == 2048 and long[1] >= 2048 and long[2:] == (3, True), f"backlog 2048: {long}"), (times >= 1900, f"uvicorn: {times}"))
PY
