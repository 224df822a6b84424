#!/usr/bin/env bash
# Guess: a server in Python that is given port 0 and no host, or the two addresses of localhost, listens on one free port, which it
#        prints.
# Seen:  it listens on two, one for each family: asyncio.start_server, websockets, aiohttp, uvicorn with `--host ''`, and asyncssh.
#        uvicorn's line and aiohttp's `site.name` name one of them. asyncio takes 127.0.0.1 and ::1 for two, too. anyio and
#        tornado have one.
# With:  Python 3.11, websockets 17.4, aiohttp 3.14.5, uvicorn 0.54.0, asyncssh 2.24.1, anyio 4.16.0, tornado 6.6.1 (PyPI), on a machine
#        with IPv6.
# Why:   a client that takes the printed number and connects to "localhost" by the other family is refused, or reaches another
#        program, now and then.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
python3 -c 'import socket; socket.create_server(("::1", 0), family=socket.AF_INET6)' 2>/dev/null || unable "no IPv6 here"
pip_install aiohttp==3.14.5 uvicorn==0.54.0 anyio==4.16.0 tornado==6.6.1 asyncssh==2.24.1 websockets==17.4
PYTHON=python judge 60 <<'PY'
import asyncio
import re

import aiohttp.web
import anyio
import asyncssh
import tornado.netutil
import websockets

from wire import *


def ports(sockets):
    return sorted({each.getsockname()[1] for each in sockets})


async def uvicorn():
    code = "import uvicorn\nasync def app(scope, receive, send): pass\nuvicorn.run(app, host='', port=0, lifespan='off')"
    process = await asyncio.create_subprocess_exec("python", "-c", code, stderr=asyncio.subprocess.PIPE)
    said = b""
    while b"running on" not in said:
        said = await process.stderr.readline()
    ports = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    found = {int(line.split()[3].rpartition(":")[2]) for line in ports.splitlines() if f"pid={process.pid}," in line}
    process.terminate()
    await process.wait()
    return sorted(found), [int(number) for number in re.findall(rb":(\d+)", said)]


async def main():
    async def nothing(*_):
        pass

    seen = {}
    seen["asyncio"] = ports((await asyncio.start_server(nothing, None, 0)).sockets)
    seen["asyncio, two addresses"] = ports((await asyncio.start_server(nothing, ["127.0.0.1", "::1"], 0)).sockets)
    seen["websockets"] = ports((await websockets.serve(nothing, None, 0)).sockets)
    runner = aiohttp.web.AppRunner(aiohttp.web.Application())
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, None, 0)
    await site.start()
    seen["aiohttp"] = sorted({address[1] for address in runner.addresses})
    key = asyncssh.generate_private_key("ssh-ed25519")
    seen["asyncssh"] = ports((await asyncssh.listen("", 0, server_host_keys=[key])).sockets)
    seen["anyio"] = sorted({each.extra(anyio.abc.SocketAttribute.local_port) for each in (await anyio.create_tcp_listener(local_port=0)).listeners})
    seen["tornado"] = ports(tornado.netutil.bind_sockets(0))
    seen["uvicorn"], printed = await uvicorn()
    for name, found in seen.items():
        show(f"{name}: {len(found)} port(s)")
    show(f"named by uvicorn: {len(printed)}; by aiohttp: {site.name.count(':') - 1}")
    one = {name for name, found in seen.items() if len(found) == 1}
    finish((one == {"anyio", "tornado"}, f"one port: {one}"), (all(len(found) in (1, 2) for found in seen.values()), "the others have two"),
           (len(printed) == 1 and printed[0] in seen["uvicorn"], f"uvicorn names {printed}"))


asyncio.run(main())
PY
