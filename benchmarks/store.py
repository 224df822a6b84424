"""Commit latency of the stores beside raw sqlite3, and idempotency keys looked up in histories of every size.

Each commit writes one service and one operation and is durable when it returns, in both. Raw sqlite3 runs one
transaction for each commit on one connection with the same pragmas, in the calling thread, as a floor. PostgreSQL is a
server of the benchmark's own, with fsync, on the same disk; where there is none, its rows are left out.
"""

import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeAlias

import anyio
from msgspec.structs import replace
from tests.support.postgresql import Postgresql, program_folder, running

from benchmarks.latency import scripted_pool, through
from ostler.adapters.stores.memory import MemoryStore
from ostler.adapters.stores.postgresql import PostgresqlStore
from ostler.adapters.stores.postgresql_hold import Holder
from ostler.adapters.stores.records_json import OPERATION, SERVICE
from ostler.adapters.stores.retention import Retention
from ostler.adapters.stores.sqlite import SqliteStore
from ostler.engine.protocols import PutOperation, PutService, Store
from ostler.model.records import (
    CallOutcome,
    CallRecord,
    OperationKind,
    OperationOutcome,
    OperationRecord,
    PlannedCall,
    ServiceRecord,
)
from ostler.model.states import DesiredState, ServiceState

Opened: TypeAlias = Callable[[], AbstractAsyncContextManager[Store]]

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def records(number: int) -> tuple[ServiceRecord, OperationRecord]:
    """Return a service and an operation of the size that a real start writes."""
    key = f"{number:08}"
    service = ServiceRecord(
        id=key,
        name=f"service-{key}",
        class_name="static-web",
        class_digest="0" * 64,
        class_manifest={"spec": {"args": {f"arg{index}": {"type": "string"} for index in range(20)}}},
        args={"folder": "/srv/www", "port": 8080},
        created_at=NOW,
        updated_at=NOW,
        desired=DesiredState.RUNNING,
        state=ServiceState.STARTING,
        stop_plan=(PlannedCall("stop", "process/stop", {"pid": 4711}, 30.0),),
    )
    call = CallRecord(1, "start", "process/start", {"command": "python"}, CallOutcome.INTENDED, NOW)
    operation = OperationRecord(f"op-{key}", key, service.name, OperationKind.START, NOW, calls=(call,))
    return service, operation


def raw_commits(folder: Path, count: int) -> list[float]:
    """Return the seconds of each of `count` transactions of plain sqlite3."""
    times: list[float] = []
    with closing(sqlite3.connect(folder / "raw.db", isolation_level=None)) as connection:
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL"):
            connection.execute(statement)
        connection.execute("CREATE TABLE services (id TEXT PRIMARY KEY, record TEXT)")
        connection.execute("CREATE TABLE operations (id TEXT PRIMARY KEY, record TEXT)")
        for number in range(count):
            began = time.perf_counter()
            service, operation = records(number)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO services VALUES (?, ?)", (service.id, SERVICE.write(service)))
            connection.execute("INSERT INTO operations VALUES (?, ?)", (operation.id, OPERATION.write(operation)))
            connection.execute("COMMIT")
            times.append(time.perf_counter() - began)
    return times


async def store_commits(opened: Opened, count: int, committers: int) -> list[float]:
    """Return the seconds of each of `count` commits of a store, asked for by `committers` tasks at once."""
    times: list[float] = []
    numbers = iter(range(count))

    async def commit(store: Store) -> None:
        for number in numbers:
            began = time.perf_counter()
            service, operation = records(number)
            await store.commit([PutService(service), PutOperation(operation)])
            times.append(time.perf_counter() - began)

    async with opened() as store, anyio.create_task_group() as tasks:
        for _ in range(committers):
            tasks.start_soon(commit, store)
    return times


