"""The events of one service and of all services, kept small: older ones are compressed."""

import json
import zlib
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Final, NamedTuple, TypeAlias

from msgspec.json import Encoder
from msgspec.structs import astuple

from ostler.model.events import Event, EventKind
from ostler.model.json import JsonObject, encoded


class HistoryParts(NamedTuple):
    """What the history of a service is made of.

    Attributes:
        packs: (events in it, packed), oldest first.
        skipped: events at the beginning of the first pack that are beyond the limit.
        recent: events that are not packed.
        ended_at: cursor of the last event before the first pack.
    """

    packs: tuple[tuple[int, bytes], ...]
    skipped: int
    recent: tuple[Event, ...]
    ended_at: int


_Row: TypeAlias = tuple[int, str, str, str, str, JsonObject]
"""The fields of an event, as JSON has them."""

_ENCODE: Final = Encoder().encode

_RECENT = 24
"""Events that are kept unpacked, at most: a create, a stop and a delete make 17, and packing takes 5 % of a delete."""

_STALE = 2
"""Of these, that are not among the unpacked events of all services any more: each is 235 bytes that no one shares."""

_STALE_AND_BUSY = 16
"""The same for a service whose newest events are still among those: most are packed once then, when it is calm. With 32
clients at work, a create and delete packed six times, which took 65 µs more."""

_PACKED = 64
"""Events in one pack, at most; they share words, so that a full pack takes about 25 bytes an event. Fifty in one pack
take 430 bytes less than in two."""


class ServiceHistory:
    """The newest events of one service, oldest first, at most `limit`."""

    __slots__ = ("_ended_at", "_limit", "_packs", "_recent", "_service", "_skipped")

    def __init__(self, service: str, limit: int) -> None:
        self._service = service
        self._limit = limit
        self._packs: list[tuple[int, bytes]] = []
        """(events in it, packed), oldest first."""
        self._skipped = 0
        """Events at the beginning of the first pack that are beyond the limit."""
        self._recent: list[Event] = []
        self._ended_at = 0
        """Cursor of the last event before the first pack."""

    def __len__(self) -> int:
        return sum(count for count, _ in self._packs) - self._skipped + len(self._recent)

    @property
    def parts(self) -> HistoryParts:
        """All parts of the history, for a copy."""
        return HistoryParts(tuple(self._packs), self._skipped, tuple(self._recent), self._ended_at)

    @classmethod
    def of(cls, service: str, limit: int, parts: HistoryParts) -> "ServiceHistory":
        """Return the history of `service` from the `parts` of another one."""
        self = cls(service, limit)
        self._packs, self._recent = list(parts.packs), list(parts.recent)
        self._skipped, self._ended_at = parts.skipped, parts.ended_at
        return self

    @property
    def dropped_until(self) -> int:
        """Cursor of the newest event that is beyond the limit; 0 while there is none."""
        return _unpack(self._packs[0][1])[self._skipped - 1][0] if self._skipped else self._ended_at

    def add(self, event: Event) -> None:
        """Append the newest event."""
        self._recent.append(event)
        count = len(self._recent)
        if (self._packs or count > self._limit) and len(self) > self._limit:
            self._drop_oldest()
            count = len(self._recent)
        if count > _RECENT:
            self._pack(count)

    def settle(self, cursor: int) -> None:
        """Pack the events until `cursor`, which only this service holds from now on."""
        stale = bisect_right(self._recent, cursor, key=attrgetter("cursor"))
        if stale > (_STALE if stale == len(self._recent) else _STALE_AND_BUSY):
            self._pack(stale)

    def newest_first(self) -> Iterator[Event]:
        """Yield the events, unpacking no more than what is asked for."""
        yield from reversed(self._recent)
        for position in range(len(self._packs) - 1, -1, -1):
            rows = _unpack(self._packs[position][1])
            skipped = self._skipped if position == 0 else 0
            for row in reversed(rows[skipped:]):
                yield _event_of(row)

    def _drop_oldest(self) -> None:
        """Drop one; a pack is not opened before all of it is to go: 100 µs for each event of a service with many."""
        if not self._packs:
            self._ended_at = self._recent.pop(0).cursor
            return
        count, packed = self._packs[0]
        self._skipped += 1
        if self._skipped == count:
            self._ended_at = _unpack(packed)[-1][0]
            del self._packs[0]
            self._skipped = 0

    def _pack(self, count: int) -> None:
        text, self._recent = _text_of(self._recent[:count]), self._recent[count:]
        if self._packs and self._packs[-1][0] + count <= _PACKED:
            earlier, packed = self._packs.pop()
            count, text = earlier + count, zlib.decompress(packed) + b"," + text
        self._packs.append((count, _compress(text)))


