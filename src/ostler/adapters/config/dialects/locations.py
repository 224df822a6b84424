"""The table of locations: where each client keeps its configuration, and how Ostler is written there."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ostler.adapters.config.dialects.clients import CLIENTS
from ostler.adapters.config.jsonc import KeyPath
from ostler.model.json import JsonObject, JsonValue

Writer = Callable[[Sequence[str]], JsonValue]
"""Makes a client's entry of a command."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where one client looks.

    Attributes:
        client: its id.
        paths: files below the user's home, `{config}` and `{data}` standing for the platform's folders; the first one
            that is there counts, and is made if none is.
        place: where the entries stand.
        project: the same below a project's folder; empty when it has none.
        entry: writes Ostler's entry.
        is_list: its entries are a list, each with its name.
        head: what a file that is made begins with.
        markers: folders that show that the client is there though its file is not; default: the file's own.
        limits: other files of the user that limit the servers, below the same folders as `paths`.
        project_limits: the same below a project's folder.
    """

    client: str
    paths: tuple[str, ...]
    place: KeyPath = ("mcpServers",)
    project: str = ""
    entry: Writer = field(default=lambda command: {"command": command[0], "args": list(command[1:])}, repr=False)
    is_list: bool = False
    head: str = ""
    markers: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    project_limits: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The client's name."""
        return CLIENTS[self.client]


def _typed(kind: str) -> Writer:
    return lambda command: {"type": kind, "command": command[0], "args": list(command[1:])}


def _copilot(command: Sequence[str]) -> JsonObject:
    return {"type": "local", "command": command[0], "args": list(command[1:]), "tools": ["*"]}


def _opencode(command: Sequence[str]) -> JsonObject:
    return {"type": "local", "command": list(command), "enabled": True}


def _zed(command: Sequence[str]) -> JsonObject:
    return {"source": "custom", "command": command[0], "args": list(command[1:]), "env": {}}


def _goose(command: Sequence[str]) -> JsonObject:
    return {
        "name": "ostler",
        "type": "stdio",
        "enabled": True,
        "cmd": command[0],
        "args": list(command[1:]),
        "envs": {},
        "timeout": 300,
    }


_CODE: Final = "{config}/Code/User"

LOCATIONS: Final[tuple[Location, ...]] = (
    Location("claude-desktop", ("{config}/Claude/claude_desktop_config.json",)),
    Location("claude-code", (".claude.json",), project=".mcp.json", entry=_typed("stdio"), markers=(".claude",),
             limits=(".claude/settings.json",),
             project_limits=(".claude/settings.json", ".claude/settings.local.json")),
    Location("cursor", (".cursor/mcp.json",), project=".cursor/mcp.json", limits=(".cursor/cli-config.json",),
             project_limits=(".cursor/cli.json",)),
    Location("vscode", (f"{_CODE}/mcp.json",), ("servers",), ".vscode/mcp.json", _typed("stdio"),
             limits=(f"{_CODE}/settings.json",), project_limits=(".vscode/settings.json",)),
    Location("windsurf", (".codeium/windsurf/mcp_config.json",)),
    Location("antigravity", (".gemini/antigravity/mcp_config.json",)),
    Location("zed", (".config/zed/settings.json",), ("context_servers",), ".zed/settings.json", _zed),
    Location("cline", (f"{_CODE}/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",)),
    Location("roo", (f"{_CODE}/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json",),
             project=".roo/mcp.json"),
    Location("gemini", (".gemini/settings.json", ".qwen/settings.json"), project=".gemini/settings.json",
             limits=(".gemini/mcp-server-enablement.json",)),
    Location("codex", (".codex/config.toml",), ("mcp_servers",), ".codex/config.toml"),
    Location("opencode", (".config/opencode/opencode.json", ".config/opencode/opencode.jsonc"), ("mcp",),
             "opencode.json", _opencode),
    Location("continue", (".continue/config.yaml",), is_list=True,
             head="name: Local Config\nversion: 1.0.0\nschema: v1\n"),
    Location("goose", (".config/goose/config.yaml",), ("extensions",), entry=_goose),
    Location("librechat", (), project="librechat.yaml", entry=_typed("stdio")),
    Location("kiro", (".kiro/settings/mcp.json",), project=".kiro/settings/mcp.json", markers=(".kiro",)),
    Location("amazon-q", (".aws/amazonq/mcp.json",), project=".amazonq/mcp.json"),
    Location("lm-studio", (".lmstudio/mcp.json",)),
    Location("junie", (".junie/mcp/mcp.json",), project=".junie/mcp/mcp.json", markers=(".junie",)),
    Location("warp", (".warp/.mcp.json",), project=".warp/.mcp.json"),
    Location("copilot", (".copilot/mcp-config.json",), entry=_copilot,
             limits=(".copilot/config.json", ".copilot/settings.json")),
    Location("crush", (".config/crush/crush.json",), ("mcp",), "crush.json", _typed("stdio")),
    Location("amp", (".config/amp/settings.json",), ("amp.mcpServers",), ".amp/settings.json"),
)  # fmt: skip
"""Every client that has a file of its own."""

