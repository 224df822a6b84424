"""Whether a client has been allowed to start the servers of a project: those that have not are off there."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Final

from msgspec import Struct

from ostler.adapters.config.dialects.client_texts import Source, with_values
from ostler.adapters.config.dialects.entry_places import at
from ostler.adapters.config.dialects.server_lists import Servers
from ostler.model.json import JsonObject, as_object, as_texts

_TRUSTED: Final = frozenset({"TRUST_FOLDER", "TRUST_PARENT"})
_FOLDERS: Final = "trustedFolders.json"
"""What Gemini CLI and Qwen Code call their file of the folders that a person has decided about."""
_VIBE: Final = "trusted_folders.toml"
"""What Mistral Vibe calls its own."""
_COPILOT: Final = frozenset({"copilot"})
_QWEN: Final = frozenset({"gemini"})
"""Whose keys Qwen Code's entries have."""
_SERVERS: Final = "mcpApprovals.json"
"""What Qwen Code calls its file of the servers of projects that a person has decided about."""
DECISIONS: Final = frozenset({_FOLDERS, _VIBE, _SERVERS})
"""Files of what a person has decided about single projects."""


_NOT_HASHED: Final = frozenset({"scope", "extensionName", "description"})
"""Keys of an entry that Qwen Code leaves out of what a person approves."""


class ProjectServer(Struct, frozen=True):
    """A server of a project's file.

    Attributes:
        file: the file.
        project: the project's folder.
        clients: whose keys its entry has, by id.
        name: what the file calls it.
        entry: its entry, as the file has it.
        environment: the variables that the client replaces.
    """

    file: Path
    project: Path
    clients: frozenset[str]
    name: str
    entry: JsonObject
    environment: Mapping[str, str]


def why_off(server: ProjectServer, others: Sequence[Source]) -> str:
    """Return why the client does not start a server of a project's file, "" if it does, or is not used here.

    Args:
        server: the server.
        others: the client's other files, with what they say of the project.
    """
    file, project, name = server.file, server.project, server.name
    is_used = any(not Path(one.file).is_relative_to(project) for one in others)
    if not (is_used and file.is_relative_to(project)):
        return ""
    reads, asks = (
        "reads this file only after it has been told to trust the folder",
        "has not been allowed to start it yet",
    )
    path = file.relative_to(project).as_posix()
    if path == ".mcp.json":  # several clients read it
        path = {_COPILOT: ".github/mcp.json", _QWEN: ".qwen/settings.json"}.get(server.clients, path)
    match path:
        case ".mcp.json" if not _is_approved(name, project, others):
            reason = f"Claude Code {asks}"
        case ".codex/config.toml" if not any(_said(one).get("trust_level") == "trusted" for one in others):
            reason = f"Codex {reads}"
        case ".github/mcp.json":
            first = project / ".mcp.json"
            instead = "Copilot CLI reads .mcp.json instead" if file != first and first.is_file() else ""
            reason = instead if _is_listed(project, others) else f"Copilot CLI {reads}"
        case ".vibe/config.toml" if not _is_nearest(file.parent, others):
            reason = f"Mistral Vibe {reads}"
        case ".gemini/settings.json" if not _is_trusted(project, others, unless_said=True):
            reason = f"Gemini CLI {reads}"
        case ".qwen/settings.json" if not _is_trusted(project, others, unless_said=False):
            reason = f"Qwen Code {reads}"
        case ".qwen/settings.json" if not _is_approved_as_it_is(server, others):
            reason = f"Qwen Code {asks} as it is now"
        case _:
            reason = ""
    return reason


def _is_approved_as_it_is(server: ProjectServer, others: Sequence[Source]) -> bool:
    """Whether a person has approved a server in Qwen Code, which then keeps a hash of its entry."""
    records = [
        as_object(at(_said(one), (str(server.project), server.name))) for one in others if _named(one) == _SERVERS
    ]
    hashes = {_hash_of(entry) for entry in _spellings_of(server)}
    return any(record.get("status") == "approved" and record.get("hash") in hashes for record in records)


def _spellings_of(server: ProjectServer) -> list[JsonObject]:
    """Return the entry as Qwen Code may have it: of `.mcp.json` without its type, of settings without variables."""
    entry = {key: value for key, value in server.entry.items() if key not in _NOT_HASHED}
    plain = {key: value for key, value in entry.items() if key != "type"}
    if entry.get("type") == "http" and "url" in plain:
        plain["httpUrl"] = plain.pop("url")
    return [entry, plain, as_object(with_values(entry, server.environment))]


def _hash_of(entry: JsonObject) -> str:
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _said(source: Source) -> JsonObject:
    return as_object(source.value)


def _named(source: Source) -> str:
    return PurePath(source.file).name


def _is_approved(name: str, project: Path, others: Sequence[Source]) -> bool:
    """Whether a person has approved a server; what the repository itself says counts once its folder is trusted."""
    is_trusted = any(_said(one).get("hasTrustDialogAccepted") is True for one in others)
    from_repository = str(project / ".claude" / "settings.json")
    return any(
        said.get("enableAllProjectMcpServers") is True
        or Servers(frozenset(as_texts(said.get("enabledMcpjsonServers")))).has(name, {})
        for one in others
        if is_trusted or one.file != from_repository
        for said in (_said(one),)
    )


def _is_listed(project: Path, others: Sequence[Source]) -> bool:
    """Whether Copilot CLI trusts a folder: it, or one above it, is in its list."""
    files = [_said(one) for one in others if _named(one) == "config.json"]
    lists = [as_texts(said.get(key)) for said in files for key in ("trustedFolders", "trusted_folders")]
    return any(project.is_relative_to(folder) for folders in lists for folder in folders)


def _is_nearest(folder: Path, others: Sequence[Source]) -> bool:
    """Whether Mistral Vibe trusts a folder: it, or the nearest one above it that was decided about, is in its list."""
    lists = {
        key: [text for one in others if _named(one) == _VIBE for text in as_texts(_said(one).get(key))]
        for key in ("trusted", "untrusted")
    }
    decided = {text: key == "trusted" for key in ("untrusted", "trusted") for text in lists[key]}
    return next((decided[str(one)] for one in (folder, *folder.parents) if str(one) in decided), False)


def _is_trusted(project: Path, others: Sequence[Source], *, unless_said: bool) -> bool:
    """Whether a folder is trusted: the longest rule about it or a folder above it counts.

    Args:
        project: the folder.
        others: the client's files.
        unless_said: whether folders must be trusted if no file says so.
    """
    path = ("security", "folderTrust", "enabled")
    switches = [at(_said(one), path) for one in others]
    if not next((one for one in reversed(switches) if isinstance(one, bool)), unless_said):
        return True
    rules = [
        (rule, level)
        for one in others
        if _named(one) == _FOLDERS
        for rule, level in _said(one).items()
        if project.is_relative_to(PurePath(rule).parent if level == "TRUST_PARENT" else rule)
    ]
    return max(rules, key=lambda rule: len(rule[0]), default=("", None))[1] in _TRUSTED
