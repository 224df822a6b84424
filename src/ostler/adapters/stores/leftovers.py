"""Which downstream servers drive what services may have left: what was started on another machine is not seen here."""

from functools import lru_cache
from typing import Final

from ostler.model.errors import OstlerError
from ostler.model.json import JsonObject
from ostler.model.records import ServiceRecord
from ostler.rules.loading.manifests import service_class_from_json

_KNOWN_CLASSES: Final = 512
"""Versions of classes whose servers are remembered."""


class _ClassText:
    """A class's manifest that is told apart by its digest."""

    def __init__(self, digest: str, manifest: JsonObject) -> None:
        self.digest = digest
        self.manifest = manifest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ClassText) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def drivers_of(record: ServiceRecord) -> tuple[str, ...]:
    """Return the downstream servers of a service that may have left something to stop, by name; else none."""
    if not record.has_leftover:
        return ()
    planned = {call.tool.partition("/")[0] for call in record.stop_plan}
    return tuple(sorted(planned | _servers(_ClassText(record.class_digest, record.class_manifest))))


@lru_cache(maxsize=_KNOWN_CLASSES)
def _servers(text: _ClassText) -> frozenset[str]:
    try:
        return frozenset(service_class_from_json(text.manifest).servers())
    except OstlerError:  # another version of Ostler made it: the pinned stop plan has to do
        return frozenset()