async def key_lookups(folder: Path, history: int, count: int) -> list[float]:
    """Return the seconds of each of `count` look-ups of an idempotency key among `history` operations of a name."""
    times: list[float] = []
    retention = Retention(operations=history, operations_per_service=history)
    async with SqliteStore.open(folder / f"keys{history}.db", retention=retention) as store:
        for first in range(0, history, 1000):
            made = [records(number)[1] for number in range(first, min(first + 1000, history))]
            await store.commit(
                [
                    PutOperation(
                        replace(
                            each,
                            service_id="one",
                            service_name="one",
                            requests={f"key-{each.id}": "digest"},
                            outcome=OperationOutcome.SUCCEEDED,
                        )
                    )
                    for each in made
                ]
            )
        for number in range(count):
            began = time.perf_counter()
            found = await store.find_request("one", f"key-op-{number * 7919 % history:08}")
            times.append(time.perf_counter() - began)
            assert found is not None
    return times


def row(name: str, times: Sequence[float], took: float) -> str:
    """Return one line of the table."""
    cuts = statistics.quantiles(times, n=100)
    p50, p99 = (cuts[49] * 1000, cuts[98] * 1000)
    return f"{name:<34}{p50:>9.2f}{p99:>9.2f}{max(times) * 1000:>9.2f}{len(times) / took:>11.0f}"


def _postgresql(stack: ExitStack, folder: Path) -> Postgresql | None:
    """Return a server of the benchmark's own on the same disk; None where PostgreSQL is not installed."""
    if program_folder() is None:
        print("(PostgreSQL is not installed here: bash .ci/programs installs it on Debian)")
        return None
    folder.chmod(0o755)
    return stack.enter_context(running(durable=True, parent=folder))


def _stores(file: Path, database: Postgresql | None) -> dict[str, Opened]:
    """Return how the stores that are measured are opened, each an empty one."""
    stores: dict[str, Opened] = {"SqliteStore": partial(SqliteStore.open, file)}
    if database is not None:
        holder = Holder.of_this_process("benchmark")
        stores["PostgresqlStore"] = partial(PostgresqlStore.open, database.new_database(), holder)
    return stores


async def _journaled_starts(folder: Path, database: Postgresql | None, rounds: int) -> None:
    """Print how long a start through Ostler takes with each store, over one stdio server."""
    print(f"\na service's start and stop, journaled\n{'':<34}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'starts/s':>11}")
    places = _stores(folder / "starts.db", database)
    async with scripted_pool(folder) as pool:
        starts, _ = await through(MemoryStore(), pool, rounds)
        print(row("MemoryStore: start", starts, sum(starts)))
        overheads: dict[str, float] = {}
        for name, opened in places.items():
            async with opened() as store:
                journaled, _ = await through(store, pool, rounds)
            print(row(f"{name}: start", journaled, sum(journaled)))
            overheads[name] = statistics.median(journaled) - statistics.median(starts)
    for name, overhead in overheads.items():
        ratio = overhead / overheads["SqliteStore"]
        print(f"{name}: a start's journal takes {overhead * 1000:.2f} ms at the median, {ratio:.1f} x SQLite's")


def main(count: int) -> None:
    """Print the tables."""
    print(f"{count} durable commits each\n{'':<34}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'commits/s':>11}")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as temporary:
        folder = Path(temporary)
        began = time.perf_counter()
        times = raw_commits(folder, count)
        print(row("raw sqlite3, 1 connection", times, time.perf_counter() - began))
        with ExitStack() as stack:
            database = _postgresql(stack, folder)
            for committers in (1, 50):
                for name, opened in _stores(folder / f"store{committers}.db", database).items():
                    began = time.perf_counter()
                    times = anyio.run(store_commits, opened, count, committers)
                    label = f"{name}, {committers} committer{'s' if committers > 1 else ''}"
                    print(row(label, times, time.perf_counter() - began))
            anyio.run(_journaled_starts, folder, database, max(count // 10, 20))
        print(f"\nan idempotency key looked up\n{'':<34}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'look-ups/s':>11}")
        for history in (100, 1_000, 10_000, 100_000):
            times = anyio.run(key_lookups, folder, history, 300)
            print(row(f"among {history:,} operations", times, sum(times)))
