"""Extensions of Claude Desktop and Gemini CLI as their user has set them up, which is apart from their manifests."""

import os
import re
from contextlib import suppress
from dataclasses import replace  # noqa: TID251 (a dataclass)
from functools import partial
from pathlib import Path
from typing import Final

from ostler.adapters.config.dialects.client_texts import Source, read_source, read_text, with_values
from ostler.adapters.config.dialects.entry_places import at
from ostler.adapters.config.dialects.open_webui import PLACES, is_connections
from ostler.adapters.config.entry_values import variables_in
from ostler.model.json import JsonObject, KeyPath, as_object, as_objects, as_texts

_EXTENSIONS: Final = "Claude Extensions"
_ENCRYPTED: Final = "__encrypted__:"
_INSTALLED: Final = ".gemini-extension-install.json"
"""What Gemini CLI calls its file of where an extension comes from."""


def as_set_up(path: Path, source: Source) -> Source:
    """Return a manifest with the settings of its extension, and an exported list with its place; others as they are.

    Raises:
        SourceError: the settings cannot be read.
    """
    root = as_object(source.value)
    if is_connections(source.value):  # of Open WebUI
        section, name = PLACES[0]
        value: JsonObject = {str(section): {str(name): source.value}}
        return replace(source, value=value, locate=partial(_locate_below, source))
    if path.name == "manifest.json" and path.parent.parent.name == _EXTENSIONS:
        settings = path.parents[2] / f"{_EXTENSIONS} Settings" / f"{path.parent.name}.json"
        return replace(source, value=_of_claude(root, settings)) if os.path.lexists(settings) else source
    if path.name.endswith("-extension.json") and (asked := as_objects(root.get("settings"))):
        return replace(source, value=_of_gemini(root, asked, path.parent / ".env"))
    return source


def is_forbidden(settings: JsonObject, folder: Path) -> bool:
    """Whether settings of Gemini CLI forbid the extension in a folder: all of them, or those of its source."""
    if at(settings, ("admin", "extensions", "enabled")) is False:
        return True
    sources, blocks_git = (at(settings, ("security", key)) for key in ("allowedExtensions", "blockGitExtensions"))
    if not sources and not blocks_git:
        return False
    file = folder / _INSTALLED
    installed = as_object(read_source(file).value) if file.exists() else {}
    source = installed.get("source")
    if sources:
        return not (isinstance(source, str) and any(_matches(one, source) for one in as_texts(sources)))
    return installed.get("type") in ("git", "github-release")


def _matches(pattern: str, source: str) -> bool:
    with suppress(re.error):
        return re.search(pattern, source) is not None
    return False


def _locate_below(source: Source, path: KeyPath) -> tuple[int, int]:
    return source.locate(path[2:])


def _of_claude(root: JsonObject, path: Path) -> JsonObject:
    """Return the manifest of a bundle with what its user configured as defaults; one that is not enabled is off.

    Claude Desktop encrypts what is sensitive, so that is asked for again.
    """
    settings = as_object(read_source(path).value)
    configured = as_object(root.get("user_config"))
    for name, value in as_object(settings.get("userConfig")).items():
        described = as_object(configured.get(name))
        is_hidden = described.get("sensitive") is True or (isinstance(value, str) and value.startswith(_ENCRYPTED))
        if described and not is_hidden and value not in (None, ""):
            configured = {**configured, name: {**described, "default": value}}
    server = as_object(root.get("server"))
    if settings.get("isEnabled") is not True:
        server = {**server, "mcp_config": {**as_object(server.get("mcp_config")), "disabled": True}}
    return {**root, "user_config": configured, "server": server}


def _of_gemini(root: JsonObject, asked: list[JsonObject], file: Path) -> JsonObject:
    """Return the manifest of an extension with what its user set: in the file `.env`, which its programs get, too.

    Gemini CLI keeps what is sensitive in the keyring instead, where it is missing here unless a variable has it.
    """
    names = {one["envVar"]: one.get("sensitive") is True for one in asked if isinstance(one.get("envVar"), str)}
    hidden: JsonObject = {name: f"${{env:{name}}}" for name, is_hidden in names.items() if is_hidden}
    there = variables_in(read_text(file, str(file))) if file.exists() else {}
    shown = {name: there[name] for name in names.keys() & there.keys() - hidden.keys()}
    servers = as_object(with_values(as_object(root.get("mcpServers")), shown))
    for entry in map(as_object, servers.values()):
        if "command" in entry:
            entry.update({"envFile": ".env", **entry} if there else {})
            entry.update({"env": {**hidden, **as_object(entry.get("env"))}} if hidden else {})
    return {**root, "mcpServers": servers} if servers else root
