"""Records as JSON text and back: camelCase keys, RFC 3339 UTC times.

The forms follow the dataclasses of `ostler.model.records` and `ostler.model.events`, so a field added there is stored
without a change here. Reading tolerates absent keys that have a default (older files), ignores keys that it does not
know, and is strict about types: a stored value of the wrong type is `StoreCorruptError`.
"""

import json
from dataclasses import replace
from functools import lru_cache
from typing import Final, Generic, NewType, TypeVar, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticSerializationError, to_json

from ostler.model.errors import StoreCorruptError, StoreError
from ostler.model.events import Event
from ostler.model.json import JsonObject, parse_json
from ostler.model.records import OperationRecord, ServiceRecord

_T = TypeVar("_T")

_CONFIG: Final = ConfigDict(
    defer_build=True, alias_generator=to_camel, strict=True, extra="ignore", ser_json_inf_nan="constants"
)

# A type adapter takes no configuration for a dataclass, but for a new type of it.
_Service = NewType("_Service", ServiceRecord)
_Operation = NewType("_Operation", OperationRecord)
_Event = NewType("_Event", Event)

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


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

    def __init__(self, adapter: TypeAdapter[_T], what: str) -> None:
        """Make the form of what `adapter` reads and writes.

        Args:
            adapter: translates the record; it has camelCase aliases and is strict.
            what: names the kind of record in errors.
        """
        self._adapter = adapter
        self._what = what

    def write(self, record: _T) -> str:
        """Return the text of `record`.

        Raises:
            StoreError: a value in it is not JSON.
        """
        try:
            return self._adapter.serializer.to_json(record, by_alias=True).decode()
        except PydanticSerializationError:
            pass
        try:
            # Half of a surrogate pair, which pydantic does not write, or a value that is not JSON.
            return _ENCODER.encode(self._adapter.dump_python(record, by_alias=True))
        except (TypeError, ValueError, RecursionError) as exc:
            raise StoreError(
                f"a record holds a value that is not JSON ({exc}); nothing was written",
                next_actions=("pass only JSON values (objects, arrays, strings, numbers, booleans, null)",),
            ) from exc

    def read(self, text: str) -> _T:
        """Return the record in `text`.

        Raises:
            StoreCorruptError: it is not a JSON object, or a value is missing or of the wrong type.
        """
        try:
            return self._adapter.validate_json(text)
        except ValidationError as exc:
            error = exc
        data = decode(text, self._what)
        if error.errors()[0]["type"] == "json_invalid":
            # JSON all the same, with half of a surrogate pair in it, which pydantic's own reader refuses.
            try:
                return self._adapter.validate_python(data, strict=False)
            except ValidationError as exc:
                error = exc
        label = data.get("name") or data.get("id") or data.get("cursor") or ""
        raise _corrupt(f"{self._what} {label!r}", _misfit(error.errors(include_url=False)[0])) from error


class _ServiceForm(RecordForm[ServiceRecord]):
    """The stored form of services. The text of a class's manifest is cached, because all its services share it.

    Each operation writes its service at least twice, and the manifest is 95 % of the largest shipped class's: 20 µs
    instead of 68.
    """

    def write(self, record: ServiceRecord) -> str:
        """Return the text of `record`; see `RecordForm.write`."""
        try:
            text = self._adapter.serializer.to_json(record, by_alias=True, exclude=_BUT_MANIFEST).decode()
            manifest = _manifest_text(_Shared(record.class_manifest))
        except (PydanticSerializationError, TypeError, ValueError, RecursionError):
            return super().write(record)
        return f'{text[:-1]},"classManifest":{manifest}}}'

    def read_as(self, name: str, text: str) -> ServiceRecord:
        """Return the record in `text` under the name of its row: no two rows share one, and a record may be edited.

        Raises:
            StoreCorruptError: see `RecordForm.read`.
        """
        record = self.read(text)
        return record if record.name == name else replace(record, name=name)


_BUT_MANIFEST: Final = {"class_manifest"}


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
def _manifest_text(manifest: _Shared) -> str:
    return to_json(manifest.value, inf_nan_mode="constants").decode()


def _misfit(problem: ErrorDetails) -> str:
    """Return what does not fit, and where; never the value itself, which may be a secret."""
    where = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in problem["loc"]).lstrip(".")
    if problem["type"] == "missing":
        return f"has at {where!r} no value"
    found, wanted = type(problem["input"]).__name__, problem["msg"].removeprefix("Value error, ")
    return f"has at {where!r} a value of type {found}: {wanted[:1].lower()}{wanted[1:]}"


def _corrupt(what: str, problem: str) -> StoreCorruptError:
    return StoreCorruptError(
        f"stored {what} {problem}",
        next_actions=("restore a backup of the state folder, or start with an empty one (--state)",),
    )


SERVICE: Final = _ServiceForm(TypeAdapter(_Service, config=_CONFIG), "service")
OPERATION: Final = RecordForm[OperationRecord](TypeAdapter(_Operation, config=_CONFIG), "operation")
EVENT: Final = RecordForm[Event](TypeAdapter(_Event, config=_CONFIG), "event")
