"""Memory of a service that has as many events as are kept of one: what it takes of the process, and what is live of it.

The engine runs over SQLite in a process of its own, with a tool that answers at once. It is measured between the first
services, which also pay for what there is once, and the last. What is live is counted by `tracemalloc`, in a second
process, as it takes memory itself; the rest of the growth is held by the allocators.
"""

import gc
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import anyio
import psutil

from benchmarks.bench_class import bench_class
from benchmarks.figures import title
from ostler.adapters.stores.sqlite import SqliteStore
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.events.log import MAX_EVENTS_PER_SERVICE
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import Progress
from ostler.engine.services.views import CreateRequest
from ostler.model.json import JsonMapping
from ostler.model.responses import ToolResponse
from ostler.rules.reading import load_manifests

FIRST = 500
"""Services that exist before it is measured: the newest events of all services are those of the last created."""

AT_ONCE = 32


class Answers:
    """Answers each call at once with the given name as id."""

    async def call_tool(
        self, tool: str, args: JsonMapping, *, timeout: float | None = None, progress: Progress | None = None
    ) -> ToolResponse:
        del tool, timeout, progress
        return ToolResponse(value={"id": str(args["name"])})


async def _live(manager: ServiceManager, name: str) -> None:
    """Create a service, then stop and start it until its history is full."""
    await manager.create(CreateRequest("bench", name))
    while len(manager.events.read(service=name).events) < MAX_EVENTS_PER_SERVICE:
        await manager.stop_service(name)
        await manager.start_service(name)


def _held() -> tuple[int, int]:
    """Return the bytes that this process holds, and those of them that are live if they are traced."""
    gc.collect()
    return psutil.Process().memory_info().rss, tracemalloc.get_traced_memory()[0]


async def _fill(services: int) -> None:
    """Print what a service takes, in bytes: of the process, and live."""
    with tempfile.TemporaryDirectory(prefix="ostler-bench-") as text:
        async with (
            SqliteStore.open(Path(text) / "ostler.db") as store,
            ServiceManager(Answers(), store) as manager,
        ):
            manager.classes.add(ClassEntry.of(load_manifests(bench_class("s"), "bench.yaml")[0]))

            async def work(names: list[str]) -> None:
                while names:
                    await _live(manager, names.pop())

            before = (0, 0)
            for first, count in ((0, FIRST), (FIRST, services)):
                before = _held()
                names = [f"s{first + number}" for number in range(count)]
                async with anyio.create_task_group() as tasks:
                    for _ in range(AT_ONCE):
                        tasks.start_soon(work, names)
            after = _held()
            print(*((then - now) // services for now, then in zip(before, after, strict=True)))


def _measured(services: int, *options: str) -> tuple[float, float]:
    command = [sys.executable, *options, "-m", "benchmarks.memory", str(services)]
    held, live = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return int(held) / 1024, int(live) / 1024


def main(services: int) -> None:
    """Run and print."""
    title(f"Memory of each of {services:,} services with {MAX_EVENTS_PER_SERVICE} events")
    held, _ = _measured(services)
    _, live = _measured(min(services, 1000), "-X", "tracemalloc")
    print(f"{'of the process':<44}{held:>9.1f} KiB")
    print(f"{'live of it':<44}{live:>9.1f} KiB")


if __name__ == "__main__":
    anyio.run(_fill, int(sys.argv[1]))
