"""Calls over the wire, of any number of builds or servers side by side: latency, CPU of the server, and ratios.

`python -m benchmarks wire before=/path/to/checkout now=. other=http://127.0.0.1:8080/mcp`

Each round measures all of them in turn, so that a machine whose speed drifts treats all alike: trust ratios and CPU.
"""

import platform
import statistics
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import psutil

from benchmarks.figures import percentile, title
from benchmarks.wire_builds import Build, command_of, configured, first_answer, running
from benchmarks.wire_clients import Caller, RawHttp, SdkClient, Stdio

FIGURES = Path(__file__).resolve().parent.parent / "docs" / "figures"
CLIENTS = 32
IDLE_SESSIONS = 1_000
BURSTS = 8
"""Into which the calls of a round are divided where two servers are compared: what else runs hits both alike."""


@dataclass
class Sample:
    """What was measured of one case and one build: milliseconds of each call, and of CPU a call, by round."""

    calls: list[float] = field(default_factory=list[float])
    cpu: list[float] = field(default_factory=list[float])
    per_second: list[float] = field(default_factory=list[float])

    def shown(self) -> str:
        """Return the sample as one cell of a table."""
        text = f"{percentile(self.calls, 0.5):.2f} / {percentile(self.calls, 0.99):.1f}"
        return f"{text}; {statistics.median(self.cpu):.2f}" if self.cpu else text


Table = dict[str, dict[str, Sample]]
Open = Callable[[Build], AbstractAsyncContextManager[Caller]]
Request = Callable[[Caller, str], Any]


def over_http(build: Build) -> AbstractAsyncContextManager[Caller]:
    return RawHttp.open(build.url)


def through_the_sdk(build: Build) -> AbstractAsyncContextManager[Caller]:
    """Send a header that the short way of plain calls leaves to the SDK: what each call costs that is not plain."""
    return RawHttp.open(build.url, headers="mcp-param-none: x\r\n")


def over_sessions(build: Build) -> AbstractAsyncContextManager[Caller]:
    return RawHttp.open(build.url, sessions=True)


def over_stdio(build: Build) -> AbstractAsyncContextManager[Caller]:
    return Stdio.open([*build.command, "serve"], build.environment)


def over_sdk(build: Build) -> AbstractAsyncContextManager[Caller]:
    return SdkClient.open(build.url)


async def status(client: Caller, name: str) -> None:
    await client.call("service_status", {"name": name})


async def listing(client: Caller, _name: str) -> None:
    await client.call("service_list", {})


async def create(client: Caller, name: str) -> None:
    await client.call("service_create", {"name": name, "serviceClassName": "bench", "args": {}})


async def stop(client: Caller, name: str) -> None:
    await client.call("service_stop", {"name": name})


async def delete(client: Caller, name: str) -> None:
    await client.call("service_delete", {"name": name})


async def create_and_delete(client: Caller, name: str) -> None:
    await create(client, name)
    await delete(client, name)


@dataclass(frozen=True)
class Case:
    """What is measured: how a client connects, what it asks, and how many clients ask at once."""

    what: str
    open: Open
    request: Request
    clients: int = 1


async def burst(sample: Sample, build: Build, case: Case, names: Sequence[str]) -> None:
    """Measure one call for each of `names`."""
    waiting = iter(names)

    async def work(client: Caller) -> None:
        for name in waiting:
            began = time.perf_counter()
            await case.request(client, name)
            sample.calls.append((time.perf_counter() - began) * 1000)

    async with AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(case.open(build)) for _ in range(case.clients)]
        used, began = build.cpu(), time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for caller in callers:
                tasks.start_soon(work, caller)
        sample.per_second.append(len(names) / (time.perf_counter() - began))
        if build.pid is not None:
            sample.cpu.append((build.cpu() - used) / len(names) * 1000)


