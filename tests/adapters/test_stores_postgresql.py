"""The PostgreSQL store's own promises: one holder, loss and return of the database, refusals, moves."""

import os
import socket
import sqlite3
import subprocess
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest
from msgspec.structs import replace
from test_stores import START, event, operation, service
from tests.support.ports import free_port
from tests.support.postgresql import PASSWORD, USER, Postgresql
from tests.support.shipped import program
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

from ostler.adapters.stores.choice import StorePlace
from ostler.adapters.stores.moving import move_store
from ostler.adapters.stores.postgresql import PostgresqlStore
from ostler.adapters.stores.postgresql_copies import examine_database, migrate_database, take_over
from ostler.adapters.stores.postgresql_history import OperationHistory
from ostler.adapters.stores.postgresql_hold import Holder, Timings
from ostler.adapters.stores.sqlite import SqliteStore
from ostler.adapters.stores.standing_by import SeenHolder, Waiting
from ostler.engine.protocols import DropService, PutOperation, PutService
from ostler.model.errors import (
    AlreadyExistsError,
    NotFoundError,
    StoreCorruptError,
    StoreError,
    StoreHeldError,
    StoreNewerError,
)
from ostler.model.events import Event, EventKind
from ostler.model.records import OperationKind, OperationOutcome, OperationRecord

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

QUICK = Timings(heartbeat=0.1, taken_after=1.0, trusted=0.7, connect=30, answer=30, batch=30, settle=30, poll=0.05)
"""Others take over soon, and no machine is so slow that its database counts as lost."""


class Seen:
    """Remembers what a server that stands by saw last."""

    last: SeenHolder | None = None

    def saw(self, holder: SeenHolder | None, trouble: str = "") -> None:
        assert not trouble
        self.last = holder

    def measured_by(self, scrape: object) -> None:
        del scrape


def holder(node: str) -> Holder:
    return Holder.of_this_process(node)


async def names(store: PostgresqlStore) -> list[str]:
    return [record.name for record in (await store.load()).services]


async def listening(url: str) -> str:
    """Return `url` when something listens there."""
    with anyio.fail_after(60):
        while True:
            with suppress(OSError):
                await (await anyio.connect_tcp("127.0.0.1", urlsplit(url).port or 0)).aclose()
                return url
            await anyio.sleep(0.01)


def rows_of(postgresql: Postgresql, url: str) -> list[tuple[object, ...]]:
    """Return the names of the services that are durable in the database at `url`."""
    return postgresql.execute("SELECT name FROM ostler.services", url.rpartition("/")[2])


async def until(store: PostgresqlStore, *, lost: bool) -> None:
    with anyio.fail_after(60):
        while (store.trouble is not None) is not lost:
            await anyio.sleep(0.02)


# -- one holder ----------------------------------------------------------------------------------------------


async def test_a_second_server_is_refused_and_one_that_stands_by_takes_over(postgresql: Postgresql) -> None:
    url = postgresql.new_database()
    order: list[str] = []
    keys: list[bytes] = []
    seen, patient = Seen(), replace(QUICK, taken_after=4.0, trusted=3.9)

    async def stand_by() -> None:
        async with PostgresqlStore.open(url, holder("b"), standby=seen, timings=patient) as second:
            order.append("second has it")
            assert await names(second) == ["a"]
            assert await second.shared_key() == keys[0]

    async with anyio.create_task_group() as tasks, PostgresqlStore.open(url, holder("a"), timings=patient) as first:
        await first.commit([PutService(service("a"))])
        with pytest.raises(StoreHeldError, match=r"is held by another Ostler \(server on .*, pid \d+\)"):
            async with PostgresqlStore.open(url, holder("b"), timings=patient):
                pass
        keys.append(await first.shared_key())
        tasks.start_soon(stand_by)
        await anyio.sleep(patient.taken_after + 0.3)  # while it is heard of, it keeps it
        first.confirm()
        first.announce("http://*:8765")
        while not (seen.last and seen.last.url):
            await anyio.sleep(0.02)
        assert (seen.last.epoch, seen.last.url) == (1, f"http://{socket.gethostname()}:8765")
        assert seen.last.key == keys[0]
        order.append("first lets go")
    assert order == ["first lets go", "second has it"]
    assert seen.last is None


