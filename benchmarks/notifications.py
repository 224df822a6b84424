"""How long a changed service takes to be notified of, over HTTP and over streams, in both protocol eras."""

import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import anyio
from mcp.client import Client
from mcp.shared.memory import create_client_server_memory_streams
from mcp_types import EmptyResult, ResourceUpdatedNotification, SubscribeRequest, SubscribeRequestParams

from benchmarks.figures import row, title
from benchmarks.wire_clients import RawHttp
from ostler.adapters.config.paths import Paths
from ostler.faces.application import Application
from ostler.faces.assembly import open_application
from ostler.faces.daemon.http import HttpSettings, serving_http
from ostler.faces.mcp.server import OstlerServer, build_server
from ostler.model.events import EventKind

SERVICE = "process"
URI = f"service://{SERVICE}"
MANY = 200
LIMIT = 0.05
"""Seconds that a notification may take."""


@asynccontextmanager
async def over_streams(server: OstlerServer) -> AsyncGenerator[Any]:
    """Yield the client's end of streams as a bridge has them."""
    async with create_client_server_memory_streams() as (ours, theirs), anyio.create_task_group() as tasks:
        tasks.start_soon(server.run, *theirs, server.create_initialization_options())
        yield ours
        tasks.cancel_scope.cancel()


async def timed(app: Application, target: Any, *, modern: bool, rounds: int) -> list[float]:
    """Return the seconds from each of `rounds` events to its notification."""
    arrived, told = anyio.create_memory_object_stream[float](100)

    async def legacy(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification) and str(message.params.uri) == URI:
            arrived.send_nowait(time.perf_counter())

    async with AsyncExitStack() as stack:
        mode: Any = "auto" if modern else "legacy"
        client = await stack.enter_async_context(Client(target, mode=mode, message_handler=legacy))
        tasks = await stack.enter_async_context(anyio.create_task_group())
        if modern:
            listening = await stack.enter_async_context(client.listen(resource_subscriptions=[URI]))

            async def collect() -> None:
                async for _ in listening:
                    arrived.send_nowait(time.perf_counter())

            tasks.start_soon(collect)
        else:
            wanted = SubscribeRequest(params=SubscribeRequestParams(uri=URI))
            await client.session.send_request(wanted, EmptyResult)
        await anyio.sleep(0.5)
        times: list[float] = []
        for _ in range(rounds):
            while told.statistics().current_buffer_used:  # what else changed
                told.receive_nowait()
            began = time.perf_counter()
            app.manager.events.append(EventKind.HEALTH_CHANGED, SERVICE, "", {"from": "healthy", "to": "healthy"})
            with anyio.fail_after(10):
                times.append(await told.receive() - began)
            await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    return times


async def to_many(app: Application, url: str, *, subscribers: int, rounds: int) -> list[float]:
    """Return the seconds from each of `rounds` events until each of the subscribers over HTTP has heard of it."""
    times: list[float] = []
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(RawHttp.open(url)) for _ in range(subscribers)]
        for client in clients:
            await client.subscribe(URI)
        for _ in range(rounds):
            heard: list[float] = []
            began = 0.0
            async with anyio.create_task_group() as tasks:
                for client in clients:
                    tasks.start_soon(_hear, client, heard)
                await anyio.sleep(0.05)  # until all of them read
                began = time.perf_counter()
                app.manager.events.append(EventKind.HEALTH_CHANGED, SERVICE, "", {"from": "healthy", "to": "healthy"})
            times += [at - began for at in heard]
    return times


async def _hear(client: RawHttp, heard: list[float]) -> None:
    await client.updated()
    heard.append(time.perf_counter())


async def _print_figures(app: Application, server: OstlerServer, url: str, rounds: int) -> None:
    eras, ways = ((False, "2025-11-25"), (True, "2026-07-28")), ((url, "HTTP"), (None, "streams"))
    for (modern, era), (target, transport) in product(eras, ways):
        found = await timed(app, target or over_streams(server), modern=modern, rounds=rounds)
        print(row(f"resources/updated, {era}, {transport}", found))
        late = sum(each > LIMIT for each in found)
        if late:
            print(f"  {late} of {rounds} took longer than {LIMIT * 1000:g} ms")
    for subscribers in (1, MANY):
        found = await to_many(app, url, subscribers=subscribers, rounds=max(5, rounds // 15))
        print(row(f"each of {subscribers} plain subscribers, HTTP", found))


async def measure(rounds: int) -> None:
    """Print a line for each era and transport."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_application(Paths(Path(folder) / "config", Path(folder) / "state")) as app:
            server = build_server(app)
            async with serving_http(
                lambda _toolset, _principal: server, HttpSettings("127.0.0.1", 0), version="0"
            ) as url:
                await _print_figures(app, server, url, rounds)


def main(rounds: int = 300) -> None:
    """Print the figures."""
    title("Notifications of a changed service")
    anyio.run(measure, rounds)
