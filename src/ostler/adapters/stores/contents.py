"""What is in a database, looked through record by record; and its records without secrets, for an export."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Final, LiteralString

from msgspec import Struct

from ostler.adapters.stores.records_json import EVENT, OPERATION, SERVICE
from ostler.model.errors import OstlerError, StoreCorruptError
from ostler.model.json import JsonObject
from ostler.rules.loading.manifests import service_class_from_json
from ostler.rules.secrets.masking import mask
from ostler.rules.secrets.record_secrets import record_secrets

TABLES: Final[tuple[tuple[str, LiteralString], ...]] = (
    ("service", "SELECT record FROM services ORDER BY name"),
    ("operation", "SELECT record FROM operations ORDER BY seq"),
    ("event", "SELECT record FROM events ORDER BY cursor"),
)
"""Sort of record → the query for all of them, in order."""

_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    "service": SERVICE.read,
    "operation": OPERATION.read,
    "event": EVENT.read,
}


class DatabaseReport(Struct, frozen=True):
    """What is in a database.

    Attributes:
        schema_version: of its tables.
        size: its bytes.
        counts: rows by kind: services, operations, events.
        open_operations: operations under way, or cut off and not resolved yet.
        problems: what the integrity check found, and every record that cannot be read.
    """

    schema_version: int
    size: int
    counts: dict[str, int]
    open_operations: int
    problems: tuple[str, ...]


class Examination(Struct):
    """Counts records, and finds those that cannot be read."""

    counts: dict[str, int] = {}
    problems: list[str] = []

    def read(self, kind: str, texts: Iterable[str]) -> None:
        """Look through records of one kind."""
        counted = self.counts.setdefault(f"{kind}s", 0)
        for text in texts:
            counted += 1
            try:
                _READERS[kind](text)
            except StoreCorruptError as error:
                self.problems.append(error.summary)
        self.counts[f"{kind}s"] = counted


def without_secrets(item: JsonObject) -> JsonObject:
    """Return one item of an export with the secrets of its service masked.

    Operations and events are masked before they are stored. A service whose class cannot be read is reduced to facts
    that hold no values.
    """
    if item["type"] != "service":
        return item
    record: JsonObject = item["record"]
    try:
        known = SERVICE.read(json.dumps(record))
        secrets = record_secrets(service_class_from_json(known.class_manifest), known)
    except OstlerError:
        kept = ("id", "name", "className", "classDigest", "state", "desired", "createdAt", "updatedAt")
        return {**item, "record": {key: record[key] for key in kept if key in record}}
    return {**item, "record": mask(record, secrets)}