@asynccontextmanager
async def idle_sessions(build: Build, count: int) -> AsyncGenerator[None]:
    """Open sessions of the older protocol that no one deletes or listens to."""

    async def open_some() -> None:
        for _ in range(count // CLIENTS):
            async with RawHttp.open(build.url, sessions=True):
                pass

    async with anyio.create_task_group() as tasks:
        for _ in range(CLIENTS):
            tasks.start_soon(open_some)
    yield


async def fill(build: Build, names: Sequence[str], table: Table) -> None:
    """Create services, and note what memory they take."""
    async with RawHttp.open(build.url) as client:
        with anyio.fail_after(30):
            while True:  # its downstream server may still be connecting
                try:
                    await create(client, names[0])
                    break
                except RuntimeError:
                    await anyio.sleep(0.05)
        empty = build.memory()
        for name in names[1:]:
            await create(client, name)
    table["memory, empty (MiB)"][build.label].calls.append(empty / 2**20)
    table["memory, a service (KiB)"][build.label].calls.append((build.memory() - empty) / len(names) / 1024)


async def _measure(builds: Sequence[Build], services: int, rounds: int, calls: int, table: Table) -> None:
    old = [f"s{number}" for number in range(services)]
    for build in builds:
        await fill(build, old, table)
    reads = [
        Case(f"service_status of {services}", over_http, status),
        Case("service_status, through the SDK", through_the_sdk, status),
        Case("service_status, protocol with sessions", over_sessions, status),
        Case("service_status, SDK client", over_sdk, status),
        Case(f"service_status, {CLIENTS} clients", over_http, status, CLIENTS),
        Case(f"service_list, first page of {services}", over_http, listing),
        Case("service_status, stdio", over_stdio, status),
    ]
    changes = [
        Case("service_create to running", over_http, create),
        Case("service_stop", over_http, stop),
        Case("service_delete", over_http, delete),
        Case(f"create + delete, {CLIENTS} clients", over_http, create_and_delete, CLIENTS),
    ]
    asked = [old[number % services] for number in range(calls)]
    for number in range(rounds):
        fresh = [f"n{number}-{index}" for index in range(calls)]
        for case, names in [*((case, asked) for case in reads), *((case, fresh) for case in changes)]:
            for build in builds:
                if case.open is not over_stdio or build.command:
                    await burst(table[case.what][build.label], build, case, names)


ALONE = Case("create + delete, no idle session", over_http, create_and_delete)
CROWDED = Case(f"create + delete, {IDLE_SESSIONS} idle sessions", over_http, create_and_delete)


async def _measure_idle(pairs: Sequence[tuple[Build, Build]], rounds: int, calls: int, table: Table) -> None:
    """Measure two servers of each build in turn, of which the second has idle sessions, in many short bursts."""
    for pair in pairs:
        for build in pair:
            await fill(build, [f"w{index}" for index in range(calls)], defaultdict(lambda: defaultdict(Sample)))
    async with AsyncExitStack() as stack:
        for _, crowded in pairs:
            await stack.enter_async_context(idle_sessions(crowded, IDLE_SESSIONS))
        for number in range(rounds * BURSTS):
            names = [f"i{number}-{index}" for index in range(max(calls // BURSTS, 1))]
            for alone, crowded in pairs:
                both = [(ALONE, alone), (CROWDED, crowded)]
                for case, build in both if number % 2 else reversed(both):
                    await burst(table[case.what][build.label], build, case, names)


def measured(places: dict[str, str], services: int, rounds: int, calls: int) -> Table:
    """Return the samples: case → label → sample."""
    table: Table = defaultdict(lambda: defaultdict(Sample))
    with ExitStack() as stack:
        starts = {
            label: (
                command_of(Path(place).resolve()),
                configured(Path(stack.enter_context(TemporaryDirectory(prefix="ostler-wire-")))),
            )
            for label, place in places.items()
            if not place.startswith("http")
        }
        for number in range(rounds + 1):
            for label, (command, environment) in starts.items():
                seconds, cpu = first_answer(command, environment)
                if number:  # the first fills caches of files, and compiles: a server that did holds 2.3 MiB more
                    sample = table["start to first answer"][label]
                    sample.calls.append(seconds * 1000)
                    sample.cpu.append(cpu * 1000)
        with ExitStack() as running_now:
            builds = [running_now.enter_context(running(label, place)) for label, place in places.items()]
            anyio.run(_measure, builds, services, rounds, calls, table)
        pairs = [
            (stack.enter_context(running(label, places[label])), stack.enter_context(running(label, places[label])))
            for label in starts
        ]
        anyio.run(_measure_idle, pairs, rounds, calls, table)
    return table


def as_markdown(table: Table, labels: Sequence[str]) -> str:
    """Return the table: a column for each server, and for each but the first what it needs of the first's."""
    first, *others = labels
    heads = [first, *(text for label in others for text in (label, f"{label} of {first}"))]
    lines = [f"| p50 / p99 in ms; CPU a call in ms | {' | '.join(heads)} |", "| --- |" + " --- |" * len(heads)]
    for what, samples in table.items():
        cells = [samples[first].shown() if first in samples else "-"]
        for label in others:
            if label not in samples:
                cells += ["-", "-"]
                continue
            cells += [samples[label].shown(), ratio(samples.get(first), samples[label])]
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ratio(base: Sample | None, sample: Sample) -> str:
    """Return the ratio of the medians, and of CPU, to those of `base`."""
    if base is None or not base.calls:
        return "-"
    text = f"{percentile(sample.calls, 0.5) / percentile(base.calls, 0.5):.2f}"
    if base.cpu and sample.cpu and (before := statistics.median(base.cpu)):
        text += f"; {statistics.median(sample.cpu) / before:.2f}"
    return text


def rates_of(table: Table) -> list[str]:
    """Return how many calls a second each server answered where many clients ask at once, as items of a list."""
    return [
        f"- {what}: " + ", ".join(f"{label} {statistics.median(s.per_second):.0f}/s" for label, s in samples.items())
        for what, samples in table.items()
        if "clients" in what
    ]


def idle_ratios_of(table: Table) -> list[str]:
    """Return what CPU each build takes with idle sessions of that without, with the standard error, as items of a list.

    It is the median of the ratios of two bursts, one after the other.
    """
    items: list[str] = []
    for label, alone in table[ALONE.what].items():
        ratios = [
            crowded / quiet for quiet, crowded in zip(alone.cpu, table[CROWDED.what][label].cpu, strict=True) if quiet
        ]
        error = 1.25 * statistics.stdev(ratios) / len(ratios) ** 0.5
        items.append(
            f"- create + delete, CPU with {IDLE_SESSIONS} idle sessions of that with none: {label} "
            f"{statistics.median(ratios):.3f} ± {error:.3f} ({len(ratios)} pairs)"
        )
    return items


def plot(table: Table, labels: Sequence[str], file: Path) -> None:
    """Write the CPU of a call of each server next to each other's."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "ostler"  # the same figures give the same file
    from matplotlib import pyplot as plt

    cases = [
        what for what, samples in table.items() if all(label in samples and samples[label].cpu for label in labels)
    ]
    figure, axes = plt.subplots(figsize=(9, 0.5 * len(cases) + 1.2), layout="constrained")
    height = 0.8 / len(labels)
    for index, label in enumerate(labels):
        values = [statistics.median(table[what][label].cpu) for what in cases]
        axes.barh([row + index * height for row in range(len(cases))], values, height, label=label)
    axes.set_yticks([row + 0.4 - height / 2 for row in range(len(cases))], cases)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("CPU of the server a call, ms (a logarithmic scale)")
    axes.legend()
    figure.savefig(file, format="svg", metadata={"Date": None})


def main(pairs: Sequence[str], services: int = 500, rounds: int = 3, calls: int = 200) -> None:
    """Measure the servers of `label=place` pairs, print the table, and write it and a plot to docs/figures."""
    places: dict[str, str] = {}
    for pair in pairs or [f"now={FIGURES.parent.parent}"]:
        label, _, place = pair.partition("=")
        places[label] = place
    load = psutil.getloadavg()[0]
    table = measured(places, services, rounds, calls)
    labels = list(places)
    title("Over the wire")
    text = as_markdown(table, labels)
    print(text)
    rates = "\n".join([*rates_of(table), *idle_ratios_of(table)])
    print(rates)
    machine = (
        f"{psutil.cpu_count()} processors ({platform.machine()}), Python {platform.python_version()}, load "
        f"{load:.1f} before and {psutil.getloadavg()[0]:.1f} after; {rounds} rounds of {calls} calls, in turn"
    )
    FIGURES.mkdir(exist_ok=True)
    head = "# Over the wire\n\nWritten by `python -m benchmarks wire`. Below 1 is less: of the time, then of the CPU.\n"
    parts = (head, f"{machine}.\n", f"{text}\n", f"{rates}\n", "![CPU of a call](wire.svg)\n")
    (FIGURES / "wire.md").write_text("\n".join(parts), encoding="utf-8")
    plot(table, labels, FIGURES / "wire.svg")
