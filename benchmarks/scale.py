"""What many servers and a million services would ask of one PostgreSQL, against what each query costs there.

The tables are filled to that size, and each query of the store is measured on them. Taking the database over, reading
it and bringing its services back grow with the number of services, so they are measured at some sizes.
"""

import gc
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import anyio
import psycopg
from msgspec.structs import replace
from tests.support.postgresql import Postgresql, running

from benchmarks.figures import title
from benchmarks.store import records
from ostler.adapters.stores.postgresql import PostgresqlStore
from ostler.adapters.stores.postgresql_copies import migrate_database
from ostler.adapters.stores.postgresql_faults import Address
from ostler.adapters.stores.postgresql_hold import Hold, Holder, Timings
from ostler.adapters.stores.postgresql_link import connect
from ostler.adapters.stores.records_json import EVENT, OPERATION, SERVICE
from ostler.adapters.stores.retention import Retention
from ostler.engine.protocols import PutOperation, PutService
from ostler.model.errors import StoreHeldError
from ostler.model.events import Event, EventKind
from ostler.model.records import OperationOutcome, OperationRecord, ServiceRecord
from ostler.rules.loading.manifests import service_class_to_json
from ostler.rules.reading import load_manifests

REPLICAS: Final = 100
STARTS_A_DAY: Final = 1.0
"""Starts of a service a day; each is three commits and some four events."""

COMMITS_A_START: Final = 3
CLASS: Final = Path(__file__).parents[1] / "serviceclasses" / "redis.yaml"
NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
LOOK: Final = "look of a server that stands by"
COMMIT: Final = "commit of a service and an operation"
EVENTS: Final = "commit of a service and four events"
_KEY: Final = "@@key@@@"


def typical() -> tuple[ServiceRecord, OperationRecord]:
    """Return a service of a shipped class, with the manifest that it carries, and the operation that started it."""
    service, operation = records(0)
    (loaded,) = load_manifests(CLASS.read_text(encoding="utf-8"), file=CLASS.name)
    manifest = service_class_to_json(loaded.service_class)
    operation = replace(operation, outcome=OperationOutcome.SUCCEEDED, finished_at=NOW)
    return replace(service, id=_KEY, name=f"service-{_KEY}", class_manifest=manifest), operation


_FILL_SERVICES: Final = """
INSERT INTO ostler.services (id, name, class_name, state, desired, updated_at, record, drivers)
SELECT key, 'service-' || key, 'redis', 'running', 'running', '', replace(%s::text, %s::text, key), 'process'
FROM (SELECT lpad(number::text, 8, '0') AS key FROM generate_series(%s::int, %s::int) AS number) AS keys
"""
_FILL_OPERATIONS: Final = """
INSERT INTO ostler.operations (id, service_id, service_name, kind, started_at, finished_at, outcome, record)
SELECT 'op-' || number, lpad((number %% %s::int)::text, 8, '0'), 'service', 'start', '', '', 'succeeded', %s
FROM generate_series(1, %s::int) AS number
"""
_FILL_EVENTS: Final = """
INSERT INTO ostler.events (cursor, at, kind, service, record)
SELECT number, '', 'state_changed', 'service-' || lpad((number %% %s::int)::text, 8, '0'),
    replace(%s::text, '4711', number::text)
FROM generate_series(1, %s::int) AS number
"""