_FURTHER: Final[Mapping[str, tuple[str, ...]]] = {
    "vscode": (
        f"{_CODE}/settings.json",
        "{config}/Code - Insiders/User/mcp.json",
        "{config}/VSCodium/User/mcp.json",
    ),
    "roo": (
        f"{_CODE}/globalStorage/kilocode.kilo-code/settings/mcp_settings.json",
        ".kilocode/cli/global/settings/mcp_settings.json",
    ),
}
"""Files that are read for entries, and never written."""


_HOMES: Final[Mapping[str, tuple[str, str]]] = {
    "codex": ("CODEX_HOME", ".codex/"),
    "claude-code": ("CLAUDE_CONFIG_DIR", ".claude/"),
    "gemini": ("GEMINI_CLI_HOME", ""),
}
"""Variables that move a client's files, and what of their paths the folder that they name replaces."""


@dataclass(frozen=True, slots=True)
class ClientFile:
    """A file of a client on this machine; it need not be there.

    Attributes:
        location: whose it is.
        path: the file.
        workspace: the project that it belongs to; None for one of the user.
    """

    location: Location
    path: Path
    workspace: Path | None = None


class Machine:
    """Where the clients' files are.

    Args:
        environment: says where the home and the platform's folders are, and where clients look.
        platform: as `sys.platform`.
    """

    def __init__(self, environment: Mapping[str, str], platform: str = sys.platform) -> None:
        self._environment = environment
        self._home = Path(environment.get("HOME") or environment.get("USERPROFILE") or Path.home())
        self._platform = platform

    def file_of(self, client: str, project: Path | None = None) -> ClientFile | None:
        """Return the user's file of a client, whether it is there or not.

        A client that has only projects' files has that of `project`, if it is there; None if not.
        """
        location = next(location for location in LOCATIONS if location.client == client)
        if not location.paths:
            own = None if project is None else project / location.project
            return ClientFile(location, own, project) if own is not None and _is_file(own) else None
        paths = [self._resolve(path, client) for path in location.paths]
        return ClientFile(location, next(filter(_exists, paths), paths[0]))

    def is_there(self, file: ClientFile) -> bool:
        """Whether the client is on this machine: its file is there, or its folder."""
        folder = file.path.parent
        has_folder = folder != self._home and _exists(folder)
        return has_folder or _exists(file.path) or any(_exists(self._home / mark) for mark in file.location.markers)

    def files(self, project: Path | None = None) -> Iterator[ClientFile]:
        """Yield every file that is there: those of the user, and those of `project`."""
        for location in LOCATIONS:
            own = [self._resolve(path, location.client) for path in (*location.paths, *_further(location))]
            yield from (ClientFile(location, found) for found in own if _is_file(found))
            if project is not None and location.project:
                found = project / location.project
                if found not in own and _is_file(found):
                    yield ClientFile(location, found, project)

    def limiting(self, file: ClientFile, project: Path | None = None) -> Iterator[Path]:
        """Yield the other files that are there and limit the servers that `file` has for all or for one project."""
        location, project = file.location, project or file.workspace
        own = [self._resolve(path, location.client) for path in (*location.paths, *location.limits)]
        projects = [] if project is None else [project / path for path in (location.project, *location.project_limits)]
        yield from (path for path in (*own, *projects) if path != file.path and _is_file(path))

    def file_at(self, path: Path) -> ClientFile | None:
        """Return the file of a client that `path` is, when it is one that is known."""
        workspace = workspace_of(path)
        return next((file for file in self.files(workspace) if file.path == path), None)

    def _resolve(self, path: str, client: str) -> Path:
        variable, below = _HOMES.get(client, ("", ""))
        if home := self._environment.get(variable):
            return Path(home) / path.removeprefix(below)
        if path.startswith(".config/") and self._platform != "win32":
            base = self._environment.get("XDG_CONFIG_HOME")
            if base and self._platform == "linux":
                return Path(base) / path.removeprefix(".config/")
        if path.startswith("{config}/"):
            return self._config_folder() / path.removeprefix("{config}/")
        if path.startswith(".config/zed/") and self._platform == "win32":
            return self._config_folder() / "Zed" / "settings.json"
        return self._home / path

    def _config_folder(self) -> Path:
        if self._platform == "darwin":
            return self._home / "Library" / "Application Support"
        if self._platform == "win32":
            return Path(self._environment.get("APPDATA") or self._home / "AppData" / "Roaming")
        return Path(self._environment.get("XDG_CONFIG_HOME") or self._home / ".config")


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 (what may not be entered is not there; Path's own fails)


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113


def _further(location: Location) -> tuple[str, ...]:
    return _FURTHER.get(location.client, ())


def workspace_of(path: Path) -> Path | None:
    """Return the project that a file belongs to by its place in it, as `.vscode/mcp.json` does; None for no project."""
    for location in LOCATIONS:
        parts = Path(location.project).parts if location.project else ()
        is_own = any(path.parts[-len(Path(own).parts) :] == Path(own).parts for own in location.paths if own[0] == ".")
        if parts and path.parts[-len(parts) :] == parts:
            folder = path.parents[len(parts) - 1]
            return None if is_own and folder == Path(os.path.expanduser("~")) else folder  # noqa: PTH111 (never fails)
    return None
