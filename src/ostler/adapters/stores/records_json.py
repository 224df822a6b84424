"""Records as JSON text and back: camelCase keys, RFC 3339 UTC times.

The forms follow the structs of `ostler.model.records` and `ostler.model.events`, so a field added there is stored
without a change here. Reading tolerates absent keys that have a default (older files), ignores keys that it does not
know, and is strict about types: a stored value of the wrong type is `StoreCorruptError`.
"""

import json
import re
from datetime import datetime
from functools import lru_cache
from typing import Final, Generic, TypeVar, cast

from msgspec import DecodeError, Raw, Struct, ValidationError, convert
from msgspec.json import Decoder, Encoder
from msgspec.structs import astuple, replace
from pydantic_core import to_json

from ostler.model.errors import StoreCorruptError, StoreError
from ostler.model.events import Event
from ostler.model.json import JsonObject, parse_json
from ostler.model.moments import format_time
from ostler.model.records import OperationRecord, ServiceRecord

_T = TypeVar("_T", bound=Struct)


_ENCODE: Final = Encoder().encode


def _plain(record: object) -> JsonObject:
    """Return the fields of a struct by their stored names, with times as text; the structs in it stay as they are.

    Raises:
        TypeError: it is not a struct.
    """
    if not isinstance(record, Struct):
        raise TypeError(f"a value of type {type(record).__name__}")
    values = zip(record.__struct_encode_fields__, astuple(record), strict=True)
    return {name: format_time(value) if isinstance(value, datetime) else value for name, value in values}


_PYTHONS: Final = json.JSONEncoder(separators=(",", ":"), default=_plain)


def _nulls(record: Struct, parts: tuple[str, ...]) -> int:
    """Return how many nulls the text of `record` has, if none is in a JSON value; `parts` have structs of their own."""
    count = astuple(record).count(None)
    for part in parts:
        for inner in getattr(record, part):
            count += _nulls(inner, ())
    return count


def decode(text: str, what: str) -> JsonObject:
    """Return the JSON object in `text`; `what` names the record for errors.

    Raises:
        StoreCorruptError: the text is not a JSON object.
    """
    try:
        value: object = parse_json(text)
    except ValueError as exc:
        raise _corrupt(what, f"is not JSON ({exc})") from exc
    if not isinstance(value, dict):
        raise _corrupt(what, "is not a JSON object")
    return cast("JsonObject", value)


class RecordForm(Generic[_T]):
    """The stored form of one kind of record: a JSON object as compact text."""

    def __init__(self, kind: type[_T], what: str, parts: tuple[str, ...] = ()) -> None:
        """Make the form of one kind of record.

        Args:
            kind: the record's class.
            what: names the kind of record in errors.
            parts: the fields that hold tuples of other structs.
        """
        self._kind = kind
        self._what = what
        self._parts = parts
        self._decoder: Decoder[_T] | None = None  # made at the first use: it reads what every field may be

    def write(self, record: _T) -> str:
        """Return the text of `record`.

        NaN and infinity are kept. msgspec writes them as null, so it counts only for a text without other nulls than
        those of absent fields: `json` writes what is left, in ten times the time.

        Raises:
            StoreError: a value in it is not JSON.
        """
        try:
            text = self._quick(record)
        except (TypeError, ValueError, RecursionError):
            text = ""  # `json` takes more, such as half of a surrogate pair
        if text:
            return text
        try:
            return _PYTHONS.encode(record)
        except (TypeError, ValueError, RecursionError) as exc:
            raise StoreError(
                f"a record holds a value that is not JSON ({exc}); nothing was written",
                next_actions=("pass only JSON values (objects, arrays, strings, numbers, booleans, null)",),
            ) from exc

    def _quick(self, record: _T, nulls: int = 0) -> str:
        """Return the text of `record` by msgspec, empty if it may lack a number; `nulls` are in its JSON values."""
        text = _ENCODE(record)
        if b"null" in text and text.count(b"null") != nulls + _nulls(record, self._parts):
            return ""
        return text.decode()

    def read(self, text: str) -> _T:
        """Return the record in `text`.

        Raises:
            StoreCorruptError: it is not a JSON object, or a value is missing or of the wrong type.
        """
        if self._decoder is None:
            self._decoder = Decoder(self._kind)
        try:
            return self._decoder.decode(text)
        except (DecodeError, RecursionError, UnicodeEncodeError):
            pass  # it does not fit, or has a number or half of a surrogate pair that only Python's own reader takes
        data = decode(text, self._what)
        try:
            return convert(data, self._kind)
        except ValidationError as exc:
            label = data.get("name") or data.get("id") or data.get("cursor") or ""
            raise _corrupt(f"{self._what} {label!r}", _misfit(str(exc))) from None


class _ServiceForm(RecordForm[ServiceRecord]):
    """The stored form of services. The text of a class's manifest is cached, because all its services share it.

    Each operation writes its service at least twice, and the manifest is 95 % of the largest shipped class's: 20 µs
    instead of 68.
    """

    def _quick(self, record: ServiceRecord, nulls: int = 0) -> str:
        manifest, inner = _manifest_text(_Shared(record.class_manifest))
        return super()._quick(replace(record, class_manifest=manifest), nulls + inner)

    def read_as(self, name: str, text: str) -> ServiceRecord:
        """Return the record in `text` under the name of its row: no two rows share one, and a record may be edited.

        Raises:
            StoreCorruptError: see `RecordForm.read`.
        """
        record = self.read(text)
        return record if record.name == name else replace(record, name=name)


class _Shared:
    """A value that is looked up by its identity, not by its content; it is kept, so that no other gets its id."""

    __slots__ = ("value",)

    def __init__(self, value: JsonObject) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shared) and self.value is other.value


@lru_cache(maxsize=64)
def _manifest_text(manifest: _Shared) -> tuple[Raw, int]:
    """Return the text of a manifest, and how often it has null in it."""
    text = to_json(manifest.value, inf_nan_mode="constants")
    return Raw(text), text.count(b"null")


_PLACE: Final = re.compile(r" - at `\$\.?(.*)`$")


def _misfit(problem: str) -> str:
    """Return what does not fit, and where; never the value itself, which may be a secret."""
    place = _PLACE.search(problem)
    what = re.sub(r" '.*'$", "", problem[: place.start()] if place else problem, flags=re.DOTALL).replace("`", "")
    where = f" at {place[1]!r}" if place else ""
    return f"does not fit{where}: {what[:1].lower()}{what[1:]}"


def _corrupt(what: str, problem: str) -> StoreCorruptError:
    return StoreCorruptError(
        f"stored {what} {problem}",
        next_actions=("restore a backup of the state folder, or start with an empty one (--state)",),
    )


SERVICE: Final = _ServiceForm(ServiceRecord, "service", ("stop_plan", "delete_plan"))
OPERATION: Final = RecordForm(OperationRecord, "operation", ("calls",))
EVENT: Final = RecordForm(Event, "event")