async def test_a_server_that_stands_by_reads_the_same_history(postgresql: Postgresql) -> None:
    url = postgresql.new_database()
    async with PostgresqlStore.open(url, holder("a"), timings=QUICK) as store, tcp_proxy(postgresql.port) as way:
        done = [PutOperation(operation(f"op{number}", done=True)) for number in range(4)]
        await store.commit([PutService(service("a")), *done])
        history = OperationHistory(postgresql.url(url.rpartition("/")[2], port=way.port))
        for limit in (1, 3, 20):
            assert await history.newest("id-a", limit) == await store.operations("id-a", limit=limit)
        way.refuses = True
        await way.cut()
        with pytest.raises(StoreError):
            await history.newest("id-a", 1)
        way.refuses = False
        assert len(await history.newest("id-a", 20)) == 4
        await history.close()


async def test_a_server_that_was_cut_off_writes_nothing_more_and_knows_it_in_time(postgresql: Postgresql) -> None:
    url = postgresql.new_database()
    async with cut_off(postgresql, url) as (proxy, first):
        await first.commit([PutService(service("a"))])
        proxy.swallows_requests = True
        async with PostgresqlStore.open(url, holder("b"), standby=Waiting(), timings=QUICK) as second:
            with pytest.raises(StoreError, match="nothing was"):
                first.confirm()
            await second.commit([PutService(service("b"))])
            proxy.swallows_requests = False
            await proxy.cut()
            with anyio.fail_after(30):
                assert isinstance(await first.wait_taken_over(), StoreHeldError)
            with pytest.raises(StoreHeldError, match="another server has taken over"):
                await first.commit([PutService(service("a", revision=2))])
            assert await names(second) == ["a", "b"]


async def test_a_commit_on_its_way_when_another_server_took_over_is_refused(postgresql: Postgresql) -> None:
    url = postgresql.new_database()
    slow = replace(QUICK, heartbeat=60)  # it does not notice by its heartbeat
    async with (
        PostgresqlStore.open(url, holder("a"), timings=slow) as first,
        PostgresqlStore.open(url, holder("a"), timings=QUICK) as second,  # the same state folder: the first is dead
    ):
        with pytest.raises(StoreError):
            await first.commit([PutService(service("a"))])
        with pytest.raises(StoreHeldError):
            await first.commit([PutService(service("a"))])
        await second.commit([PutService(service("b"))])
        assert await names(second) == ["b"]


async def test_local_processes_of_another_machine_are_never_taken_for_gone(postgresql: Postgresql) -> None:
    url = postgresql.new_database()
    async with PostgresqlStore.open(url, holder("a")) as store:
        await store.commit([PutService(service("db")), PutService(service("idle", stop_plan=()))])
    for server, is_refused in (("process", True), ("other", False)):
        opened = PostgresqlStore.open(url, holder("b"), is_local=lambda name, local=server: name == local)
        if is_refused:
            with pytest.raises(StoreError, match=r"processes that cannot be seen from here: db\. Next: ") as caught:
                async with opened:
                    pass
            assert "ostler store take" in str(caught.value)
        else:
            async with opened as store:
                with pytest.raises(StoreHeldError):
                    await take_over(url, "c")
    async with PostgresqlStore.open(url, holder("b"), is_local=lambda _: True):  # it had it last
        pass
    await take_over(url, "c")
    async with PostgresqlStore.open(url, holder("c"), is_local=lambda _: True) as store:
        assert await names(store) == ["db", "idle"]


# -- a database that goes away -------------------------------------------------------------------------------


@asynccontextmanager
async def cut_off(
    postgresql: Postgresql, url: str, timings: Timings = QUICK
) -> AsyncGenerator[tuple[TcpProxy, PostgresqlStore]]:
    async with tcp_proxy(postgresql.port) as proxy:
        through = url.replace(f":{postgresql.port}/", f":{proxy.port}/")
        async with PostgresqlStore.open(through, holder("a"), timings=timings) as store:
            yield proxy, store


