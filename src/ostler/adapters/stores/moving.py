"""Moving everything from one store to an empty one: from the file to PostgreSQL, or back."""

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import anyio
from msgspec import Struct

from ostler.adapters.stores.choice import StorePlace, node_of, postgresql_store
from ostler.adapters.stores.records_json import EVENT, OPERATION, SERVICE
from ostler.adapters.stores.retention import Retention
from ostler.adapters.stores.sqlite import SqliteStore
from ostler.engine.protocols import Change, PutOperation, PutService, Store
from ostler.model.errors import AlreadyExistsError, NotFoundError, StoreError
from ostler.model.json import JsonObject

if TYPE_CHECKING:
    from ostler.model.events import Event

logger = logging.getLogger(__name__)

_ALL: Final = Retention(*([10**9] * 4))
"""Nothing is dropped on the way."""

_AT_ONCE: Final = 200
"""Records in one commit."""

_CLEARING: Final = 30.0
"""Seconds to empty the target again."""


class _MovableStore(Store, Protocol):
    """A store that can be read as a whole, and go on after another one's events."""

    def export(self) -> AsyncIterator[JsonObject]: ...

    def continue_from(self, cursor: int) -> None: ...


class Moved(Struct, frozen=True):
    """What was moved, by its sort, and where the source was put aside."""

    counts: dict[str, int]
    aside: str


async def move_store(source: StorePlace, target: StorePlace) -> Moved:
    """Copy everything from `source` to `target`, then put `source` aside under another name.

    No server may run on the state folder meanwhile; a database that a server elsewhere holds is refused.

    Raises:
        NotFoundError: there is nothing at `source`.
        AlreadyExistsError: there is something at `target`.
        StoreError: one of them cannot be used; then `source` is as it was, and `target` empty.
    """
    if not source.url and not source.path.exists():
        raise NotFoundError("database", str(source), next_actions=("there is nothing to move",))
    if not target.url and target.path.exists():
        raise AlreadyExistsError(
            f"there is a database at {target} already", next_actions=("move it away or remove it, then ask again",)
        )
    if source.url:
        await _check_source(source)
    async with _opened(source) as old:
        counts = await _copy(old, target)
    return Moved(counts, await _put_aside(source))


async def _check_empty(new: Store, target: StorePlace) -> None:
    found = await new.load()
    if found.services or found.open_operations or found.events:
        raise AlreadyExistsError(f"the database {str(target)!r} is not empty", next_actions=("use an empty one",))


async def _copy(old: _MovableStore, target: StorePlace) -> dict[str, int]:
    was_empty = not target.url
    try:
        async with _opened(target) as new:
            await _check_empty(new, target)
            was_empty = True
            counts = await _write_all(old, new)
            new.continue_from((await old.load()).last_cursor)
    except BaseException:
        # Only now that it is closed: a commit that was interrupted may have been written all the same.
        if was_empty:
            with anyio.move_on_after(_CLEARING, shield=True):
                await _clear(target)
        raise
    return counts


async def _write_all(old: _MovableStore, new: Store) -> dict[str, int]:
    counts = {"services": 0, "operations": 0, "events": 0}
    changes: list[Change] = []
    events: list[Event] = []

    async def flush() -> None:
        new.append_events(events)
        await new.commit(changes)
        changes.clear()
        events.clear()

    async for item in old.export():
        if item["type"] == "header":
            continue
        text = json.dumps(item["record"])
        match item["type"]:
            case "service":
                changes.append(PutService(SERVICE.read(text)))
            case "operation":
                changes.append(PutOperation(OPERATION.read(text)))
            case _:
                events.append(EVENT.read(text))
        counts[f"{item['type']}s"] += 1
        if len(changes) + len(events) >= _AT_ONCE:
            await flush()
    await flush()
    return counts


@asynccontextmanager
async def _opened(place: StorePlace) -> AsyncGenerator[_MovableStore]:
    if not place.url:
        async with SqliteStore.open(place.path, retention=_ALL) as file:
            yield file
        return
    store = postgresql_store()
    from ostler.adapters.stores.postgresql_hold import Holder  # noqa: PLC0415 (an extra)

    holder = Holder.of_this_process(node_of(place.path.parent), "a move")
    async with store.open(place.url, holder, retention=_ALL) as database:
        yield database


async def _check_source(source: StorePlace) -> None:
    """Raise NotFoundError when Ostler has no tables there: opening would make them."""
    postgresql_store()
    from ostler.adapters.stores import postgresql_copies  # noqa: PLC0415 (an extra)

    await postgresql_copies.require_tables(source.url)


async def _clear(target: StorePlace) -> None:
    """Make `target` empty again; where that cannot be done, the log says why."""
    if not target.url:
        _remove_file(target.path)
        return
    from ostler.adapters.stores import postgresql_copies  # noqa: PLC0415 (an extra)

    try:
        await postgresql_copies.clear(target.url, node_of(target.path.parent))
    except StoreError as error:
        logger.warning("what had already been moved was left there: %s", error)


async def _put_aside(source: StorePlace) -> str:
    stamp = datetime.now(UTC).strftime("%Y%m%d_%H%M%S")
    if source.url:
        from ostler.adapters.stores import postgresql_copies  # noqa: PLC0415 (an extra)

        return await postgresql_copies.rename_schema(source.url, f"ostler_moved_{stamp}")
    aside = source.path.with_name(f"{source.path.name}.moved_{stamp}")
    # While another program reads the database, the newest commits are in its log alone.
    with suppress(FileNotFoundError):
        source.path.with_name(f"{source.path.name}-wal").rename(f"{aside}-wal")
    source.path.rename(aside)
    _remove_file(source.path)
    return str(aside)


def _remove_file(path: Path) -> None:
    for end in ("", "-wal", "-shm", "-reserve"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + end).unlink()
