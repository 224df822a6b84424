"""Taking over what an earlier Ostler started: the records read, and what still runs found again."""

from collections.abc import Mapping
from datetime import UTC, datetime

import psutil
from msgspec.structs import asdict

from ostler.adapters.process.known_process import Entry
from ostler.adapters.process.records import ProcessRecord, RecordFolder
from ostler.adapters.process.trees import Birth, Liveness, all_bearers, leader_of, liveness
from ostler.model.marks import KEEPER_VARIABLE


def load_entries(folder: RecordFolder) -> dict[str, Entry]:
    """Read the folder, find out what still runs, and return it by key. Blocks.

    Raises:
        StoreError: the folder cannot be used.
    """
    folder.prepare()
    records = list(folder.load())
    unresolved = any(record.pid is None and record.exited_at is None for record in records)
    bearers = all_bearers() if unresolved else {}
    folder.forget_endings({record.token for record in records if record.exited_at is None})
    folder.forget_logs(record.key for record in records)
    return {record.key: _adopted(record, folder, bearers) for record in records}


def _adopted(record: ProcessRecord, folder: RecordFolder, bearers: Mapping[str, list[psutil.Process]]) -> Entry:
    entry = Entry(record, folder.endings_path(record.token))
    if record.exited_at is not None:
        return entry
    if record.pid is None:
        # The spawn was under way when Ostler died: the token shows whether it took place.
        leader = leader_of(bearers.get(record.token, []))
        found = {} if leader is None else birth_of(leader.pid)
        if leader is None or not found:
            entry.update(exited_at=datetime.now(UTC))
            return entry
        entry.update(pid=leader.pid, **found, **_keeper_above(leader, record.token))
    seen, process = liveness(entry.record)
    if seen is Liveness.ALIVE:
        entry.process = process
    elif seen is Liveness.GONE:
        entry.process = process  # a zombie, perhaps ours to reap
        entry.refresh()
    return entry


def birth_of(pid: int) -> dict[str, float | None]:
    """Return the fields of the birth of `pid`; empty when it is gone, or no file is free to read them."""
    try:
        return asdict(Birth.of(psutil.Process(pid)))
    except (psutil.Error, OSError):
        return {}


def _keeper_above(leader: psutil.Process, token: str) -> dict[str, object]:
    try:
        keeper = leader.parent()
        if keeper is None or keeper.environ().get(KEEPER_VARIABLE) != token:
            return {}
    except psutil.Error:
        return {}
    return keeper_facts(keeper.pid)


def keeper_facts(pid: int) -> dict[str, object]:
    """Return the fields of a record for the keeper `pid`."""
    return {"keeper": pid, **{f"keeper_{name}": value for name, value in birth_of(pid).items()}}
