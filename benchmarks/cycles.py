"""Downstream servers are killed and come back, thousands of times: what is left of processes, tasks and memory.

Each cycle starts a service through its server, kills the server (every fourth time while the stop is under way), waits
for the reconnection, and stops the service.
"""

import gc
import os
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import psutil

from benchmarks.figures import title
from ostler.adapters.downstream.pool import DownstreamPool
from ostler.adapters.stores.sqlite import SqliteStore
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.clock import SystemClock
from ostler.engine.manager import ServiceManager
from ostler.engine.services.views import CreateRequest
from ostler.model.errors import OstlerError
from ostler.model.servers import ServerEntry
from ostler.rules.reading import load_manifests

SCRIPT = Path(__file__).resolve().parent.parent / "tests" / "support" / "scripted_server.py"
CLASS = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: on-SERVER}
spec:
  serviceConfig:
    lifecycleTools:
      start: {tool: SERVER/start, args: {name: "{{ name }}"}, outputs: {id: id}}
      stop: {tool: SERVER/stop, args: {name: "{{ name }}", delay: 0.02}}
      status: {tool: SERVER/status, args: {name: "{{ name }}"}, expect: {jsonPath: {state: running}}}
      find: {tool: SERVER/find, args: {name: "{{ name }}"}, expect: {jsonPath: {state: running}}, outputs: {id: id}}
"""


@dataclass(frozen=True, slots=True)
class Census:
    """What the process has at one moment."""

    processes: int
    descriptors: int
    tasks: int
    memory: int

    @classmethod
    def take(cls) -> "Census":
        """Count now."""
        gc.collect()
        own = psutil.Process()
        return cls(
            len(own.children(recursive=True)), own.num_fds(), len(anyio.get_running_tasks()), own.memory_info().rss
        )

    def __str__(self) -> str:
        return (
            f"{self.processes} processes, {self.descriptors} descriptors, {self.tasks} tasks, "
            f"{self.memory / 2**20:.1f} MiB"
        )


class Cycles:
    """Some servers, each going round on its own."""

    def __init__(self, folder: Path, servers: int) -> None:
        self.names = [f"s{number}" for number in range(servers)]
        self.folder = folder
        self.done = 0
        self.faults: list[str] = []

    async def run(self, cycles: int, every: int) -> tuple[Census, Census]:
        """Go round `cycles` times in all; return the counts after the first rounds and at the end."""
        entries = {
            name: ServerEntry(
                name=name,
                transport="stdio",
                command=sys.executable,
                args=("-S", str(SCRIPT), "--ledger", str(self.folder / f"{name}.json")),
            )
            for name in self.names
        }
        pool = DownstreamPool(entries, log_dir=self.folder / "logs", environment={}, clock=SystemClock())
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(pool)
            store = await stack.enter_async_context(SqliteStore.open(self.folder / "ostler.db"))
            async with ServiceManager(pool, store, tools=pool) as manager:
                for name in self.names:
                    loaded = load_manifests(CLASS.replace("SERVER", name), "cycles.yaml")[0]
                    manager.classes.add(ClassEntry.of(loaded))
                    await manager.create(CreateRequest(f"on-{name}", f"of-{name}", start=False))
                await self._all(pool, manager, max(len(self.names) * 5, every // 10))
                await self._at_rest(pool)
                before = Census.take()
                print(f"{'after warming up':<28} {before}", flush=True)
                began = time.perf_counter()
                for done in range(every, cycles + 1, every):
                    await self._all(pool, manager, every)
                    await self._at_rest(pool)
                    took = time.perf_counter() - began
                    print(f"{f'after {done} cycles':<28} {Census.take()}   {took:.0f} s", flush=True)
                return before, Census.take()

    async def _all(self, pool: DownstreamPool, manager: ServiceManager, cycles: int) -> None:
        left = iter(range(cycles))

        async def go_round(name: str) -> None:
            for number in left:
                await self._cycle(pool, manager, name, cut=number % 4 == 0)

        async with anyio.create_task_group() as group:
            for name in self.names:
                group.start_soon(go_round, name)

    async def _cycle(self, pool: DownstreamPool, manager: ServiceManager, name: str, *, cut: bool) -> None:
        service = f"of-{name}"
        await pool.wait_until_connected(name, 60)
        await manager.start_service(service)
        pid = pool.snapshot(name).pid
        assert pid is not None
        async with anyio.create_task_group() as group:
            if cut:
                group.start_soon(self._stop, manager, service)
                await anyio.sleep(0.01)
            os.kill(pid, signal.SIGKILL)
            with anyio.fail_after(60):
                while pool.snapshot(name).pid == pid:
                    await anyio.sleep(0.005)
                pool.connect(name)  # at once: what is counted here is not how long the backoff waits
                await pool.wait_until_connected(name, 60)
        await manager.stop_service(service)
        self.done += 1

    async def _stop(self, manager: ServiceManager, service: str) -> None:
        with suppress(OstlerError):  # the server died under it; it is stopped again when it is back
            await manager.stop_service(service)

    async def _at_rest(self, pool: DownstreamPool) -> None:
        for name in self.names:
            await pool.wait_until_connected(name, 60)
        await anyio.sleep(0.5)


def run_cycles(cycles: int, every: int, servers: int) -> tuple[Census, Census]:
    """Go round, and return the counts before and after."""
    with tempfile.TemporaryDirectory(prefix="ostler-bench-") as folder:
        return anyio.run(Cycles(Path(folder), servers).run, cycles, every)


def main(cycles: int = 10_000, servers: int = 16) -> None:
    """Run and print."""
    title(f"{cycles} start/crash/reconnect cycles over {servers} stdio servers")
    before, after = run_cycles(cycles, max(cycles // 10, servers), servers)
    print(
        f"grown by {after.processes - before.processes} processes, "
        f"{after.descriptors - before.descriptors} descriptors, {after.tasks - before.tasks} tasks, "
        f"{(after.memory - before.memory) / 2**20:.1f} MiB"
    )
