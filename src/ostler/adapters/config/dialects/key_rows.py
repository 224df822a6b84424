"""One row of the table of keys, and how each kind of row is made."""

from typing import Literal

from msgspec import Struct

from ostler.adapters.config.dialects.clients import ANY
from ostler.adapters.config.dialects.draft import Reading
from ostler.adapters.config.dialects.readings import passed
from ostler.model.json import JsonObject, JsonValue

Outcome = Literal["taken", "limit obeyed", "entry refused", "reported", "passed over"]
"""What happens to a key: it is taken over, obeyed as a limit, refused with its entry, left out with a finding, or
passed over because it changes nothing that Ostler does."""


class Key(Struct, frozen=True):
    """One key of an entry, in the meaning that some clients give it.

    Attributes:
        name: the key.
        clients: the ids of the clients that mean this by it; `ANY` for what most of them share.
        example: a value as people write it.
        meaning: what it says there.
        outcome: what happens to it here.
        becomes: the entry in Ostler's keys that the example makes, with what the key alone decides.
        read: reads it.
    """

    name: str
    clients: frozenset[str]
    example: JsonValue
    meaning: str
    outcome: Outcome
    becomes: JsonObject
    read: Reading


def _ids(text: str) -> frozenset[str]:
    return frozenset(text.split()) if text != "*" else ANY


def taken(  # noqa: PLR0917 (a row of the table)
    name: str, clients: str, example: JsonValue, meaning: str, becomes: JsonObject, read: Reading
) -> Key:
    """A key that is taken over."""
    return Key(name, _ids(clients), example, meaning, "taken", becomes, read)


def limiting(  # noqa: PLR0917 (a row of the table)
    name: str, clients: str, example: JsonValue, meaning: str, becomes: JsonObject, read: Reading
) -> Key:
    """A key whose limit is obeyed."""
    return Key(name, _ids(clients), example, meaning, "limit obeyed", becomes, read)


def refusing(name: str, clients: str, example: JsonValue, meaning: str, read: Reading) -> Key:
    """A key that refuses its entry."""
    return Key(name, _ids(clients), example, meaning, "entry refused", {}, read)


def reported(name: str, clients: str, example: JsonValue, meaning: str, read: Reading) -> Key:
    """A key that is left out, with a finding."""
    return Key(name, _ids(clients), example, meaning, "reported", {}, read)


def passing(name: str, clients: str, example: JsonValue, meaning: str) -> Key:
    """A key that changes nothing that Ostler does."""
    return Key(name, _ids(clients), example, meaning, "passed over", {}, passed)