class _Pack(NamedTuple):
    """Some events of many services; where their cursors have no gap, a range says them all."""

    cursors: Sequence[int]
    packed: bytes


_UNPACKED = 1_024
"""Events of all services that are kept unpacked: who follows what happens reads no others."""

_SHARED_PACK = 64
"""Events of all services in one pack: 0.2 ms to pack, 20 bytes an event instead of 450."""


class AllEvents:
    """The newest events of all services, oldest first, at most `limit`."""

    def __init__(
        self,
        limit: int,
        events: Iterable[Event] = (),
        *,
        unpacked: int = _UNPACKED,
        on_packed: Callable[[Sequence[Event]], None] | None = None,
    ) -> None:
        """Hold `events`, oldest first; those that are too many to be held unpacked are packed with those that come.

        `on_packed` is called with those that were.
        """
        self._on_packed = on_packed
        self._limit = limit
        self._unpacked = unpacked
        self._packs: deque[_Pack] = deque()
        self._packed = 0
        """Events in the packs that are not beyond the limit."""
        self._skipped = 0
        """Events at the beginning of the first pack that are beyond the limit."""
        self._recent = list(events)

    def __len__(self) -> int:
        return self._packed + len(self._recent)

    def add(self, event: Event) -> int:
        """Append the newest event; return the cursor of the event that is dropped for it, 0 while there is room."""
        self._recent.append(event)
        count = len(self._recent)
        if count >= self._unpacked + _SHARED_PACK:
            self._pack()
            count -= _SHARED_PACK
        return self._drop_oldest() if self._packed + count > self._limit else 0

    def after(self, cursor: int) -> Iterator[Event]:
        """Yield the events after `cursor`, oldest first, unpacking no more than what is asked for."""
        if self._packs and (not self._recent or cursor < self._recent[0].cursor):
            for position, pack in enumerate(list(self._packs)):
                if pack.cursors[-1] > cursor:
                    rows = _unpack(pack.packed)[self._skipped if position == 0 else 0 :]
                    yield from (_event_of(row) for row in rows if row[0] > cursor)
        yield from self._recent[bisect_right(self._recent, cursor, key=attrgetter("cursor")) :]

    def newest_first(self) -> Iterator[Event]:
        """Yield the events, newest first, unpacking no more than what is asked for."""
        yield from reversed(self._recent)
        for position in range(len(self._packs) - 1, -1, -1):
            rows = _unpack(self._packs[position].packed)[self._skipped if position == 0 else 0 :]
            yield from map(_event_of, reversed(rows))

    def _pack(self) -> None:
        events, self._recent = self._recent[:_SHARED_PACK], self._recent[_SHARED_PACK:]
        first, last = events[0].cursor, events[-1].cursor
        is_whole = last - first == len(events) - 1
        cursors = range(first, last + 1) if is_whole else tuple(event.cursor for event in events)
        self._packs.append(_Pack(cursors, _compress(_text_of(events))))
        self._packed += len(events)
        if self._on_packed is not None:
            self._on_packed(events)

    def _drop_oldest(self) -> int:
        if not self._packs:
            return self._recent.pop(0).cursor
        cursors = self._packs[0].cursors
        dropped = cursors[self._skipped]
        self._skipped += 1
        self._packed -= 1
        if self._skipped == len(cursors):
            self._packs.popleft()
            self._skipped = 0
        return dropped


def _text_of(events: Sequence[Event]) -> bytes:
    """Return the rows of `events` as JSON, without the brackets around them.

    msgspec takes a quarter of the time that `encoded` does, but writes NaN as null.
    """
    rows = [astuple(event) for event in events]
    try:
        text = _ENCODE(rows)
    except (TypeError, ValueError, RecursionError):  # half of a surrogate pair, or what is not JSON
        text = b""
    return (encoded(rows) if b"null" in text or not text else text)[1:-1]


def _event_of(row: _Row) -> Event:
    cursor, at, kind, service, message, data = row
    return Event(cursor, datetime.fromisoformat(at), EventKind(kind), service, message, data)


def _compress(text: bytes) -> bytes:
    """Return a few KiB compressed: by a compressor that takes 20 KiB, not 260 KiB of fresh memory (14 µs, not 280)."""
    compressor = zlib.compressobj(3, zlib.DEFLATED, 12, 5)
    return compressor.compress(text) + compressor.flush()


def _unpack(packed: bytes) -> list[_Row]:
    rows: list[_Row] = json.loads(b"[" + zlib.decompress(packed) + b"]")
    return rows
