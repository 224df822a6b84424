"""Signs of life: of a connected HTTP server that might be gone, and of one that was and might be back."""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import anyio

from ostler.adapters.downstream.links import Link
from ostler.model.web_addresses import port_of

LIVENESS_INTERVAL: Final = 15.0
"""Seconds without an answered call after which an HTTP server is asked for a sign of life."""

PORT_PROBE_INTERVAL: Final = 1.5
"""Seconds between checks whether the port of an unreachable HTTP server accepts connections again."""

_PORT_PROBE_TIMEOUT: Final = 1.0


async def watch_liveness(link: Link) -> None:
    """Report the loss of `link` when its server gives no sign of life, asked now and then and whenever suspected."""
    while True:
        link.active = 0
        suspected = False
        with anyio.move_on_after(LIVENESS_INTERVAL):
            await link.suspect.wait()
            suspected = True
        if link.active and not suspected:
            continue
        trouble = await link.probe()
        if trouble is not None:
            link.loss.report(trouble.reason, trouble.state)
            return


async def watch_doubts(link: Link) -> None:
    """Report the loss of `link`, whose process lives, when its tools fail without a reason and cannot be listed."""
    while True:
        await link.suspect.wait()
        if not link.is_doubted:
            continue
        trouble = await link.probe()
        if trouble is not None:
            link.loss.report(trouble.reason, trouble.state)
            return


async def hurry_when_port_accepts(url: str, hurry: Callable[[], None]) -> None:
    """Call `hurry` once someone listens at `url` again, so that a long back-off does not delay the recovery."""
    address = urlsplit(url)
    port = port_of(address)
    while True:
        await anyio.sleep(PORT_PROBE_INTERVAL)
        try:
            with anyio.fail_after(_PORT_PROBE_TIMEOUT):
                stream = await anyio.connect_tcp(address.hostname or "", port)
                await stream.aclose()
        except (OSError, TimeoutError):
            continue
        hurry()
        return