async def test_a_lost_database_is_said_at_once_and_all_goes_on_when_it_is_back(postgresql: Postgresql) -> None:
    heard: list[str] = []
    url = postgresql.new_database()
    closed = f"ALTER DATABASE {url.rpartition('/')[2]} ALLOW_CONNECTIONS"
    async with cut_off(postgresql, url) as (proxy, store):
        store.on_trouble(lambda trouble: heard.append("lost" if trouble else "back"))
        await store.commit([PutService(service("a"))])
        proxy.refuses = True
        await proxy.cut()
        await until(store, lost=True)
        with anyio.fail_after(QUICK.settle / 2), pytest.raises(StoreError, match="nothing was written") as caught:
            await store.commit([PutService(service("b"))])
        assert "127.0.0.1" in str(caught.value)
        assert "let" not in str(caught.value).partition("Next:")[0]  # the password
        store.append_events([event(1)])
        postgresql.execute(f"{closed} false")
        proxy.refuses = False
        with anyio.fail_after(60):
            while "not currently accepting connections" not in str(store.trouble):  # the reason is that of now
                await anyio.sleep(0.02)
        postgresql.execute(f"{closed} true")
        await until(store, lost=False)
        await store.commit([PutService(service("c"))])
        assert await names(store) == ["a", "c"]
        with anyio.fail_after(60):
            while list((await store.load()).events) != [event(1)]:
                await anyio.sleep(0.1)
    assert heard == ["lost", "back"]


@pytest.mark.parametrize("what", ["request", "answer"])
async def test_a_commit_during_which_the_database_was_lost_is_settled_when_it_is_back(
    postgresql: Postgresql, what: str
) -> None:
    url = postgresql.new_database()
    async with cut_off(postgresql, url, replace(QUICK, heartbeat=60)) as (proxy, store):
        proxy.swallows_requests, proxy.swallows_answers = what == "request", what == "answer"
        outcomes: list[str] = []

        async def commit() -> None:
            try:
                await store.commit([PutService(service("a")), PutOperation(operation("op"))])
                outcomes.append("durable")
            except StoreError as error:
                outcomes.append(str(error))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(commit)
            await anyio.sleep(0.3)
            with anyio.fail_after(30):
                while what == "answer" and not rows_of(postgresql, url):
                    await anyio.sleep(0.05)
            proxy.swallows_requests = proxy.swallows_answers = False
            await proxy.cut()
        (outcome,) = outcomes
        assert (outcome == "durable") is (what == "answer"), outcome
        assert await names(store) == (["a"] if what == "answer" else [])


REFUSING = """
CREATE FUNCTION ostler.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not yet'; END $$;
CREATE TRIGGER refuse BEFORE DELETE ON ostler.services FOR EACH ROW EXECUTE FUNCTION ostler.refuse()
"""


async def test_a_create_that_was_reported_as_failed_is_removed_when_the_database_is_back(
    postgresql: Postgresql,
) -> None:
    impatient = replace(QUICK, batch=2.0, settle=0.1)
    url = postgresql.new_database()
    database = url.rpartition("/")[2]
    async with cut_off(postgresql, url, impatient) as (proxy, store):
        await store.commit([PutService(service("before"))])
        proxy.swallows_answers = True
        begun = replace(operation("op", "a"), requests={"k": "d"})
        with pytest.raises(StoreError, match="did not answer in time"):
            await store.commit(
                [PutService(service("a")), PutOperation(begun), PutService(service("before", revision=2))]
            )
        postgresql.execute(REFUSING, database)
        proxy.swallows_answers = False
        await proxy.cut()
        with anyio.fail_after(60):
            while "not yet" not in str(store.trouble):  # the first attempt to remove it fails
                await anyio.sleep(0.01)
        postgresql.execute("DROP TRIGGER refuse ON ostler.services", database)
        await until(store, lost=False)
        state = await store.load()
        assert [(record.name, record.revision) for record in state.services] == [("before", 2)]
        assert state.open_operations == []
        assert await store.find_request("a", "k") is None
        await store.commit([PutService(service("again", name="a"))])


# -- refusals ------------------------------------------------------------------------------------------------


async def refusal(url: str, kind: type[StoreError] = StoreError) -> str:
    with pytest.raises(kind) as caught:
        async with PostgresqlStore.open(url, holder("a")):
            pass
    assert caught.value.next_actions
    return str(caught.value)


