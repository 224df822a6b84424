"""Reads and operations a second with one, two and three servers over one PostgreSQL, beside one over its file.

The clients are spread over the servers. One server holds the database; the others answer reads, and pass on the rest.
What a call costs the holder and the others in CPU says what more servers would bring on machines of their own.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import anyio
import psutil
from tests.support.postgresql import Postgresql, program_folder, running

from benchmarks.figures import percentile, title
from benchmarks.wire_builds import command_of, configured, serve
from benchmarks.wire_clients import RawHttp

SERVERS: Final = (1, 2, 3)
READERS: Final = 12
WRITERS: Final = 6
SERVICES: Final = 30


@dataclass
class Deployment:
    """Servers that share a store; the first one holds it."""

    label: str
    urls: list[str]
    processes: list[psutil.Process]

    def cpu(self) -> tuple[float, float]:
        """Return the seconds of CPU that the first server has used, and that the others have."""
        used = [sum(process.cpu_times()[:2]) for process in self.processes]
        return used[0], sum(used[1:])


@contextmanager
def deployed(label: str, servers: int, store: str = "") -> Generator[Deployment]:
    """Run so many servers over one store: a URL, or the file of the one server."""
    command = command_of(Path.cwd())
    with tempfile.TemporaryDirectory(prefix="ostler-replicas-") as text, ExitStack() as ending:
        environment = configured(Path(text))
        if store:
            environment["OSTLER_STORE"] = store
        urls: list[str] = []
        processes: list[psutil.Process] = []
        for number in range(servers):
            environment["OSTLER_STATE"] = str(Path(text) / f"state{number}")
            process, url = serve(command, environment, *(["--standby"] if store else []))
            ending.callback(process.wait, 60)
            ending.callback(process.terminate)
            urls.append(url)
            processes.append(psutil.Process(process.pid))
            if not number:
                anyio.run(_create_services, url)
        yield Deployment(label, urls, processes)


async def _create_services(url: str) -> None:
    async with RawHttp.open(url) as client:
        for number in range(SERVICES):
            await client.call("service_create", {"serviceClassName": "bench", "name": f"s{number}"})


async def _repeat(
    urls: list[str], clients: int, seconds: float, calls_of: Callable[[int], list[tuple[str, dict[str, Any]]]]
) -> list[float]:
    """Let `clients` do their calls at these servers again and again; return the seconds of each call."""
    times: list[float] = []
    until = time.perf_counter() + seconds

    async def work(number: int) -> None:
        async with RawHttp.open(urls[number % len(urls)]) as client:
            for turn in count():
                for tool, args in calls_of(number + turn * clients):
                    began = time.perf_counter()
                    if began > until:
                        return
                    await client.call(tool, args)
                    times.append(time.perf_counter() - began)

    async with anyio.create_task_group() as tasks:
        for number in range(clients):
            tasks.start_soon(work, number)
    return times


def _read(number: int) -> list[tuple[str, dict[str, Any]]]:
    return [("service_status", {"name": f"s{number % SERVICES}"})]


def _restart(number: int) -> list[tuple[str, dict[str, Any]]]:
    name = {"name": f"s{number % WRITERS}"}
    return [("service_stop", name), ("service_start", name)]


def _measure(deployment: Deployment, seconds: float) -> dict[str, float]:
    """Print what so many seconds of reads and of operations come to; return the operations' median."""
    medians: dict[str, float] = {}
    every, others = deployment.urls, deployment.urls[1:]
    rounds = [("reads", every, READERS, _read), ("operations", every, WRITERS, _restart)]
    if others:
        rounds.insert(1, ("reads elsewhere", others, READERS, _read))
    for what, urls, clients, calls in rounds:
        before = deployment.cpu()
        times = anyio.run(_repeat, urls, clients, seconds, calls)
        holder, rest = (after - earlier for after, earlier in zip(deployment.cpu(), before, strict=True))
        medians[what] = statistics.median(times)
        cpu = f"{holder / len(times) * 1000:.2f} ms of the holder, {rest / len(times) * 1000:.2f} ms of others"
        print(
            f"{deployment.label:<24}{what:<17}{len(times) / seconds:>6.0f}/s   p50 {medians[what] * 1000:>7.2f} ms"
            f"   p99 {percentile(times, 0.99) * 1000:>7.1f} ms   CPU a call: {cpu}"
        )
    return medians


def main(seconds: float) -> None:
    """Print the table."""
    title(f"{READERS} readers, then {WRITERS} clients that stop and start a service each, {seconds:g} s each")
    with ExitStack() as ending:
        database = _database(ending)
        with deployed("SQLite, 1 server", 1) as deployment:
            _measure(deployment, seconds)
        if database is None:
            return
        for servers in SERVERS:
            label = f"PostgreSQL, {servers} server{'s' if servers > 1 else ''}"
            with deployed(label, servers, database.new_database()) as deployment:
                _measure(deployment, seconds)


def _database(ending: ExitStack) -> Postgresql | None:
    if program_folder() is None:
        print("(PostgreSQL is not installed here: bash .ci/programs installs it on Debian)")
        return None
    return ending.enter_context(running(durable=True))
