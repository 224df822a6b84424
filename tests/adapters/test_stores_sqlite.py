"""The SQLite store's own promises: its file, crashes, faults, migrations, copies."""

import json
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.small_disk import fill, kept_full, small_disk

from ostler.adapters.stores import sqlite
from ostler.adapters.stores.retention import Retention
from ostler.adapters.stores.rows import CURSOR_RESERVE, encode_commit, encode_event
from ostler.adapters.stores.sqlite import FIND_REQUEST, SqliteStore
from ostler.adapters.stores.sqlite_copies import check_database, copy_database
from ostler.adapters.stores.sqlite_faults import translate
from ostler.adapters.stores.sqlite_schema import (
    APPLICATION_ID,
    COMPACT_BYTES,
    MIGRATIONS,
    Migration,
    connect_reader,
    inspect,
    migrate,
    open_database,
)
from ostler.adapters.stores.sqlite_writes import Writes
from ostler.engine.protocols import Change, DropService, PutOperation, PutService
from ostler.model.errors import AlreadyExistsError, StoreCorruptError, StoreError, StoreNewerError
from ostler.model.events import Event, EventKind
from ostler.model.records import OperationKind, OperationOutcome, OperationRecord, ServiceRecord
from ostler.model.states import DesiredState, ServiceState

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

HERE = Path(__file__).parent
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def put(key: str) -> PutService:
    return PutService(
        ServiceRecord(key, f"s{key}", "c", "d", {}, {}, NOW, NOW, DesiredState.RUNNING, ServiceState.RUNNING)
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ostler.db"


async def names(path: Path) -> list[str]:
    async with SqliteStore.open(path) as store:
        return [record.id for record in (await store.load()).services]


def test_many_commits_are_one_statement_and_few_take_what_they_need(path: Path) -> None:
    """When a statement has ended, the thread waits for the interpreter, which a busy event loop keeps for long."""
    start = PutOperation(OperationRecord("o", "a", "sa", OperationKind.START, NOW))
    end = PutOperation(replace(start.record, outcome=OperationOutcome.SUCCEEDED, finished_at=NOW))
    namesake = PutService(replace(put("b").record, name="sa"))
    with closing(open_database(path)) as connection:
        writes = Writes(connection, Retention())
        writes.begin()

        def kept() -> list[str]:
            return [key for (key,) in connection.execute("SELECT id FROM services ORDER BY id")]

        def written(*commits: Sequence[Change]) -> tuple[dict[int, str], list[str]]:
            """Return the commits that were refused, with the name, and the first words of the statements."""
            said: list[str] = []
            connection.set_trace_callback(said.append)
            refused = writes.write([encode_commit(commit) for commit in commits], [])
            connection.set_trace_callback(None)
            words = [text.split()[0] for text, _ in groupby(said)]  # it is called for each step of a trigger, too
            return {index: refusal.name for index, refusal in refused.items()}, words

        assert written([put("a"), start], [put("c")]) == ({}, ["BEGIN", *["INSERT"] * 3, "COMMIT"])
        assert written([end]) == ({}, ["BEGIN", "INSERT", "DELETE", "COMMIT"])
        assert written([put("d")], [end], [DropService("c")], [put("a")]) == ({}, ["INSERT", "SELECT"])
        refused, said = written([put("e")], [namesake], [put("f")])
        assert refused == {1: "sa"}
        assert said.count("SAVEPOINT") == 3
        assert kept() == ["a", "d", "e", "f"]
        assert written([put("g")], [DropService("g")], [DropService("a")], [put("a")])[0] == {}
        assert kept() == ["a", "d", "e", "f"]


@given(st.lists(st.tuples(st.lists(st.sampled_from("abcd"), max_size=8), st.integers(0, 4), st.booleans())))
def test_events_are_those_of_a_plain_list_however_they_are_written(batches: list[tuple[list[str], int, bool]]) -> None:
    """With few commits or with many, and also when one of them is undone."""
    kept: list[tuple[int, str]] = []
    cursor = 0
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection)
        writes = Writes(connection, Retention(events_per_service=3, events=7))
        writes.begin()
        writes.write([encode_commit([put("a")])], [])
        namesake = encode_commit([PutService(replace(put("b").record, name="sa"))])
        for services, commits, contradicts in batches:
            events = [Event(cursor + at, NOW, EventKind.WARNING, of) for at, of in enumerate(services, 1)]
            given = [namesake] * contradicts + [encode_commit([put(f"c{at}")]) for at in range(commits)]
            refused = writes.write(given, [encode_event(event) for event in events])
            assert refused.keys() == set(range(contradicts))
            cursor += len(events)
            kept += [(event.cursor, event.service) for event in events]
            for service in set(services):
                own = [one for one in kept if one[1] == service]
                kept = [one for one in kept if one not in own[:-3]]
            kept = kept[-7:]
            assert connection.execute("SELECT cursor, service FROM events ORDER BY cursor").fetchall() == kept


