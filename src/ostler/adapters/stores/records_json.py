"""Records as JSON objects and back: camelCase keys, RFC 3339 UTC times.

The translation follows the dataclasses of `ostler.model.records` and `ostler.model.events`, so a field added there
is stored without a change here. Reading is tolerant to absent keys that have a default (older files), ignores keys
it does not know, and is strict about types: a stored value of the wrong type is `StoreCorruptError`.
"""

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any, Generic, TypeVar, cast

from ostler.model.errors import StoreCorruptError, StoreError
from ostler.model.events import Event
from ostler.model.json import JsonObject, JsonValue
from ostler.model.records import CallRecord, OperationRecord, PlannedCall, ServiceRecord

_T = TypeVar("_T")
_Convert = Callable[[Any], Any]


class _MisfitError(Exception):
    """A stored value does not fit its field; `where` is the key path inside the record."""

    def __init__(self, problem: str, where: str = "") -> None:
        self.problem = problem
        self.where = where
        super().__init__(f"has at {where!r} {problem}")


def _wrong_type(expected: str, value: object) -> _MisfitError:
    return _MisfitError(f"a value of type {type(value).__name__} where {expected} belongs")


_ENCODER = json.JSONEncoder(separators=(",", ":"))


def format_time(moment: datetime) -> str:
    """Return an aware `moment` as RFC 3339 in UTC with microseconds, such as `2025-01-02T03:04:05.000006Z`."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")[:-6] + "Z"


def parse_time(text: str) -> datetime:
    """Return the aware time written in `text`, in UTC.

    Raises:
        ValueError: `text` is not RFC 3339 or has no time zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)


def encode(value: object) -> str:
    """Return a JSON object as compact text.

    Raises:
        StoreError: a value in it is not JSON.
    """
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError, RecursionError) as exc:
        raise StoreError(
            f"a record holds a value that is not JSON ({exc}); nothing was written",
            next_actions=("pass only JSON values (objects, arrays, strings, numbers, booleans, null)",),
        ) from exc


def decode(text: str, what: str) -> JsonObject:
    """Return the JSON object in `text`; `what` names the record for errors.

    Raises:
        StoreCorruptError: the text is not a JSON object.
    """
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise _corrupt(what, f"is not JSON ({exc})") from exc
    if not isinstance(value, dict):
        raise _corrupt(what, "is not a JSON object")
    return cast("JsonObject", value)


def _corrupt(what: str, problem: str) -> StoreCorruptError:
    return StoreCorruptError(
        f"stored {what} {problem}",
        next_actions=("restore a backup of the state folder, or start with an empty one (--state)",),
    )


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    key: str
    write: _Convert
    read: _Convert
    has_default: bool


class _Codec(Generic[_T]):
    """Translates one dataclass to a JSON object and back."""

    def __init__(self, kind: type[_T], what: str) -> None:
        self._kind = kind
        self._what = what
        self._fields = tuple(_fields(kind))
        # Commits encode in the event loop: most fields are JSON already and are taken over in one go.
        self._keys = tuple(field.key for field in self._fields)
        self._values = attrgetter(*(field.name for field in self._fields))
        self._converted = tuple((field.key, field.write) for field in self._fields if field.write is not _same)

    def to_json(self, value: _T) -> JsonObject:
        data = dict(zip(self._keys, self._values(value), strict=True))
        for key, write in self._converted:
            if data[key] is not None:
                data[key] = write(data[key])
        return data

    def from_json(self, data: Mapping[str, Any]) -> _T:
        try:
            return self._build(data)
        except _MisfitError as exc:
            label = data.get("name") or data.get("id") or data.get("cursor") or ""
            raise _corrupt(f"{self._what} {label!r}", str(exc)) from exc

    def _build(self, data: Mapping[str, Any]) -> _T:
        values: dict[str, Any] = {}
        for field in self._fields:
            if field.key not in data:
                if not field.has_default:
                    raise _MisfitError("no value", field.key)
                continue
            try:
                values[field.name] = field.read(data[field.key])
            except _MisfitError as exc:
                raise _MisfitError(exc.problem, f"{field.key}.{exc.where}" if exc.where else field.key) from None
        return self._kind(**values)

    def read_nested(self, data: Any) -> _T:
        return self._build(_read_object(data))


def _fields(kind: type[Any]) -> typing.Iterator[_Field]:
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        head, *rest = field.name.split("_")
        write, read = _converters(hints[field.name])
        yield _Field(
            name=field.name,
            key=head + "".join(part.capitalize() for part in rest),
            write=write,
            read=read,
            has_default=field.default is not MISSING or field.default_factory is not MISSING,
        )


def _same(value: Any) -> Any:
    return value


def _read_text(value: Any) -> Any:
    if not isinstance(value, str):
        raise _wrong_type("a string", value)
    return value


def _read_flag(value: Any) -> Any:
    if not isinstance(value, bool):
        raise _wrong_type("a boolean", value)
    return value


