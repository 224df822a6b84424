"""The lines that the holder of a database sends to the servers that stand by: a letter for the kind, and JSON."""

import base64
from enum import StrEnum
from typing import Any, Final, cast

from msgspec import Struct, convert, to_builtins
from pydantic import TypeAdapter

from ostler.adapters.stores.records_json import EVENT, RecordForm, decode
from ostler.engine.classes.catalogue import ClassDirectory, ClassEntry
from ostler.engine.events.history import HistoryParts
from ostler.engine.events.log import LogContents
from ostler.engine.services.views import Availability, ServiceView
from ostler.model.errors import Finding
from ostler.rules.loading.manifests import service_class_from_json, service_class_to_json


class Kind(StrEnum):
    """What a line says; each is its first character."""

    PUT = "P"
    """A service as it is now: `1` if the holder measures its processes, else `0`, and the view."""
    GONE = "D"
    """The name of a service that does not exist any more."""
    EVENT = "E"
    CLASS = "C"
    """A class as it is now."""
    CLASS_GONE = "c"
    FINDINGS = "F"
    """What is wrong with the files of classes."""
    BEAT = "H"
    """The holder's time, and the digest of what decides who may read what."""
    MARK = "N"
    """The number of the batch that ends here; with `!` an answer waits until it is applied."""
    LAST = "B"
    """The holder ends: no read is answered from the mirror any more."""
    SNAPSHOT = "S"
    """Everything follows: what was known before does not count."""
    LOG = "G"
    """How the event log of a snapshot begins."""
    HISTORY = "h"
    """The events of one service in a snapshot."""
    WHOLE = "L"
    """The end of a snapshot: it is complete with the batch of this number."""


class ShownClass(Struct, frozen=True):
    """A class as reading tools show it.

    Attributes:
        entry: the class; it knows no places of its parts.
        availability: whether its tools are there.
        standing: what the last check against the listed tools found.
    """

    entry: ClassEntry
    availability: Availability
    standing: tuple[Finding, ...] = ()

    @classmethod
    def of(cls, entry: ClassEntry, classes: ClassDirectory) -> "ShownClass":
        """Return what is shown of a class of `classes`."""
        return cls(entry, classes.availability(entry.name), classes.standing_of(entry.name))


VIEW: Final = RecordForm(ServiceView, "view")
_FINDINGS: Final = TypeAdapter(tuple[Finding, ...])
_ANY: Final = TypeAdapter[Any](Any)

_OF_CLASSES: Final = ("digest", "text", "origin", "path", "shadows", "line", "translation")


def line(kind: Kind, value: Any = None) -> bytes:
    """Return the line of `kind` with `value` as JSON."""
    return kind.value.encode() + _ANY.dump_json(value) + b"\n"


def put_line(view: ServiceView, *, is_measured: bool) -> bytes:
    """Return the line of a service.

    Raises:
        StoreError: a value in it is not JSON.
    """
    return f"{Kind.PUT.value}{int(is_measured)}{VIEW.write(view)}\n".encode()


def event_line(event: Any) -> bytes:
    """Return the line of an event.

    Raises:
        StoreError: a value in it is not JSON.
    """
    return f"{Kind.EVENT.value}{EVENT.write(event)}\n".encode()


def class_line(shown: ShownClass) -> bytes:
    """Return the line of a class."""
    entry = shown.entry
    facts = {
        "manifest": service_class_to_json(entry.service_class),
        **{name: getattr(entry, name) for name in _OF_CLASSES},
        "availability": to_builtins(shown.availability),
        "standing": _FINDINGS.dump_python(shown.standing, mode="json"),
    }
    return line(Kind.CLASS, facts)


def findings_line(findings: tuple[Finding, ...]) -> bytes:
    """Return the line of what is wrong with the files of classes."""
    return line(Kind.FINDINGS, findings)


def read_class(text: str) -> ShownClass:
    """Return the class in a line without its kind.

    Raises:
        StoreCorruptError, ManifestError, ValueError, KeyError: it is not a class.
    """
    facts = decode(text, "class")
    entry = ClassEntry(
        service_class_from_json(facts["manifest"]),
        **{name: facts[name] for name in _OF_CLASSES},
    )
    return ShownClass(
        entry,
        convert(facts["availability"], Availability),
        _FINDINGS.validate_python(facts["standing"]),
    )


def read_findings(text: str) -> tuple[Finding, ...]:
    """Return the findings in a line without its kind; ValueError when they are none."""
    return _FINDINGS.validate_json(text)


def log_line(contents: LogContents) -> bytes:
    """Return the line that goes before the events of a snapshot."""
    return line(
        Kind.LOG,
        {
            "droppedUntil": contents.dropped_until,
            "lastCursor": contents.last_cursor,
            "ended": dict(contents.ended),
            "maxEvents": contents.max_events,
            "maxPerService": contents.max_per_service,
        },
    )


def history_line(service: str, parts: HistoryParts) -> bytes:
    """Return the line of the events of one service."""
    return line(
        Kind.HISTORY,
        {
            "service": service,
            "packs": [[count, base64.b64encode(packed).decode()] for count, packed in parts.packs],
            "skipped": parts.skipped,
            "recent": [EVENT.write(event) for event in parts.recent],
            "endedAt": parts.ended_at,
        },
    )


def read_history(text: str) -> tuple[str, HistoryParts]:
    """Return the service and its events in a line without its kind.

    Raises:
        StoreCorruptError, ValueError, KeyError: it has none.
    """
    facts = decode(text, "history")
    packs = tuple((int(count), base64.b64decode(packed)) for count, packed in cast("list[list[Any]]", facts["packs"]))
    recent = tuple(EVENT.read(event) for event in facts["recent"])
    return facts["service"], HistoryParts(packs, facts["skipped"], recent, facts["endedAt"])