async def test_what_cannot_be_used_is_refused_with_what_to_do(postgresql: Postgresql) -> None:
    url = postgresql.new_database()
    name = url.rpartition("/")[2]
    assert "authentication failed" in await refusal(url.replace("let%20me", "wrong"))
    assert "does not exist" in await refusal(postgresql.url("no_such"))
    assert "createdb" in await refusal(postgresql.url("no_such"))
    assert "refused" in await refusal(postgresql.url(name, port=1))
    assert "cannot be read" in await refusal("postgresql://%zz/y")
    for odd in ("se%zzcret", "sec ret", "se/cret", "se/c@ret"):
        said = await refusal(f"postgresql://jane:{odd}@127.0.0.1/{name}")
        assert not any(part in said.partition("Next:")[0] for part in ("se%", "cret", " ret", "se/")), said
    postgresql.execute("CREATE ROLE guest LOGIN PASSWORD 'let me in'")
    as_guest = postgresql.url(name, user="guest")
    assert f"GRANT CREATE ON DATABASE {name} TO guest" in await refusal(as_guest)
    async with PostgresqlStore.open(url, holder("a")) as store:
        assert "GRANT THAT_ROLE TO guest" in await refusal(as_guest)  # the tables are another role's
        postgresql.execute("DROP SCHEMA ostler CASCADE", name)
        with pytest.raises(StoreError, match="Ostler's tables are gone"):
            await store.commit([PutService(service("a"))])
    postgresql.execute("ALTER ROLE guest CONNECTION LIMIT 0")
    assert "raise max_connections" in await refusal(as_guest)
    postgresql.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert "read-only, as a standby is" in await refusal(url)


@contextmanager
def pgbouncer(postgresql: Postgresql, folder: Path, mode: str) -> Generator[int]:
    """Run PgBouncer in front of the server; yield its port."""
    command, port, settings = program("pgbouncer", "/usr/sbin/pgbouncer"), free_port(), folder / f"{mode}.ini"
    where = f"[databases]\n* = host=127.0.0.1 port={postgresql.port} user={USER} password='{PASSWORD}'\n"
    own = f"listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\nunix_socket_dir =\npool_mode = {mode}\n"
    settings.write_text(f"{where}[pgbouncer]\n{own}")
    account: Any = {"user": "nobody"} if os.geteuid() == 0 else {}  # it refuses to run as root
    with settings.open() as file:
        # It reads its settings as an account that may not enter the test's folder.
        process = subprocess.Popen([command, "/dev/stdin"], stdin=file, stderr=subprocess.DEVNULL, **account)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


async def test_a_pooler_that_keeps_no_session_is_refused_and_one_that_does_is_like_none(
    postgresql: Postgresql, tmp_path: Path
) -> None:
    name = postgresql.new_database().rpartition("/")[2]
    with pgbouncer(postgresql, tmp_path, "transaction") as port:
        assert "pool_mode = session" in await refusal(await listening(postgresql.url(name, port=port)))
    with pgbouncer(postgresql, tmp_path, "statement") as port:
        assert "pool_mode = session" in await refusal(await listening(postgresql.url(name, port=port)))
    with pgbouncer(postgresql, tmp_path, "session") as port:
        url = await listening(postgresql.url(name, port=port))
        async with PostgresqlStore.open(url, holder("a"), timings=QUICK) as store:
            heard: list[bool] = []
            store.on_trouble(lambda trouble: heard.append(trouble is not None))
            postgresql.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            with anyio.fail_after(60):
                while heard[-1:] != [False]:  # it ends what its earlier connections left, and not the new ones
                    await anyio.sleep(0.02)
            await store.commit([PutService(service("a"))])


async def test_tables_of_others_and_of_a_newer_ostler_are_left_untouched(postgresql: Postgresql) -> None:
    url, other = postgresql.new_database(), postgresql.new_database()
    assert await migrate_database(url) == (0, 3)
    assert await migrate_database(url) == (3, 3)
    postgresql.execute("INSERT INTO ostler.migrations VALUES (99)", url.rpartition("/")[2])
    assert "schema version 99, and this Ostler knows 3" in await refusal(url, StoreNewerError)
    postgresql.execute("CREATE SCHEMA ostler; CREATE TABLE ostler.services (x int)", other.rpartition("/")[2])
    assert "is not one of Ostler" in await refusal(other, StoreCorruptError)
    assert postgresql.execute("SELECT count(*) FROM ostler.services", other.rpartition("/")[2]) == [(0,)]


