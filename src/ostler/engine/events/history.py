"""The events of one service, kept small: the newest as they are, older ones packed."""

import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TypeAlias

from ostler.model.events import Event, EventKind
from ostler.model.json import JsonObject

Parts: TypeAlias = tuple[tuple[tuple[int, bytes], ...], int, tuple[Event, ...], int]
"""What a history is made of: packs with the events in each, events of the first one that are beyond the limit, events
that are not packed, and the cursor before the first pack."""

_Row: TypeAlias = tuple[int, float, str, str, JsonObject]

_RECENT = 8
"""Events that are kept unpacked, at most."""

_PACKED = 32
"""Events in one pack, at most; they share words, so that a full pack takes about 25 bytes an event."""


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
    def parts(self) -> Parts:
        """Everything in it, as it is now."""
        return tuple(self._packs), self._skipped, tuple(self._recent), self._ended_at

    @classmethod
    def of(cls, service: str, limit: int, parts: Parts) -> "ServiceHistory":
        """Return the history of `service` that had those `parts`."""
        self = cls(service, limit)
        packs, self._skipped, recent, self._ended_at = parts
        self._packs, self._recent = list(packs), list(recent)
        return self

    @property
    def dropped_until(self) -> int:
        """Cursor of the newest event that is beyond the limit; 0 while there is none."""
        return _unpack(self._packs[0][1])[self._skipped - 1][0] if self._skipped else self._ended_at

    def add(self, event: Event) -> None:
        """Take in the newest event."""
        self._recent.append(event)
        if len(self) > self._limit:
            self._drop_oldest()
        if len(self._recent) > _RECENT:
            self._pack()

    def newest_first(self) -> Iterator[Event]:
        """Yield the events, unpacking no more than what is asked for."""
        yield from reversed(self._recent)
        for position in range(len(self._packs) - 1, -1, -1):
            rows = _unpack(self._packs[position][1])
            skipped = self._skipped if position == 0 else 0
            for row in reversed(rows[skipped:]):
                yield self._event(row)

    def _event(self, row: _Row) -> Event:
        cursor, at, kind, message, data = row
        return Event(cursor, datetime.fromtimestamp(at, UTC), EventKind(kind), self._service, message, data)

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

    def _pack(self) -> None:
        rows: list[_Row] = [
            (event.cursor, event.at.timestamp(), event.kind.value, event.message, event.data) for event in self._recent
        ]
        count, text = len(rows), _ENCODE(rows)[1:-1].encode("utf-8", "surrogatepass")
        if self._packs and self._packs[-1][0] + count <= _PACKED:
            earlier, packed = self._packs.pop()
            count, text = earlier + count, zlib.decompress(packed) + b"," + text
        self._packs.append((count, _compress(text)))
        self._recent = []


def _compress(text: bytes) -> bytes:
    """Return a few KiB compressed: by a compressor that takes 20 KiB, not 260 KiB of fresh memory (14 µs, not 280)."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, 12, 5)
    return compressor.compress(text) + compressor.flush()


_ENCODE = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=str).encode


def _unpack(packed: bytes) -> list[_Row]:
    rows: list[_Row] = json.loads(b"[" + zlib.decompress(packed) + b"]")
    return rows
