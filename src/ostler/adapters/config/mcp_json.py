"""`mcp.json`: downstream servers, in the dialects of all MCP clients, so that an entry can be pasted as it is.

What each client's keys, variables and files mean is in `dialects`; `entry_loader` reads the entries by these tables.
One broken entry is left out, with a finding; the others load.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ostler.adapters.config.dialects.client_texts import Source, SourceError, parse_source, read_source
from ostler.adapters.config.dialects.clients import ANY
from ostler.adapters.config.mcp_content import McpJson
from ostler.model.json import JsonValue, as_object

if TYPE_CHECKING:
    from ostler.adapters.config.dialects.layers import Layers

_MANIFEST: Final = Path(".claude-plugin", "plugin.json")


def load_mcp_json(
    source: Path | str | Source,
    env: Mapping[str, str],
    *,
    file: str = "",
    folder: Path | None = None,
    clients: frozenset[str] = ANY,
    workspace: Path | None = None,
    project: str = "",
    answer: Callable[[str], str | None] | None = None,
    beside: Sequence[Source] = (),
    layers: "Layers | None" = None,
) -> McpJson:
    """Read an `mcp.json`, or any client's file.

    Args:
        source: a path, the text itself, or what has been read already.
        env: the variables that `${VAR}` may name.
        file: the file's name in findings; default: the path.
        folder: the folder that the file is in; default: that of the path.
        clients: whose file it is, by id, when that is known.
        workspace: the project that the file belongs to.
        project: read only the servers that the file has for this single project.
        answer: returns what a person answered to the question of an id; None when no one has.
        beside: the client's other files that limit these servers.
        layers: its other files that have entries of the same servers.
    """
    try:
        match source:
            case Path():
                folder = folder or source.parent
                source = read_source(source, file)
            case str():
                source = parse_source(source, file)
            case Source():
                pass
    except SourceError as error:
        return McpJson(findings=(error.finding,))
    # a start without servers does without the tables of the dialects
    from ostler.adapters.config.dialects.variables import Surroundings  # noqa: PLC0415
    from ostler.adapters.config.entry_loader import EntryLoader  # noqa: PLC0415

    plugin = plugin_of(folder)
    around = Surroundings(env, folder, workspace, plugin, answer=answer)
    name = "" if plugin is None else _name_of(plugin)
    return EntryLoader(source, around, clients, beside, name, layers=layers).load(project)


def _name_of(plugin: Path) -> str:
    """Return the name that a plugin has in its manifest, or that of its folder."""
    name: JsonValue = None
    with suppress(SourceError):
        name = as_object(read_source(plugin / _MANIFEST).value).get("name")
    return name if isinstance(name, str) and name else plugin.name


def plugin_of(folder: Path | None) -> Path | None:
    """Return the plugin of Claude Code that a file in `folder` is part of: its manifest is in `.claude-plugin`."""
    for root in () if folder is None else (folder, folder.parent):
        if os.path.isfile(root / _MANIFEST):  # noqa: PTH113 (never fails)
            return root
    return None