async def test_a_key_with_a_zero_character_is_found_as_it_was_given(path: Path) -> None:
    """Also among many commits: SQLite's JSON ends a text at one."""
    asked = OperationRecord("o\0", "a", "s\0a", OperationKind.START, NOW, requests={"k\0": "digest", "\ud83d": "other"})
    async with SqliteStore.open(path) as store:
        async with anyio.create_task_group() as tasks:
            for change in (put("x"), put("y"), PutOperation(asked), put("z")):
                tasks.start_soon(store.commit, [change])
        found = [await store.find_request("s\0a", key) for key in ("k\0", "\ud83d", "k")]
        assert found == [asked, asked, None]


# -- the file ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="file modes")
async def test_the_file_is_private_in_a_private_folder(path: Path) -> None:
    before = os.umask(0)
    try:
        async with SqliteStore.open(path) as store:
            await store.commit([put("a")])
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {f"ostler.db{end}": 0o600 for end in ("", "-wal", "-shm", "-reserve")}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    assert await names(path) == ["a"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_what_is_left_of_a_database_that_was_half_made_is_made_again(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f"{path.name}-new").write_bytes(b"SQLite for")
    async with SqliteStore.open(path) as store:
        await store.commit([put("a")])
    assert not path.with_name(f"{path.name}-new").exists()
    async with SqliteStore.open(path) as store:
        assert [service.name for service in (await store.load()).services] == ["sa"]


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_new_database_is_written_to_the_disk_once(path: Path) -> None:
    """The first start of a server waits for each write."""
    script = "import sys; from pathlib import Path; from ostler.adapters.stores.sqlite_schema import open_database; "
    script += "open_database(Path(sys.argv[1])).close()"
    command = ["strace", "-f", "-y", "-e", "trace=fsync,fdatasync", sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert sum(f"<{path}" in line for line in done.stderr.splitlines()) == 1, done.stderr
    inspect(path)


async def test_an_empty_file_becomes_a_database(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert await names(path) == []
    inspect(path)


async def test_every_commit_is_synced_to_the_disk(path: Path) -> None:
    with closing(open_database(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)


async def test_closing_writes_what_was_accepted_and_refuses_the_rest(path: Path) -> None:
    opened: list[SqliteStore] = []
    # The store closes, before the tasks are waited for, while the commits that it accepted wait for their turn.
    async with anyio.create_task_group() as tasks, SqliteStore.open(path) as store:
        opened.append(store)
        for number in range(50):
            tasks.start_soon(store.commit, [put(f"{number:02}")])
        await anyio.lowlevel.checkpoint()
    with pytest.raises(StoreError, match="is closed; nothing was written"):
        await opened[0].commit([put("late")])
    with pytest.raises(StoreError, match="is closed"):
        await opened[0].load()
    assert await names(path) == [f"{number:02}" for number in range(50)]


async def test_accepted_commits_survive_the_cancellation_of_the_owner(path: Path) -> None:
    done: list[str] = []

    async def commit(store: SqliteStore, key: str) -> None:
        with anyio.CancelScope(shield=True):
            await store.commit([put(key)])
            done.append(key)

    with anyio.CancelScope() as scope:
        async with SqliteStore.open(path) as store, anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(commit, store, f"{number:02}")
            await anyio.lowlevel.checkpoint()
            scope.cancel()
    assert await names(path) == sorted(done)
    assert done


async def test_an_error_in_the_block_leaves_as_itself(path: Path) -> None:
    async def fail() -> None:
        async with SqliteStore.open(path) as store:
            await store.commit([put("a")])
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await fail()
    assert await names(path) == ["a"]


# -- crashes -----------------------------------------------------------------------------------------------


async def test_everything_acknowledged_survives_kill_9(path: Path) -> None:
    for lines in (700, 1500, 2600):
        acknowledged, cursors = await _kill_writer_after(path, lines)
        async with SqliteStore.open(path) as store:
            state = await store.load()
            assert check_database(path) == []
        stored = {record.id for record in state.services}
        assert acknowledged <= stored
        assert {record.service_id for record in state.open_operations} == stored
        assert state.last_cursor >= max(cursors)
        path.unlink()


async def _kill_writer_after(path: Path, lines: int) -> tuple[set[str], list[int]]:
    acknowledged: set[str] = set()
    cursors: list[int] = []
    output = b""
    async with await anyio.open_process(
        [sys.executable, str(HERE / "store_writer.py"), str(path)], stderr=None
    ) as child:
        assert child.stdout is not None
        with anyio.fail_after(30):
            async for chunk in child.stdout:
                output += chunk
                if output.count(b"\n") >= lines:
                    break
        child.send_signal(signal.SIGKILL)
        async for chunk in child.stdout:
            output += chunk
        await child.wait()
    for line in output.decode().splitlines()[:-1]:
        kind, _, key = line.partition(" ")
        if kind == "done":
            acknowledged.add(key)
        else:
            cursors.append(int(key))
    return acknowledged, cursors


async def test_a_crash_never_gives_out_a_cursor_twice_and_a_clean_end_leaves_no_gap(path: Path) -> None:
    async with SqliteStore.open(path) as store:
        store.append_events([Event(cursor, NOW, EventKind.WARNING) for cursor in range(1, 4)])
        await store.commit([])
        copy = path.with_name("crashed.db")
        # What a crash at this moment leaves: the copy is of a database that was not closed.
        await anyio.to_thread.run_sync(copy_database, path, copy)
    async with SqliteStore.open(path) as store:
        assert (await store.load()).last_cursor == 3
    async with SqliteStore.open(copy) as store:
        assert (await store.load()).last_cursor == CURSOR_RESERVE


async def test_events_are_written_soon_without_a_commit(path: Path) -> None:
    async with SqliteStore.open(path) as store:
        store.append_events([Event(1, NOW, EventKind.WARNING, "a")])
        with anyio.fail_after(60):
            while not (await store.load()).events:
                await anyio.sleep(0.02)


# -- refusals that leave the file untouched -------------------------------------------------------------------


async def _refused(path: Path, kind: type[StoreError], match: str) -> None:
    before = path.read_bytes()
    with pytest.raises(kind, match=match) as caught:
        await names(path)
    assert str(path) in str(caught.value)
    assert caught.value.next_actions
    assert path.read_bytes() == before
    assert {file.name for file in path.parent.iterdir()} <= {path.name, f"{path.name}-reserve"}


async def test_a_file_that_is_no_database_is_left_untouched(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"precious notes\n" * 500)
    await _refused(path, StoreCorruptError, "is not an SQLite database; it was left untouched")


async def test_a_damaged_database_is_left_untouched(path: Path) -> None:
    async with SqliteStore.open(path) as store:
        await store.commit([put(f"{number}") for number in range(300)])
    content = bytearray(path.read_bytes())
    content[8192:40960] = b"\xa5" * (40960 - 8192)
    path.write_bytes(content)
    await _refused(path, StoreCorruptError, "left untouched|damaged")


async def test_a_truncated_database_is_left_untouched(path: Path) -> None:
    async with SqliteStore.open(path) as store:
        await store.commit([put(f"{number}") for number in range(300)])
    path.write_bytes(path.read_bytes()[:20_000])
    await _refused(path, StoreCorruptError, "damaged")


async def test_a_database_of_another_program_is_left_untouched(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE recipes (name)")
    await _refused(path, StoreCorruptError, "is a database of another program")


async def test_a_newer_database_is_left_untouched(path: Path) -> None:
    assert await names(path) == []
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version=99")
    await _refused(path, StoreNewerError, "has schema version 99, and this Ostler knows 2")


async def test_a_record_of_the_wrong_shape_is_named(path: Path) -> None:
    async with SqliteStore.open(path) as store:
        await store.commit([put("a")])
    with closing(sqlite3.connect(path)) as vandal, vandal:
        vandal.execute("UPDATE services SET record = json_set(record, '$.args', 3)")
    async with SqliteStore.open(path) as store:
        with pytest.raises(StoreCorruptError, match="stored service 'sa' does not fit at 'args'"):
            await store.load()


# -- faults ------------------------------------------------------------------------------------------------


async def test_a_record_that_was_edited_takes_no_other_services_name(path: Path) -> None:
    async with SqliteStore.open(path) as store:
        await store.commit([put("1"), put("2")])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE services SET record = replace(record, '\"s2\"', '\"s1\"')")
    async with SqliteStore.open(path) as store:
        assert [record.name for record in (await store.load()).services] == ["s1", "s2"]


async def test_a_full_disk_refuses_whole_commits_and_the_store_goes_on_when_there_is_space(path: Path) -> None:
    done = await anyio.run_process([sys.executable, str(HERE / "store_full_disk.py"), str(path)], stderr=None)
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["acknowledged"][0] == "before"
    assert found["acknowledged"][-1] == "after"
    assert len(found["refused"]) == 10
    assert found["events"] == 1000
    expected = [part for key in found["acknowledged"] for part in (key, f"{key}-second")]
    assert found["stored"] == sorted(expected)
    assert found["readable"] == len(expected) - 2
    assert found["problems"] == []
    for message in found["messages"]:
        assert str(path) in message
        assert "could not be written: the disk reported an error" in message
        assert "Next: check the disk's space" in message


async def test_a_full_file_system_is_named_as_such(tmp_path: Path) -> None:
    with small_disk(tmp_path, "200k") as mount:
        async with SqliteStore.open(mount / "ostler.db") as store:
            await store.commit([put("first")])
            filler = mount / "filler"
            filler.write_bytes(b"x" * 60_000)
            with pytest.raises(StoreError, match=r"the disk is full .*Next: free space there") as caught:
                await store.commit([put(f"{number}") for number in range(1000)])
            assert str(mount / "ostler.db") in str(caught.value)
            filler.unlink()
            await store.commit([put("after")])
            assert "after" in [record.id for record in (await store.load()).services]


def operation(key: str, kind: OperationKind, outcome: OperationOutcome | None = None) -> PutOperation:
    ended = NOW if outcome is not None else None
    return PutOperation(OperationRecord(key, "1", "s1", kind, NOW, outcome=outcome, finished_at=ended))


async def test_room_is_kept_for_stops_and_deletes_on_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path, "5m") as mount:
        async with SqliteStore.open(mount / "ostler.db") as store:
            await store.commit([put("1")])
            fill(mount)
            with pytest.raises(StoreError, match="disk is full"):
                for number in range(20):
                    await store.commit([put("1"), operation(f"start{number}", OperationKind.START)])
            for number in range(20):
                key = f"stop{number}"
                await store.commit([put("1"), operation(key, OperationKind.STOP)])
                await store.commit([put("1"), operation(key, OperationKind.STOP, OperationOutcome.SUCCEEDED)])
            await store.commit([DropService("1"), operation("delete", OperationKind.DELETE)])
            assert (await store.load()).services == []


async def test_stops_and_deletes_are_recorded_while_another_program_takes_all_room_of_the_disk(tmp_path: Path) -> None:
    keys = [f"{number}" for number in range(16)]
    with small_disk(tmp_path, "16m") as mount:
        path = mount / "ostler.db"
        async with SqliteStore.open(path) as store:
            await store.commit([put(key) for key in keys])
        with kept_full(mount):
            for some in (keys[:8], keys[8:]):  # a server that was closed before, and one that ended on the full disk
                async with SqliteStore.open(path) as store:
                    with pytest.raises(StoreError, match="disk is full"):
                        await store.commit([put("1"), operation("start", OperationKind.START)])
                    for key in some:
                        stop = f"stop{key}"
                        await store.commit([put(key), operation(stop, OperationKind.STOP)])
                        await store.commit([put(key), operation(stop, OperationKind.STOP, OperationOutcome.SUCCEEDED)])
                        await store.commit([DropService(key), operation(f"delete{key}", OperationKind.DELETE)])
        async with SqliteStore.open(path) as store:
            await store.commit([put("after")])
            state = await store.load()
            assert [record.id for record in state.services] == ["after"]
            assert {record.id for record in state.open_operations} == {f"delete{key}" for key in keys}
            assert check_database(path) == []


async def test_a_log_that_was_kept_as_reserve_and_is_still_there_is_not_taken_for_room(path: Path) -> None:
    log, reserve = (path.with_name(path.name + end) for end in ("-wal", "-reserve"))
    async with SqliteStore.open(path) as store:
        await store.commit([put("a")])
        reserve.unlink()
        reserve.hardlink_to(log)  # as a close on a full disk leaves them if the log cannot be removed
        async with SqliteStore.open(path) as second:
            assert not reserve.samefile(log)
            assert 0 < reserve.stat().st_size < log.stat().st_size
            assert [record.id for record in (await second.load()).services] == ["a"]


def test_a_program_that_has_locked_the_database_is_named(path: Path) -> None:
    open_database(path).close()
    program = (
        "import sqlite3, sys; shell = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "shell.execute('BEGIN EXCLUSIVE'); print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-S", "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        assert shell.stdout.readline() == b"locked\n"
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
            with pytest.raises(sqlite3.OperationalError) as refused:
                connection.execute("BEGIN IMMEDIATE")
            error = translate(refused.value, path, "written")
    who = (
        rf"it is locked by python\S* \(pid {shell.pid}\)"
        if sys.platform == "linux"
        else "another program has locked it"
    )
    assert re.search(f"could not be written: {who}", str(error))
    assert "end what that program does with it" in str(error)


async def test_history_is_read_while_a_write_waits_for_another_programs_lock(path: Path) -> None:
    ended = OperationRecord(
        "o", "a", "sa", OperationKind.START, NOW, finished_at=NOW, outcome=OperationOutcome.SUCCEEDED
    )
    async with SqliteStore.open(path) as store:
        await store.commit([put("a"), PutOperation(ended)])
        with closing(sqlite3.connect(path, isolation_level=None)) as shell:
            shell.execute("BEGIN EXCLUSIVE")
            async with anyio.create_task_group() as group:
                group.start_soon(store.commit, [put("b")])
                await anyio.wait_all_tasks_blocked()
                assert [record.id for record in await store.operations("a")] == ["o"]
                shell.execute("ROLLBACK")  # the commit, which waited all the time, goes on
        assert {record.id for record in (await store.load()).services} == {"a", "b"}
    assert not path.with_name("ostler.db-wal").exists(), "the log is emptied by the last connection"


async def test_a_store_is_closed_after_a_read_of_history_that_still_opens_its_connection(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, may_open, readers = threading.Event(), threading.Event(), list[sqlite3.Connection]()

    def connect(path: Path) -> sqlite3.Connection:
        opening.set()
        assert may_open.wait(60)
        readers.append(connect_reader(path))
        return readers[0]

    monkeypatch.setattr(sqlite, "connect_reader", connect)
    async with anyio.create_task_group() as group, SqliteStore.open(path) as store:
        group.start_soon(store.operations, "a")
        await anyio.to_thread.run_sync(opening.wait, 60)
        closing_time = threading.Timer(0.1, may_open.set)  # the close waits for it, however long it takes
        closing_time.start()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        readers[0].execute("SELECT 1")
    assert not path.with_name("ostler.db-wal").exists()


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.touch()
    path = blocker / "ostler.db"
    with pytest.raises(StoreError, match="could not be opened") as caught:
        await names(path)
    assert str(path) in str(caught.value)
    assert caught.value.next_actions


async def test_a_folder_instead_of_the_file_is_named(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreError, match="is not a file"):
        await names(path)


async def test_a_read_only_folder_is_named_at_open(path: Path) -> None:
    with _freezable(path.parent) as freeze:
        freeze()
        await _refused_at_open(path)


async def test_a_database_in_a_read_only_folder_is_named_at_open(path: Path) -> None:
    with _freezable(path.parent) as freeze:
        assert await names(path) == []
        before = path.read_bytes()
        freeze()
        await _refused_at_open(path)
        assert path.read_bytes() == before


@contextmanager
def _freezable(folder: Path) -> Generator[Callable[[], None]]:
    """A folder, and how to make it read-only: by its mode, or for root, whom modes do not stop, by its mount."""
    folder.mkdir()
    if os.getuid() != 0:
        yield lambda: folder.chmod(0o555)
        folder.chmod(0o700)
        return
    mounted = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting needs privileges")
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,ro", folder], check=True) and None
    finally:
        subprocess.run(["umount", folder], check=True)


async def _refused_at_open(path: Path) -> None:
    with pytest.raises(StoreError, match=r"could not be (opened|written): .*\. Next: ") as caught:
        await names(path)
    assert str(path) in str(caught.value)
    assert not isinstance(caught.value, StoreCorruptError)


async def test_a_file_that_is_mostly_free_is_compacted_when_it_is_opened(path: Path) -> None:
    large = [replace(put(str(number)).record, args={"text": "x" * 200_000}) for number in range(100)]
    async with SqliteStore.open(path) as store:
        await store.commit([PutService(record) for record in large])
        await store.commit([put("kept"), *(DropService(record.id) for record in large)])
    before = path.stat().st_size
    assert before > COMPACT_BYTES
    assert await names(path) == ["kept"]
    assert path.stat().st_size < before / 10


# -- migrations --------------------------------------------------------------------------------------------


def _version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def test_migrations_are_numbered_without_a_gap() -> None:
    versions = [migration.version for migration in MIGRATIONS]
    assert versions == list(range(versions[0], versions[-1] + 1))


async def test_an_older_database_is_migrated_and_keeps_its_data(path: Path) -> None:
    async with SqliteStore.open(path) as store:
        await store.commit([put("a")])
    step = Migration(
        MIGRATIONS[-1].version + 1, ("ALTER TABLE services ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey'",)
    )
    with closing(open_database(path, (*MIGRATIONS, step))) as connection:
        assert connection.execute("SELECT id, colour FROM services").fetchall() == [("a", "grey")]
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert _version(path) == step.version
    with pytest.raises(StoreNewerError):
        await names(path)


async def test_a_key_is_looked_up_without_reading_the_other_operations(path: Path) -> None:
    await names(path)
    with closing(sqlite3.connect(path)) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {FIND_REQUEST}", ("a", "k1")).fetchall()
    assert [row[3].split()[0] for row in plan] == ["SEARCH", "SEARCH"], plan


async def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    assert await names(path) == []
    newest = MIGRATIONS[-1].version
    steps = (
        Migration(newest + 1, ("ALTER TABLE services ADD COLUMN colour TEXT",)),
        Migration(newest + 2, ("CREATE TABLE half (x)", "CREATE TABLE events (x)")),
    )
    with pytest.raises(StoreError, match="could not be opened"):
        open_database(path, (*MIGRATIONS, *steps))
    assert _version(path) == newest + 1
    with closing(sqlite3.connect(path)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    assert "half" not in tables


def test_migrating_twice_does_nothing(path: Path) -> None:
    with closing(open_database(path)) as connection:
        before = connection.total_changes
        migrate(connection)
        assert connection.total_changes == before


# -- copies ------------------------------------------------------------------------------------------------


async def test_a_backup_is_a_complete_private_store(path: Path) -> None:
    copy = path.parent / "backup.db"
    async with SqliteStore.open(path) as store, anyio.create_task_group() as tasks:
        await store.commit([put("a")])
        for number in range(20):
            tasks.start_soon(store.commit, [put(f"later{number}")])
        await anyio.to_thread.run_sync(copy_database, path, copy)
        with pytest.raises(AlreadyExistsError, match="already exists"):
            await anyio.to_thread.run_sync(copy_database, path, copy)
    assert "a" in await names(copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


async def test_a_backup_that_fails_leaves_nothing(path: Path, tmp_path: Path) -> None:
    async with SqliteStore.open(path):
        with pytest.raises(StoreError, match="could not be created"):
            await anyio.to_thread.run_sync(copy_database, path, tmp_path / "absent" / "backup.db")


async def test_an_export_is_everything_as_of_one_moment(path: Path) -> None:
    async with SqliteStore.open(path) as store:
        await store.commit([put(f"{number:03}") for number in range(450)])
        store.append_events([Event(1, NOW, EventKind.WARNING, "a", "hello")])
        await store.commit([])
        lines: list[dict[str, Any]] = []
        async for line in store.export():
            if not lines:
                await store.commit([put("later")])
            lines.append(line)
    assert lines[0] == {"type": "header", "format": "ostler-export", "schemaVersion": MIGRATIONS[-1].version}
    assert [line["type"] for line in lines[1:]] == ["service"] * 450 + ["event"]
    assert lines[1]["record"]["className"] == "c"
    assert lines[-1]["record"]["message"] == "hello"
    json.dumps(lines)


async def test_a_check_finds_damage(path: Path) -> None:
    async with SqliteStore.open(path) as store:
        await store.commit([put(f"{number}") for number in range(300)])
        assert check_database(path) == []
        copy = path.with_name("damaged.db")
        await anyio.to_thread.run_sync(copy_database, path, copy)
    content = bytearray(copy.read_bytes())
    content[8200:9000] = b"\xa5" * 800
    copy.write_bytes(content)
    found: list[str] = []
    try:
        found += check_database(copy)
    except StoreCorruptError as exc:
        found.append(str(exc))
    assert found


@pytest.mark.parametrize("how", ["deleted", "replaced", "emptied", "folder deleted"])
async def test_files_that_someone_took_away_are_noticed_at_the_next_commit(path: Path, how: str) -> None:
    async with SqliteStore.open(path) as store:
        await store.commit([put("1")])
        match how:
            case "deleted":
                path.unlink()
            case "replaced":
                path.rename(path.with_name("aside"))
                path.write_bytes(b"")
            case "emptied":
                os.truncate(path, 0)
            case _:
                shutil.rmtree(path.parent)
        said = f"'ostler.db(-wal)?' was {how.removeprefix('folder ')} under the running server"
        for _ in range(2):
            with pytest.raises(StoreError, match=said):
                await store.commit([put("2")])