def fill(url: str, first: int, last: int) -> None:
    """Add the services numbered from `first` to `last`, and as much history as is kept."""
    service, operation = typical()
    kept = Retention()
    event = EVENT.write(Event(4711, NOW, EventKind.STATE_CHANGED, "service", "service is running now"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_FILL_SERVICES, (SERVICE.write(service), _KEY, first, last))
        if first == 1:
            connection.execute(_FILL_OPERATIONS, (last, OPERATION.write(operation), kept.operations))
            connection.execute(_FILL_EVENTS, (last, event, kept.events))
            connection.execute("UPDATE ostler.marks SET cursor = %s", (kept.events,))
        connection.execute("VACUUM ANALYZE ostler.services")


class Measured:
    """What each query costs, in seconds at the median."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    async def measure(self, name: str, rounds: int, act: Callable[[int], Awaitable[object]]) -> None:
        """Measure `act(round)`."""
        times: list[float] = []
        for number in range(rounds):
            began = time.perf_counter()
            await act(number)
            times.append(time.perf_counter() - began)
        self.seconds[name] = statistics.median(times)
        print(f"{name:<52}{self.seconds[name] * 1000:>10.2f} ms (p50 of {rounds}, max {max(times) * 1000:.2f})")


async def queries(url: str, services: int) -> Measured:
    """Measure what servers ask of a database with `services` services while all is well."""
    measured = Measured()
    service, operation = records(services // 2)
    service = replace(typical()[0], id=service.id, name=service.name)
    address = Address(url)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(PostgresqlStore.open(url, Holder.of_this_process("a")))
        connection = await connect(address, "benchmark")
        stack.push_async_callback(connection.close)
        standby = Hold(address, Holder.of_this_process("b"))

        async def look(_number: int) -> None:
            with suppress(StoreHeldError):
                await standby.look(connection)
            await connection.execute("SELECT url FROM address")

        async def commit(number: int) -> None:
            asked = replace(operation, id=f"new-{number}", requests={f"key-{number}": "digest"})
            await store.commit([PutService(replace(service, revision=number)), PutOperation(asked)])

        async def commit_with_events(number: int) -> None:
            cursor = 10_000 + number * 4
            named = [
                Event(cursor + step, NOW, EventKind.STATE_CHANGED, service.name, "it runs") for step in range(1, 5)
            ]
            store.append_events(named)
            await store.commit([PutService(replace(service, revision=number))])

        await measured.measure(LOOK, 300, look)
        await measured.measure(COMMIT, 300, commit)
        await measured.measure(EVENTS, 300, commit_with_events)
        await measured.measure(
            "look-up of an idempotency key", 300, lambda n: store.find_request(service.name, f"key-{n}")
        )
        await measured.measure("operations of a service", 300, lambda _: store.operations(service.id))
    return measured


async def takeover(url: str, node: str) -> tuple[float, float]:
    """Return the seconds until another node has taken the database over, and until it has read what is stored."""
    began = time.perf_counter()
    async with PostgresqlStore.open(url, Holder.of_this_process(node), is_local=lambda _: False) as store:
        taken = time.perf_counter() - began
        began = time.perf_counter()
        state = await store.load()
        assert state.services
        return taken, time.perf_counter() - began


def main(services: int) -> None:
    """Print what each query costs with `services` services, and what breaks first."""
    gc.set_threshold(20_000, 20, 50)  # as servers do, which hold much that lives long
    title(f"{REPLICAS} servers and {services:,} services over one PostgreSQL")
    with running() as database:
        _takeovers(database, [1_000, 10_000, 20_000])
        url = database.new_database()
        anyio.run(migrate_database, url)
        fill(url, 1, services)
        size = database.execute(
            "SELECT pg_size_pretty(pg_total_relation_size('ostler.services'))", url.rpartition("/")[2]
        )
        print(f"\nthe table of {services:,} services has {size[0][0]}")
        measured = anyio.run(queries, url, services)
    _judge(measured, services)


def _takeovers(database: Postgresql, sizes: list[int]) -> None:
    url = database.new_database()
    anyio.run(migrate_database, url)
    before = 0
    for turn, size in enumerate(sizes):
        fill(url, before + 1, size)
        before = size
        anyio.run(takeover, url, "first")  # the node that had it last
        taken, read = anyio.run(takeover, url, f"node {turn}")
        print(f"{size:>9,} services: taken over by another node after {taken:.2f} s, all read after {read:.2f} s more")


def _judge(measured: Measured, services: int) -> None:
    """Print how much of one connection's time each of the loads takes, and at how many services it takes all of it."""
    starts = services * STARTS_A_DAY / 86_400
    look, commit, events = (measured.seconds[name] for name in (LOOK, COMMIT, EVENTS))
    loads = {
        "looks of the servers that stand by": ((REPLICAS - 1) / Timings().poll, look, False),
        "heartbeats of the holder": (1 / Timings().heartbeat, look, False),
        "commits of operations": (starts * COMMITS_A_START, commit, True),
        "commits with events": (starts, events, True),
    }
    print(f"\n{'':<38}{'a second':>10}{'ms each':>10}{'busy':>9}  all of a connection's time at")
    for name, (rate, cost, grows) in loads.items():
        share = rate * cost
        limit = f"{services / share:,.0f} services" if grows else f"{REPLICAS / share:,.0f} servers"
        print(f"{name:<38}{rate:>10.1f}{cost * 1000:>10.2f}{share:>9.1%}  {limit}")