def _read_integer(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong_type("an integer", value)
    return value


def _read_number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type("a number", value)
    return float(value)


def _read_object(value: Any) -> Any:
    if not isinstance(value, dict):
        raise _wrong_type("an object", value)
    return cast("JsonObject", value)


def _read_time(value: Any) -> Any:
    try:
        return parse_time(_read_text(value))
    except ValueError:
        raise _wrong_type("an RFC 3339 time", value) from None


_SCALARS: dict[Any, tuple[_Convert, _Convert]] = {
    str: (_same, _read_text),
    bool: (_same, _read_flag),
    int: (_same, _read_integer),
    float: (_same, _read_number),
    Any: (_same, _same),
    datetime: (format_time, _read_time),
}


def _converters(hint: Any) -> tuple[_Convert, _Convert]:
    """Return (write, read) for a field's type; a type that cannot be stored is a bug found at import."""
    if hint in _SCALARS:
        return _SCALARS[hint]
    origin, parameters = typing.get_origin(hint), typing.get_args(hint)
    if origin is dict:
        return _same, _read_object
    if origin in (types.UnionType, typing.Union) and len(parameters) == 2 and type(None) in parameters:
        write, read = _converters(next(part for part in parameters if part is not type(None)))
        # Writing leaves None as it is everywhere.
        return write, (lambda value: None if value is None else read(value))
    if origin is tuple and parameters[1:] == (Ellipsis,):
        return _tuple_converters(parameters[0])
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _plain_text, _enum_reader(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        codec = _Codec[Any](hint, hint.__name__)
        return codec.to_json, codec.read_nested
    raise AssertionError(f"records_json cannot store a field of type {hint!r}")


def _plain_text(member: Any) -> Any:
    return member.value


def _tuple_converters(item: Any) -> tuple[_Convert, _Convert]:
    write, read = _converters(item)

    def read_items(value: Any) -> Any:
        if not isinstance(value, list):
            raise _wrong_type("an array", value)
        return tuple(read(part) for part in cast("list[Any]", value))

    return (lambda value: [write(part) for part in value]), read_items


def _enum_reader(kind: type[StrEnum]) -> _Convert:
    known = {str(member): member for member in kind}

    def read(value: Any) -> Any:
        try:
            return known[_read_text(value)]
        except KeyError:
            raise _wrong_type(f"one of {', '.join(known)}", value) from None

    return read


_SERVICE = _Codec(ServiceRecord, "service")
_OPERATION = _Codec(OperationRecord, "operation")
_CALL = _Codec(CallRecord, "call")
_PLANNED_CALL = _Codec(PlannedCall, "planned call")
_EVENT = _Codec(Event, "event")


def service_to_json(record: ServiceRecord) -> JsonObject:
    """Return a service record as a JSON object."""
    return _SERVICE.to_json(record)


def service_from_json(data: Mapping[str, Any]) -> ServiceRecord:
    """Return the service record in `data`.

    Raises:
        StoreCorruptError: a value is missing or of the wrong type.
    """
    counters = data.get("counters")
    if isinstance(counters, dict):  # how records of an earlier schema kept what has fields of its own now
        data = {**_fields_of(cast("JsonObject", counters)), **data}
    return _SERVICE.from_json(data)


def _fields_of(counters: JsonObject) -> JsonObject:
    flags = {key: bool(counters[key]) for key in ("held", "completed", "missedStop") if key in counters}
    return {key: counters[key] for key in ("starts", "restarts", "outputsAt") if key in counters} | flags


def operation_to_json(record: OperationRecord) -> JsonObject:
    """Return an operation and its calls as a JSON object."""
    return _OPERATION.to_json(record)


def operation_from_json(data: Mapping[str, Any]) -> OperationRecord:
    """Return the operation in `data`.

    Raises:
        StoreCorruptError: a value is missing or of the wrong type.
    """
    return _OPERATION.from_json(data)


def call_to_json(record: CallRecord) -> JsonObject:
    """Return a journaled call as a JSON object."""
    return _CALL.to_json(record)


def call_from_json(data: Mapping[str, Any]) -> CallRecord:
    """Return the journaled call in `data`.

    Raises:
        StoreCorruptError: a value is missing or of the wrong type.
    """
    return _CALL.from_json(data)


def planned_call_to_json(call: PlannedCall) -> JsonObject:
    """Return a pinned call as a JSON object."""
    return _PLANNED_CALL.to_json(call)


def planned_call_from_json(data: Mapping[str, Any]) -> PlannedCall:
    """Return the pinned call in `data`.

    Raises:
        StoreCorruptError: a value is missing or of the wrong type.
    """
    return _PLANNED_CALL.from_json(data)


def event_to_json(event: Event) -> JsonObject:
    """Return an event as a JSON object."""
    return _EVENT.to_json(event)


def event_from_json(data: Mapping[str, Any]) -> Event:
    """Return the event in `data`.

    Raises:
        StoreCorruptError: a value is missing or of the wrong type.
    """
    return _EVENT.from_json(data)