async def test_odd_texts_are_stored_as_they_are(postgresql: Postgresql) -> None:
    odd, key = "\0 \ud800 é", "\0 é" * 3000
    asked = OperationRecord("op", "id-a", "a", OperationKind.STOP, START, requests={key: "digest"})
    async with PostgresqlStore.open(postgresql.new_database(), holder("a")) as store:
        await store.commit([PutService(service("a", args={"odd": odd})), PutOperation(asked)])
        assert (await store.load()).services[0].args == {"odd": odd}
        assert await store.find_request("a", key) == asked
        assert await store.find_request("a", "\0 é") is None


# -- moves ---------------------------------------------------------------------------------------------------


async def test_everything_moves_to_postgresql_and_back(postgresql: Postgresql, tmp_path: Path) -> None:
    url, path = postgresql.new_database(), tmp_path / "ostler.db"
    file, database = StorePlace(path), StorePlace(path, url)
    keyed = replace(operation("keyed", done=True), requests={"k": "d"}, outcome=OperationOutcome.FAILED)
    async with SqliteStore.open(path) as store:
        await store.commit([PutService(service(f"s{number:03}")) for number in range(300)])
        await store.commit([PutOperation(operation("open", "s001")), PutOperation(keyed), DropService("id-s002")])
        store.append_events([Event(cursor, START, EventKind.WARNING, "s001", "x") for cursor in (7, 9)])
        await store.commit([])
        before = await store.load()
    with pytest.raises(AlreadyExistsError):
        await move_store(database, file)
    with pytest.raises(NotFoundError):
        await move_store(database, StorePlace(tmp_path / "other.db"))
    moved = await move_store(file, database)
    assert moved.counts == {"services": 299, "operations": 2, "events": 2}
    assert not path.exists()
    assert Path(moved.aside).exists()
    report = await examine_database(url)
    assert (report.counts, report.open_operations, report.problems) == (moved.counts, 1, ())
    async with PostgresqlStore.open(url, holder("a")) as server:
        assert await server.load() == before
        assert await server.find_request("a", "k") == keyed
        with pytest.raises(StoreHeldError):
            await move_store(database, file)
    again = await move_store(database, file)
    assert again.aside.startswith("schema ostler_moved_")
    with closing(sqlite3.connect(path)) as other:  # as a shell has it open: the file's log is not merged then
        other.execute("BEGIN").execute("SELECT count(*) FROM services").fetchall()
        async with SqliteStore.open(path) as store:
            await store.commit([PutService(service("last"))])
        aside = (await move_store(file, StorePlace(path, postgresql.new_database()))).aside
    async with SqliteStore.open(Path(aside)) as store:
        assert "last" in {each.name for each in (await store.load()).services}
        await store.commit([DropService("id-last")])
    Path(aside).rename(path)
    async with SqliteStore.open(path) as store:
        after: Any = await store.load()
        assert after == before
        assert await store.find_request("a", "k") == keyed


SLOWLY = """
CREATE TABLE ostler.stop AS SELECT 1;
CREATE FUNCTION ostler.slowly() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN WHILE EXISTS (SELECT FROM ostler.stop) LOOP PERFORM pg_sleep(0.02); END LOOP; RETURN NEW; END $$;
CREATE TRIGGER slowly BEFORE INSERT ON ostler.operations FOR EACH ROW EXECUTE FUNCTION ostler.slowly()
"""


async def test_a_move_that_is_interrupted_leaves_its_target_empty(postgresql: Postgresql, tmp_path: Path) -> None:
    url, path = postgresql.new_database(), tmp_path / "ostler.db"
    name = url.rpartition("/")[2]
    async with SqliteStore.open(path) as store:
        await store.commit([PutService(service(f"s{number:03}")) for number in range(300)])
        await store.commit([PutOperation(operation("slow", "s001"))])
        before = await store.load()
    await migrate_database(url)
    postgresql.execute(SLOWLY, name)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(move_store, StorePlace(path), StorePlace(path, url))
        with anyio.fail_after(60):
            while (await examine_database(url)).counts["services"] == 0:
                await anyio.sleep(0.02)
        tasks.cancel_scope.cancel()  # a part of it is there, and the next commit is on its way
        postgresql.execute("DELETE FROM ostler.stop", name)
    assert set((await examine_database(url)).counts.values()) == {0}
    async with SqliteStore.open(path) as store:
        assert await store.load() == before
    postgresql.execute("DROP TRIGGER slowly ON ostler.operations", name)
    assert (await move_store(StorePlace(path), StorePlace(path, url))).counts["services"] == 300
