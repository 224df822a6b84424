"""Downstream servers that shipped classes use: the entry for mcp.json that adds each."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from msgspec import Struct

from ostler.adapters.config.paths import shipped_classes_dir
from ostler.model.json import JsonObject

FILE = "servers/known.json"
"""Where the table is, below the shipped classes."""


class KnownServer(Struct, frozen=True):
    """A server that can be added.

    Attributes:
        name: what the shipped classes call it, and so its key in mcp.json.
        entry: the entry.
        needs: what it needs to run, in words.
    """

    name: str
    entry: JsonObject
    needs: str


def known_servers(folder: Path | None = None) -> Mapping[str, KnownServer]:
    """Return the table by name; empty when this installation has none. Blocks on the disk, for a few kilobytes.

    Args:
        folder: the folder of the shipped classes, when it is not that of this installation.
    """
    folder = folder or shipped_classes_dir()
    path = None if folder is None else folder / FILE
    if path is None or not path.is_file():
        return {}
    table = cast("JsonObject", json.loads(path.read_text(encoding="utf-8")))
    return {name: KnownServer(name, fields["entry"], fields["needs"]) for name, fields in table.items()}


def entries_for(names: Iterable[str]) -> JsonObject:
    """Return the entries of those of `names` that are known, as `mcpServers` has them."""
    known = known_servers()
    return {name: known[name].entry for name in names if name in known}


def how_to_add(names: Iterable[str]) -> str:
    """Return in words how the servers `names` are added; empty when there are none."""
    wanted = list(names)
    if not wanted:
        return ""
    known = known_servers()
    entries = {name: known[name].entry for name in wanted if name in known}
    lines: list[str] = []
    if entries:
        lines.append('Add to "mcpServers" in mcp.json:')
        lines += [f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items()]
        lines += [f"  ({name} needs {known[name].needs})" for name in entries]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        lines.append(
            f"Add an entry for {', '.join(unknown)} to mcp.json: how it is started is in its own documentation."
        )
    return "\n".join(lines)
