"""The variables that a client sets before it reads its servers: in its settings, and in `.env` files."""

from collections.abc import Iterable, Mapping
from contextlib import suppress

from msgspec import Struct

from ostler.adapters.config.client_files import VariableFiles
from ostler.adapters.config.dialects.client_texts import Source, SourceError, read_text
from ostler.adapters.config.dialects.entry_places import at
from ostler.adapters.config.entry_values import variables_in
from ostler.model.json import JsonValue, as_object


class ClientVariable(Struct, frozen=True):
    """A variable that a client sets.

    Attributes:
        value: its value.
        file: where it is set.
    """

    value: str
    file: str


def variables_of(
    where: VariableFiles, settings: Iterable[Source], environment: Mapping[str, str]
) -> dict[str, ClientVariable]:
    """Return the variables that only a client sets, in `environment`.

    Args:
        where: where the client has some; a `.env` file that cannot be read sets none, as in the clients.
        settings: its files of settings, lowest first; they count less than `.env` files.
        environment: the variables that are set already.
    """
    found: dict[str, ClientVariable] = {}
    for source in settings:
        for place in where.places.settings:
            for name, value in as_object(at(as_object(source.value), place)).items():
                if (text := _text(value)) is not None:
                    found[name] = ClientVariable(text, source.file)
    for path in reversed(where.files):
        with suppress(SourceError):
            text = read_text(path, str(path))
            found |= {name: ClientVariable(value, str(path)) for name, value in variables_in(text).items()}
    return {name: one for name, one in found.items() if where.places.overrides or not environment.get(name)}


def _text(value: JsonValue) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None
