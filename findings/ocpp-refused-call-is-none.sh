#!/usr/bin/env bash
# Guess: a call that the other side refuses raises, as one that it never answers does; a call whose connection closes fails at
#        once.
# Seen:  a CALLERROR is returned as None: for a refusal, for a handler that raised, and for an action that the other side does
#        not know; `suppress=False` raises. A call in flight when the connection closes waits for its whole time limit (30 s by
#        default), although the reading task has ended. The other side handles one call at a time,
#        so a heartbeat behind a slow authorisation waits, too.
# With:  ocpp 2.1.0, websockets 15.0.1 (PyPI), both ends in one process.
# Why:   a charging limit or a remote stop that the charger refused looks like an empty answer; code that ignores the result
#        takes it for done.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install ocpp==2.1.0 websockets==15.0.1
PYTHON="$WORK/venv/bin/python" judge 60 "$(free_port)" <<'PY'
import asyncio
import inspect
import logging
import sys
import time

import websockets
from ocpp.exceptions import SecurityError
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result

from wire import finish, show

logging.disable(logging.CRITICAL)
TIME = "2026-01-01T00:00:00Z"


class Central(ChargePoint):
    @on("BootNotification")
    async def boot(self, **_):
        raise SecurityError("refused")

    @on("DataTransfer")
    async def data(self, **_):
        raise ValueError("a mistake in the handler")

    @on("Authorize")
    async def authorize(self, id_tag):
        await asyncio.sleep(2)
        return call_result.Authorize({"status": "Accepted"})

    @on("Heartbeat")
    async def heartbeat(self):
        return call_result.Heartbeat(TIME)

    @on("FirmwareStatusNotification")
    async def leave(self, status):
        await self._connection.close()


async def attempt(awaited):
    begun = time.monotonic()
    try:
        said = await awaited
    except Exception as error:
        said = type(error).__name__
    return said if isinstance(said, str | None) else "answered", time.monotonic() - begun


async def main():
    async def serve(connection):
        try:
            await Central("x", connection).start()
        except websockets.ConnectionClosed:
            pass

    port = int(sys.argv[1])
    async with websockets.serve(serve, "127.0.0.1", port, subprotocols=["ocpp1.6"]):
        async with websockets.connect(f"ws://127.0.0.1:{port}/x", subprotocols=["ocpp1.6"]) as connection:
            charger = ChargePoint("x", connection, response_timeout=4)
            reading = asyncio.create_task(charger.start())
            boot, data, unknown = call.BootNotification("model", "vendor"), call.DataTransfer("vendor"), call.StatusNotification(1, "NoError", "Available")
            said = [(await attempt(charger.call(one)))[0] for one in (boot, data, unknown)]
            raised = (await attempt(charger.call(boot, suppress=False)))[0]
            show(f"refused, a handler that raises, no handler: {said}; refused, with suppress=False: {raised}")
            slow = connection.send('[2,"1","Authorize",{"idTag":"a"}]')
            await slow
            late = await attempt(charger.call(call.Heartbeat()))
            show(f"a heartbeat behind an authorisation of 2 s: {late[0]} after {late[1]:.1f} s")
            lost = await attempt(charger.call(call.FirmwareStatusNotification("Idle")))
            show(f"the connection closes: {lost[0]} after {lost[1]:.1f} of 4 s; the reading task has ended: {reading.done()}")
            ended = reading.done()
            reading.cancel()
    default = inspect.signature(ChargePoint).parameters["response_timeout"].default
    finish((default == 30, "the default limit"), (said == [None] * 3, "a refused call"), (raised == "SecurityError", "suppress=False"), (late[1] > 1.5, "one at a time"),
           (lost[0] == "TimeoutError" and lost[1] > 3.5 and ended, "a lost connection"))


asyncio.run(main())
PY
