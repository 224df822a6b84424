"""Entries of one server in several files of its client: what one file leaves to another, and which of them counts."""

from msgspec import Struct

from ostler.adapters.config.dialects.client_texts import Source
from ostler.adapters.config.dialects.entry_places import Found, entries_in
from ostler.model.json import JsonObject, JsonValue, as_object


class Layers(Struct, frozen=True):
    """The client's other files that have entries, lowest first.

    Attributes:
        below: those that count less than the file that is read.
        above: those that count more.
        merges: whether the client merges entries of the same name; else the whole entry of the file above counts.
    """

    below: tuple[Source, ...] = ()
    above: tuple[Source, ...] = ()
    merges: bool = False

    def entry(self, found: Found, clients: frozenset[str]) -> tuple[JsonValue, list[Source]]:
        """Return the entry that the client uses for one that was found, and the files above that changed it."""
        raw = as_object(found.raw)
        if raw != found.raw:
            return found.raw, []
        for source in reversed(self.below):
            raw = _merged(_entry_in(source, found, clients), raw)
        changed: list[Source] = []
        for source in self.above:
            if other := _entry_in(source, found, clients):
                raw, before = _merged(raw, other) if self.merges else other, raw
                changed += [source] if raw != before else []
        return raw, changed


def _entry_in(source: Source, found: Found, clients: frozenset[str]) -> JsonObject:
    for one in entries_in(as_object(source.value), clients):
        if one.name == found.name and not one.project:
            return as_object(one.raw)
    return {}


def _merged(one: JsonObject, other: JsonObject) -> JsonObject:
    """Return two objects as one: objects in both are merged, and of any other two values that of `other` counts."""
    merged = {**one, **other}
    for key in one.keys() & other.keys():
        lower, upper = as_object(one[key]), as_object(other[key])
        if lower == one[key] and upper == other[key]:
            merged[key] = _merged(lower, upper)
    return merged
