"""A tool called directly, and the same tool as a service's start and stop through Ostler, journaled and not."""

import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from mcp import Client, StdioServerParameters

from benchmarks.bench_class import bench_class
from benchmarks.figures import row, title
from ostler.adapters.downstream.pool import DownstreamPool
from ostler.adapters.stores.memory import MemoryStore
from ostler.adapters.stores.sqlite import SqliteStore
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.clock import SystemClock
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import Store
from ostler.engine.services.views import CreateRequest
from ostler.model.servers import ServerEntry
from ostler.rules.reading import load_manifests

SCRIPT = Path(__file__).resolve().parent.parent / "tests" / "support" / "scripted_server.py"
CLASS = bench_class("s")


async def timed(times: list[float], call: Callable[[], Awaitable[object]]) -> None:
    """Add the seconds that `call` took to `times`."""
    began = time.perf_counter()
    await call()
    times.append(time.perf_counter() - began)


async def directly(ledger: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Time the bare tool calls through the SDK's client."""
    starts: list[float] = []
    stops: list[float] = []
    server = StdioServerParameters(command=sys.executable, args=[str(SCRIPT), "--ledger", str(ledger)])
    async with Client(server) as client:
        for index in range(rounds + 20):
            name = {"name": f"d{index}"}
            await timed(starts, lambda name=name: client.call_tool("start", name))
            await timed(stops, lambda name=name: client.call_tool("stop", name))
    return starts[20:], stops[20:]


async def through(store: Store, pool: DownstreamPool, rounds: int) -> tuple[list[float], list[float]]:
    """Time service starts and stops."""
    starts: list[float] = []
    stops: list[float] = []
    async with ServiceManager(pool, store, tools=pool) as manager:
        loaded = load_manifests(CLASS, "bench.yaml")[0]
        manager.classes.add(ClassEntry.of(loaded))
        await manager.create(CreateRequest("bench", "b", start=False))
        for _ in range(rounds + 20):
            await timed(starts, lambda: manager.start_service("b"))
            await timed(stops, lambda: manager.stop_service("b"))
    return starts[20:], stops[20:]


@asynccontextmanager
async def scripted_pool(folder: Path) -> AsyncGenerator[DownstreamPool]:
    """Connect to the scripted server `s` over stdio; its ledger and log are in `folder`."""
    entry = ServerEntry(
        name="s",
        transport="stdio",
        command=sys.executable,
        args=(str(SCRIPT), "--ledger", str(folder / "ledger.json")),
    )
    async with DownstreamPool({"s": entry}, log_dir=folder / "logs", environment={}, clock=SystemClock()) as pool:
        await pool.wait_until_connected("s", 20)
        yield pool


async def _main(rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ostler-bench-") as text:
        folder = Path(text)
        title(f"One start and one stop of a service over a stdio server, {rounds} rounds")
        bare = await directly(folder / "direct.json", rounds)
        async with scripted_pool(folder) as pool:
            memory = await through(MemoryStore(), pool, rounds)
            async with SqliteStore.open(folder / "ostler.db") as store:
                journaled = await through(store, pool, rounds)
        for index, what in enumerate(("start", "stop")):
            print(row(f"{what}: the tool called directly", bare[index]))
            print(row(f"{what}: through Ostler, in memory", memory[index]))
            print(row(f"{what}: through Ostler, journaled (SQLite FULL)", journaled[index]))
            over = [b - a for a, b in zip(sorted(bare[index]), sorted(journaled[index]), strict=True)]
            print(row(f"{what}: overhead, by rank", over))


def main(rounds: int = 300) -> None:
    """Run and print."""
    anyio.run(_main, rounds)
