"""The lines in which a server sends its messages: a size limit for each, and what an oversized line was about."""

import json
import re
from dataclasses import dataclass, field
from typing import Final, cast

from msgspec import Struct

from ostler.model.json import JsonObject, JsonValue

_HEAD_BYTES: Final = 64 * 1024
_TAIL_BYTES: Final = 1024
_SAMPLE_CHARS: Final = 120
_KEY_OR_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR = re.compile(rb'\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|true|false|null)', re.DOTALL)
_ID_AT_END = re.compile(rb'[,{]\s*"id"\s*:\s*("(?:[^"\\]|\\.)*"|\d+)\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$')


class OversizedLine(Struct, frozen=True):
    """A line beyond the limit, dropped. `fields` are the top-level scalars that were read, such as `id`."""

    fields: dict[str, JsonValue]
    size: int
    complete: bool
    """False: the limit was just passed and the rest is still to come; True: the line's end, seen once more."""


class LineSplitter:
    """Splits a byte stream into lines, never keeping more than `limit` bytes of one; `with_empty`: also empty lines."""

    def __init__(self, limit: int, *, with_empty: bool = False) -> None:
        self._limit = limit
        self._with_empty = with_empty
        self._parts: list[bytes] = []
        self._size = 0
        self._dropping = False
        self._tail = b""

    def feed(self, chunk: bytes) -> list[bytes | OversizedLine]:
        """Return what `chunk` completed: whole lines without their newline, and news of oversized ones."""
        found: list[bytes | OversizedLine] = []
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._take(chunk[start:end], found)
            self._end_line(found)
            start = end + 1
        self._take(chunk[start:], found)
        return found

    def _take(self, piece: bytes, found: list[bytes | OversizedLine]) -> None:
        if not piece:
            return
        self._size += len(piece)
        if self._dropping:
            self._tail = (self._tail + piece)[-_TAIL_BYTES:]
            return
        self._parts.append(piece)
        if self._size <= self._limit:
            return
        kept = b"".join(self._parts)
        self._parts.clear()
        self._dropping = True
        self._tail = kept[-_TAIL_BYTES:]
        found.append(OversizedLine(top_level_scalars(kept[:_HEAD_BYTES]), self._size, complete=False))

    def _end_line(self, found: list[bytes | OversizedLine]) -> None:
        if self._dropping:
            found.append(OversizedLine(id_at_end(self._tail), self._size, complete=True))
        elif self._parts or self._with_empty:
            found.append(b"".join(self._parts))
        self._parts.clear()
        self._size = 0
        self._dropping = False
        self._tail = b""


def message_id(line: bytes) -> int | str | None:
    """Return the id of a message that cannot be read as a whole; None where none is found at its beginning or end."""
    found = top_level_scalars(line[:_HEAD_BYTES]).get("id", id_at_end(line[-_TAIL_BYTES:]).get("id"))
    return found if isinstance(found, int | str) and not isinstance(found, bool) else None


def refused_for_size(line: OversizedLine, limit: int) -> tuple[int | str, str] | None:
    """Return the request that `line` answers, and why it is not answered; None when it is no answer."""
    request_id = line.fields.get("id")
    if not isinstance(request_id, int | str) or isinstance(request_id, bool) or "method" in line.fields:
        return None
    size = f"{line.size} bytes" if line.complete else f"more than {limit} bytes"
    return request_id, f"the answer has {size}, the limit is {limit}"


def unreadable_answer(line: bytes) -> tuple[int | str, str] | None:
    """Return whose answer a line is that does not follow JSON-RPC, and what is wrong with it; None: it is no answer."""
    try:
        message: JsonValue = json.loads(line)
    except RecursionError:
        key = None if "method" in top_level_scalars(line[:_HEAD_BYTES]) else message_id(line)
        return None if key is None else (key, "it is nested too deeply")
    except ValueError:
        return None
    if not isinstance(message, dict) or "method" in message:
        return None
    found = cast("JsonObject", message)
    request_id, key = found.get("id"), next((key for key in ("error", "result") if key in found), None)
    if key is None or not isinstance(request_id, int | str) or isinstance(request_id, bool):
        return None
    shown = json.dumps(found[key])
    shown = shown[:_SAMPLE_CHARS] + ("…" if len(shown) > _SAMPLE_CHARS else "")
    if key == "result" and isinstance(found[key], dict):  # what keeps its reader from it is inside
        return request_id, f"its 'result' is nested too deeply, or has half of a surrogate pair: {shown}"
    return request_id, f"its {key!r} is {shown}"


def id_at_end(tail: bytes) -> dict[str, JsonValue]:
    """Return the `id` at the end of a JSON object; nothing where there is none that can be read."""
    match = _ID_AT_END.search(tail)
    try:
        return {"id": json.loads(match[1])} if match else {}
    except ValueError:
        return {}


def top_level_scalars(head: bytes) -> dict[str, JsonValue]:
    """Return the keys with scalar values at the top level of a JSON object whose beginning alone is known."""
    found: dict[str, JsonValue] = {}
    depth = 0
    at = 0
    while at < len(head):
        byte = head[at : at + 1]
        if byte == b'"':
            string = _KEY_OR_STRING.match(head, at)
            if string is None:
                break
            at = string.end()
            if depth == 1 and (scalar := _SCALAR.match(head, at)):
                try:
                    found[json.loads(string[0])] = json.loads(scalar[1])
                except ValueError:
                    break
                at = scalar.end()
            continue
        depth += (byte in (b"{", b"[")) - (byte in (b"}", b"]"))
        at += 1
    return found


@dataclass(slots=True)
class StdoutNoise:
    """Lines on stdout that are not MCP messages: how many, and the first as a sample."""

    count: int = 0
    sample: str = field(default="", repr=False)

    def add(self, line: bytes) -> None:
        """Count `line`."""
        self.count += 1
        if not self.sample:
            text = line[: _SAMPLE_CHARS * 4].decode("utf-8", "replace").strip()
            self.sample = text[:_SAMPLE_CHARS] + ("…" if len(text) > _SAMPLE_CHARS else "")

    def describe(self) -> str:
        """Return a sentence about it, or the empty text when there was none."""
        if not self.count:
            return ""
        lines = "1 line" if self.count == 1 else f"{self.count} lines"
        verb = "is not an MCP message" if self.count == 1 else "are not MCP messages"
        return f"the server wrote {lines} to stdout that {verb}, e.g. {self.sample!r}"
