"""Many services checked through real stdio servers: lateness, CPU, and memory a service."""

import gc
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import anyio
import psutil

from benchmarks.figures import row, title
from ostler.adapters.downstream.pool import DownstreamPool
from ostler.adapters.stores.sqlite import SqliteStore
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.clock import SystemClock
from ostler.engine.events.log import EventLog
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import Store
from ostler.engine.services.views import CreateRequest
from ostler.faces.daemon.process import calm_collector
from ostler.model.events import EventKind
from ostler.model.records import OperationRecord
from ostler.model.responses import ToolResponse
from ostler.model.servers import ServerEntry
from ostler.rules.answers.responses import normalise
from ostler.rules.reading import load_manifests

SCRIPT = Path(__file__).resolve().parent.parent / "tests" / "support" / "list_server.py"
EVENTS = 50
CLASS = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {{name: {name}}}
spec:
  args: {{size: {{type: integer, default: 1}}}}
  serviceConfig:
    lifecycleTools:
      start: {{tool: w/start, args: {{name: "{{{{ name }}}}"}}, outputs: {{id: id}}}}
      stop: {{tool: w/stop, args: {{id: "{{{{ start.id }}}}"}}}}
      healthCheck: {check}
    healthCheck: {{interval: {interval}s}}
    outputs: {{url: "http://127.0.0.1/{{{{ start.id }}}}"}}
"""
SINGLE = '{tool: SERVER/check, args: {name: "{{ name }}"}, expect: {jsonPath: {state: running}}}'
BATCH = """{tool: SERVER/list, args: {count: COUNT}, expect: {jsonPath: {state: running}},
      batch: {items: items, match: {name: "{{ name }}"}}}"""


class Caller:
    """Starts are answered here (they are not what is measured), checks by the real server."""

    def __init__(self, pool: DownstreamPool) -> None:
        self.pool = pool
        self.calls = 0

    async def call_tool(
        self, tool: str, args: Mapping[str, Any], *, timeout: float | None = None, progress: Any = None
    ) -> ToolResponse:
        """Answer a start, pass on the rest."""
        if tool.startswith("w/"):
            return normalise([], {"id": args.get("name", "")})
        self.calls += 1
        return await self.pool.call_tool(tool, args, timeout=timeout, progress=progress)


class LatenessObserver:
    """Notes how late each health check begins.

    Attributes:
        lateness: seconds, of the checks so far.
    """

    def __init__(self) -> None:
        self.lateness: list[float] = []

    def asked(self) -> object:
        """Return nothing: operations are not followed."""

    def joined(self, origin: object) -> None:
        """Do nothing."""

    def operation(self, origin: object, record: Callable[[], OperationRecord]) -> AbstractContextManager[None]:
        """Return an empty block."""
        del origin, record
        return nullcontext()

    def check(self, service: str, late: float) -> AbstractContextManager[None]:
        """Note how late a check is."""
        del service
        self.lateness.append(late)
        return nullcontext()


async def _create(manager: ServiceManager, servers: Sequence[str], numbers: Iterable[int]) -> None:
    for number in numbers:
        await manager.create(CreateRequest(f"bench-{servers[number % len(servers)]}", f"s{number}"))


async def _run(store: Store, pool: DownstreamPool, checks: Mapping[str, str], count: int, interval: float) -> None:
    process = psutil.Process()
    events = EventLog(SystemClock(), store, max_per_service=EVENTS)
    caller = Caller(pool)
    observer = LatenessObserver()
    async with ServiceManager(caller, store, events=events, observer=observer) as manager:
        for server, check in checks.items():
            text = CLASS.format(name=f"bench-{server}", check=check, interval=interval)
            manager.classes.add(ClassEntry.of(load_manifests(text, "bench.yaml")[0]))
        gc.collect()
        empty = process.memory_info().rss
        async with anyio.create_task_group() as group:
            for worker in range(20):
                group.start_soon(_create, manager, list(checks), range(worker, count, 20))
        gc.collect()
        bare = process.memory_info().rss
        for service in manager.registry.get_all():
            for number in range(EVENTS):
                text = f"attempt {number} of s failed, trying again: connection refused"
                events.append(EventKind.WARNING, service.name, text, {"step": "healthCheck", "number": number})
        gc.collect()
        full = process.memory_info().rss
        print(f"{'memory a service, just started':<44} {(bare - empty) / count / 1024:8.1f} KiB")
        print(f"{f'memory a service, with {EVENTS} events':<44} {(full - empty) / count / 1024:8.1f} KiB")
        await anyio.sleep(2 * interval)
        observer.lateness = lateness = list[float]()
        calls, began, cpu = caller.calls, time.perf_counter(), time.process_time()
        await anyio.sleep(max(3 * interval, 20.0))
        wall, used = time.perf_counter() - began, time.process_time() - cpu
        observer.lateness = list[float]()
        print(row("lateness of a check, limits included", lateness))
        print(f"{'checks a second':<44} {len(lateness) / wall:8.0f}")
        print(f"{'calls a second':<44} {(caller.calls - calls) / wall:8.1f}")
        print(f"{'CPU of this process':<44} {used / wall:8.2f} core")
        healthy = sum(view.health.value == "healthy" for view in manager.views())
        print(f"{'healthy at the end':<44} {healthy:8} of {count}")


async def _main(count: int, interval: float, several: int) -> None:
    with tempfile.TemporaryDirectory(prefix="ostler-bench-") as text:
        folder = Path(text)
        names = [f"s{number}" for number in range(several)]
        entries = {
            name: ServerEntry(name=name, transport="stdio", command=sys.executable, args=(str(SCRIPT),))
            for name in names
        }
        pool = DownstreamPool(entries, log_dir=folder / "logs", environment={}, clock=SystemClock())
        async with pool:
            for name in names:
                await pool.wait_until_connected(name, 20)
            for name, what, servers, check in (
                ("batch", "that share a call (batch)", names[:1], BATCH.replace("COUNT", str(count))),
                ("single", "with a call each", names, SINGLE),
            ):
                title(f"{count} services {what}, every {interval:g} s, stdio servers: {len(servers)}, SQLite")
                async with SqliteStore.open(folder / f"{name}.db") as store:
                    checks = {server: check.replace("SERVER", server) for server in servers}
                    await _run(store, pool, checks, count, interval)


def main(services: int = 10_000, interval: float = 10.0, servers: int = 4) -> None:
    """Run and print; `servers` share the checks that are a call each. The collector is that of the server."""
    calm_collector()
    anyio.run(_main, services, interval, servers)
