"""The table of locations: where each client keeps its configuration, and how Ostler is written there."""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import Final

from ostler.adapters.config.dialects.clients import CLIENTS
from ostler.model.json import JsonObject, JsonValue, KeyPath

Writer = Callable[[Sequence[str]], JsonValue]
"""Makes a client's entry of a command."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where one client looks.

    Attributes:
        client: its id.
        paths: files below the user's home, `{config}`, `{data}` and `{local}` standing for the platform's folders;
            the first one that exists counts; if none does, the first one is created. `{VARIABLE}` stands for its value:
            if it is set, this is the file.
        place: where the entries stand.
        project: the same below a project's folder; empty when it has none.
        entry: writes Ostler's entry.
        is_list: its entries are a list, each with its name.
        head: what a file that is made begins with.
        markers: folders that show that the client is installed if its file does not exist; default: the file's folder.
        dialect: whose keys its entries have; default: its own.
        name: its name, where the dialect's is that of several clients.
        further: files that are read for entries and never written, a folder's files as `folder/*.json`.
        project_further: the same below a project's folder.
        limits: other files of the user that limit the servers, below the same folders as `paths`, or with `./` next to
            the file that has the servers.
        project_limits: the same below a project's folder.
        anywhere: globs of the ends of paths of files that are the client's in any folder, such as those of extensions.
        managed: the same in the folder where the machine's administrator sets the client up, see `_MANAGED`.
    """

    client: str
    paths: tuple[str, ...]
    place: KeyPath = ("mcpServers",)
    project: str = ""
    entry: Writer = field(default=lambda command: {"command": command[0], "args": list(command[1:])}, repr=False)
    is_list: bool = False
    head: str = ""
    markers: tuple[str, ...] = ()
    dialect: str = ""
    name: str = ""
    further: tuple[str, ...] = ()
    project_further: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    project_limits: tuple[str, ...] = ()
    managed: tuple[str, ...] = ()
    anywhere: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The client's name."""
        return self.name or CLIENTS[self.client]

    @property
    def writer(self) -> str:
        """The id of the client whose keys the entries have."""
        return self.dialect or self.client


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


def _vibe(command: Sequence[str]) -> JsonObject:
    return {"name": "ostler", "transport": "stdio", "command": command[0], "args": list(command[1:])}


_CODE: Final = "{config}/Code/User"
_REMOTE: Final = ".vscode-server/data/User"
_EXTENSIONS: Final = f"{_CODE}/globalStorage"

LOCATIONS: Final[tuple[Location, ...]] = (
    Location("claude-desktop", ("{config}/Claude/claude_desktop_config.json",)),
    Location("claude-code", (".claude.json",), project=".mcp.json", entry=_typed("stdio"), markers=(".claude",),
             further=("{managed}/managed-mcp.json",), limits=(".claude/settings.json",),
             project_limits=(".claude/settings.json", ".claude/settings.local.json"),
             managed=("managed-mcp.json", "managed-settings.json", "managed-settings.d/*.json"),
             anywhere=(".claude-plugin/plugin.json", ".claude-plugin/marketplace.json")),
    Location("cursor", (".cursor/mcp.json",), project=".cursor/mcp.json", limits=(".cursor/cli-config.json",),
             project_limits=(".cursor/cli.json",)),
    Location("vscode", (f"{_CODE}/mcp.json",), ("servers",), ".vscode/mcp.json", _typed("stdio"),
             further=(f"{_CODE}/settings.json", f"{_CODE}/profiles/*/mcp.json",
                      "{config}/Code - Insiders/User/mcp.json", "{config}/VSCodium/User/mcp.json"),
             project_further=(".vs/mcp.json",),
             limits=(f"{_CODE}/settings.json", "./settings.json"), project_limits=(".vscode/settings.json",),
             anywhere=("*.code-workspace", "devcontainer.json", ".devcontainer.json")),
    Location("vscode-remote", (f"{_REMOTE}/mcp.json",), ("servers",), entry=_typed("stdio"), dialect="vscode",
             name="VS Code Server (SSH, WSL, containers)", markers=(".vscode-server",),
             further=(".vscode-server-insiders/data/User/mcp.json",),
             limits=(".vscode-server/data/Machine/settings.json", ".vscode-server-insiders/data/Machine/settings.json"),
             project_limits=(".vscode/settings.json",)),
    Location("copilot-jetbrains", ("{local}/github-copilot/intellij/mcp.json",), ("servers",), entry=_typed("stdio"),
             dialect="vscode", name="GitHub Copilot in JetBrains IDEs"),
    Location("copilot-xcode", (".config/github-copilot/xcode/mcp.json",), ("servers",), entry=_typed("stdio"),
             dialect="vscode", name="GitHub Copilot for Xcode"),
    Location("windsurf", (".codeium/windsurf/mcp_config.json",), name="Windsurf"),
    Location("devin", (".config/devin/mcp_config.json",), project=".devin/mcp_config.json", dialect="windsurf",
             name="Devin", further=(".config/devin/config.json",),
             project_further=(".devin/mcp_config.local.json", ".devin/config.json", ".devin/config.local.json"),
             limits=(".config/devin/config.json",),
             project_limits=(".devin/config.json", ".devin/config.local.json")),
    Location("antigravity", (".gemini/config/mcp_config.json", ".gemini/antigravity/mcp_config.json"),
             project=".agents/mcp_config.json", markers=(".gemini/antigravity", ".gemini/antigravity-cli"),
             limits=(".gemini/antigravity-cli/settings.json",), project_limits=(".antigravity/settings.json",)),
    Location("zed", (".config/zed/settings.json",), ("context_servers",), ".zed/settings.json", _zed),
    Location("cline", ("{CLINE_MCP_SETTINGS_PATH}", "{CLINE_DATA_DIR}/settings/cline_mcp_settings.json",
                       ".cline/data/settings/cline_mcp_settings.json",
                       f"{_EXTENSIONS}/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"),
             markers=(".cline",)),
    Location("roo", (f"{_EXTENSIONS}/rooveterinaryinc.roo-cline/settings/mcp_settings.json",
                     f"{_REMOTE}/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json"),
             project=".roo/mcp.json", name="Roo Code",
             further=(f"{_EXTENSIONS}/kilocode.kilo-code/settings/mcp_settings.json",
                      ".kilocode/cli/global/settings/mcp_settings.json"),
             project_further=(".kilocode/mcp.json",)),
    Location("zoo", (f"{_EXTENSIONS}/zoocodeorganization.zoo-code/settings/mcp_settings.json",
                     f"{_REMOTE}/globalStorage/zoocodeorganization.zoo-code/settings/mcp_settings.json"), dialect="roo",
             name="Zoo Code"),
    Location("kilo", (".config/kilo/kilo.json", ".config/kilo/kilo.jsonc"), ("mcp",), "kilo.json", _opencode,
             dialect="opencode", name="Kilo Code",
             project_further=("kilo.jsonc", ".kilo/kilo.json", ".kilo/kilo.jsonc")),
    Location("gemini", (".gemini/settings.json",), project=".gemini/settings.json", name="Gemini CLI",
             limits=(".gemini/mcp-server-enablement.json", ".gemini/policies/*.toml",
                     "{GEMINI_CLI_SYSTEM_SETTINGS_PATH}", "{GEMINI_CLI_SYSTEM_DEFAULTS_PATH}"),
             project_limits=(".gemini/policies/*.toml",),
             managed=("settings.json", "system-defaults.json", "policies/*.toml"), anywhere=("gemini-extension.json",)),
    Location("qwen", (".qwen/settings.json",), project=".qwen/settings.json", dialect="gemini", name="Qwen Code",
             limits=("{QWEN_CODE_SYSTEM_SETTINGS_PATH}", "{QWEN_CODE_SYSTEM_DEFAULTS_PATH}"),
             managed=("settings.json", "system-defaults.json"), anywhere=("qwen-extension.json",)),
    Location("codex", (".codex/config.toml",), ("mcp_servers",), ".codex/config.toml", name="Codex",
             managed=("requirements.toml", "managed_config.toml")),
    Location("grok", (".grok/config.toml",), ("mcp_servers",), ".grok/config.toml", dialect="codex", name="Grok"),
    Location("opencode", (".config/opencode/opencode.json", ".config/opencode/opencode.jsonc"), ("mcp",),
             "opencode.json", _opencode, name="opencode",
             further=("{OPENCODE_CONFIG}", "{OPENCODE_CONFIG_DIR}/opencode.json",
                      "{OPENCODE_CONFIG_DIR}/opencode.jsonc"),
             project_further=("opencode.jsonc", ".opencode/opencode.json", ".opencode/opencode.jsonc"),
             managed=("opencode.json", "opencode.jsonc")),
    Location("continue", (".continue/config.yaml",), is_list=True,
             head="name: Local Config\nversion: 1.0.0\nschema: v1\n",
             further=tuple(f".continue/mcpServers/*.{kind}" for kind in ("yaml", "yml", "json")),
             project_further=tuple(f".continue/mcpServers/*.{kind}" for kind in ("yaml", "yml", "json")),
             limits=(".continue/permissions.yaml",)),
    Location("goose", (".config/goose/config.yaml",), ("extensions",), entry=_goose,
             limits=(".config/goose/permission.yaml",)),
    Location("librechat", (), project="librechat.yaml", entry=_typed("stdio")),
    Location("kiro", (".kiro/settings/mcp.json",), project=".kiro/settings/mcp.json", markers=(".kiro",),
             limits=(".kiro/settings/permissions.yaml",)),
    Location("amazon-q", (".aws/amazonq/mcp.json",), project=".amazonq/mcp.json"),
    Location("lm-studio", (".lmstudio/mcp.json",)),
    Location("junie", (".junie/mcp/mcp.json",), project=".junie/mcp/mcp.json", markers=(".junie",), name="Junie"),
    Location("jetbrains", (), project=".ai/mcp/mcp.json", dialect="junie", name="JetBrains AI Assistant"),
    Location("warp", (".warp/.mcp.json",), project=".warp/.mcp.json",
             limits=(".warp/settings.toml", ".config/warp-terminal/settings.toml")),
    Location("copilot", (".copilot/mcp-config.json",), entry=_copilot, project=".github/mcp.json",
             limits=(".copilot/config.json", ".copilot/settings.json")),
    Location("crush", (".config/crush/crush.json",), ("mcp",), "crush.json", _typed("stdio")),
    Location("amp", ("{AMP_SETTINGS_FILE}", ".config/amp/settings.json", ".config/amp/settings.jsonc"),
             ("amp.mcpServers",), ".amp/settings.json", managed=("managed-settings.json",)),
    Location("augment", (".augment/settings.json",), project=".augment/settings.json", entry=_typed("stdio"),
             project_further=(".augment/settings.local.json",), project_limits=(".augment/settings.local.json",),
             managed=("settings.json",)),
    Location("openclaw", ("{OPENCLAW_CONFIG_PATH}", ".openclaw/openclaw.json"), ("mcp", "servers")),
    Location("theia", (".theia-ide/settings.json", ".theia/settings.json"), ("ai-features.mcp.mcpServers",),
             ".theia/settings.json"),
    Location("droid", (".factory/mcp.json",), project=".factory/mcp.json", entry=_typed("stdio"),
             limits=(".factory/settings.json",),
             project_limits=(".factory/settings.json", ".factory/settings.local.json")),
    Location("trae", ("{config}/Trae/User/mcp.json",), project=".trae/mcp.json", dialect="claude-desktop",
             name="Trae"),
    Location("qoder", (".qoder/mcp.json",), project=".qoder/mcp.json", dialect="claude-desktop", name="Qoder"),
    Location("codebuddy", (".codebuddy/mcp.json",), project=".codebuddy/mcp.json", dialect="claude-desktop",
             name="CodeBuddy"),
    Location("openhands", (".openhands/mcp.json",), dialect="claude-desktop", name="OpenHands CLI"),
    Location("rovo-dev", (".rovodev/mcp.json",), dialect="claude-desktop", name="Rovo Dev CLI",
             limits=(".rovodev/config.yml",)),
    Location("void", (".void-editor/mcp.json",), dialect="claude-desktop", name="Void"),
    Location("boltai", (".boltai/mcp.json",), dialect="claude-desktop", name="BoltAI"),
    Location("jan", ("{data}/Jan/data/mcp_config.json",), dialect="claude-desktop", name="Jan"),
    Location("vibe", (".vibe/config.toml",), ("mcp_servers",), ".vibe/config.toml", _vibe, is_list=True),
    Location("kimi", (".kimi-code/mcp.json",), project=".kimi-code/mcp.json", limits=(".kimi-code/config.toml",)),
)  # fmt: skip
"""Every client that has its own file."""

CLIENT_IDS: Final = tuple(location.client for location in LOCATIONS)
"""The ids of the clients, as commands take them."""


_HOMES: Final[Mapping[str, tuple[str, str, str]]] = {
    "codex": ("CODEX_HOME", ".codex/", ""),
    "claude-code": ("CLAUDE_CONFIG_DIR", ".claude/", ""),
    "gemini": ("GEMINI_CLI_HOME", "", ""),
    "qwen": ("QWEN_HOME", ".qwen/", ""),
    "cline": ("CLINE_DIR", ".cline/", ""),
    "continue": ("CONTINUE_GLOBAL_DIR", ".continue/", ""),
    "crush": ("CRUSH_GLOBAL_CONFIG", ".config/crush/", ""),
    "droid": ("FACTORY_HOME_OVERRIDE", "", ""),
    "copilot": ("COPILOT_HOME", ".copilot/", ""),
    "openclaw": ("OPENCLAW_STATE_DIR", ".openclaw/", ""),
    "goose": ("GOOSE_PATH_ROOT", ".config/goose/", "config/"),
    "grok": ("GROK_HOME", ".grok/", ""),
    "kiro": ("KIRO_HOME", ".kiro/", ""),
    "kimi": ("KIMI_CODE_HOME", ".kimi-code/", ""),
    "vibe": ("VIBE_HOME", ".vibe/", ""),
}
"""Variables that move a client's files, what of their paths the folder that they name replaces, and what is below."""

_VARIABLE: Final = re.compile(r"\{([A-Z_]+)\}")

_ROAMING: Final[Mapping[str, str]] = {
    ".config/zed/": "Zed/", ".config/goose/": "Block/goose/config/", ".config/devin/": "devin/",
}  # fmt: skip
"""Folders that are in `%APPDATA%` on Windows, and their names there."""

_MANAGED: Final[Mapping[str, tuple[str, str, str]]] = {
    "claude-code": ("/etc/claude-code", "/Library/Application Support/ClaudeCode", "C:/Program Files/ClaudeCode"),
    "gemini": ("/etc/gemini-cli", "/Library/Application Support/GeminiCli", "C:/ProgramData/gemini-cli"),
    "qwen": ("/etc/qwen-code", "/Library/Application Support/QwenCode", "C:/ProgramData/qwen-code"),
    "codex": ("/etc/codex", "/etc/codex", "C:/ProgramData/OpenAI/Codex"),
    "opencode": ("/etc/opencode", "/Library/Application Support/opencode", "C:/ProgramData/opencode"),
    "amp": ("/etc/ampcode", "/Library/Application Support/ampcode", "C:/ProgramData/ampcode"),
    "augment": ("/etc/augment", "/etc/augment", "C:/ProgramData/augment"),
}
"""Where an administrator sets a client up, for everyone on the machine: on Linux, macOS and Windows."""


@dataclass(frozen=True, slots=True)
class ClientFile:
    """A file of a client on this machine; it need not exist.

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
        root: what the folders of administrators are below.
    """

    def __init__(self, environment: Mapping[str, str], platform: str = sys.platform, root: Path = Path("/")) -> None:
        self._environment = environment
        self._home = Path(environment.get("HOME") or environment.get("USERPROFILE") or Path.home())
        self._platform = platform
        self._root = root

    def file_of(self, client: str, project: Path | None = None) -> ClientFile | None:
        """Return the user's file of a client, whether it exists or not.

        For a client that only has files of projects, return that of `project`, None if it does not exist.
        """
        location = next(location for location in LOCATIONS if location.client == client)
        if not location.paths:
            own = None if project is None else project / location.project
            return ClientFile(location, own, project) if own is not None and _is_file(own) else None
        paths = self._own_paths(location)
        return ClientFile(location, next(filter(_exists, paths), paths[0]))

    def is_there(self, file: ClientFile) -> bool:
        """Whether the client is on this machine: its file or its folder exists."""
        folder = file.path.parent
        has_folder = folder != self._home and _exists(folder)
        return has_folder or _exists(file.path) or any(_exists(self._home / mark) for mark in file.location.markers)

    def files(self, project: Path | None = None) -> Iterator[ClientFile]:
        """Yield every file that exists: those of the user, and those of `project`."""
        for location in LOCATIONS:
            own = list(self._own(location))
            yield from (ClientFile(location, found) for found in own)
            if project is not None:
                found = _below(project, (location.project, *location.project_further))
                yield from (ClientFile(location, path, project) for path in found if path not in own)

    def limiting(self, file: ClientFile, project: Path | None = None) -> Iterator[Path]:
        """Yield the other existing files that limit the servers which `file` has for all or for one project."""
        location, project = file.location, project or file.workspace
        managed = (f"{{managed}}/{name}" for name in location.managed)
        is_users = file.workspace is None and not _is_named(file.path, location.anywhere)
        near = [name for name in location.limits if is_users and name.startswith("./")]
        limits = (name for name in (*location.limits, *managed) if not name.startswith("./"))
        own = chain(self._own(location), self._there(location, limits), _below(file.path.parent, near))
        names = (location.project, *location.project_further, *location.project_limits)
        projects = iter(()) if project is None else _below(project, names)
        yield from dict.fromkeys(path for path in chain(own, projects) if path != file.path)

    def file_at(self, path: Path) -> ClientFile | None:
        """Return the file of a client that `path` is, when it is one that is known."""
        known = (file for file in self.files(workspace_of(path)) if file.path == path)
        by_name = (ClientFile(location, path) for location in LOCATIONS if _is_named(path, location.anywhere))
        return next(chain(known, by_name), None)

    def _own_paths(self, location: Location) -> list[Path]:
        """Return where the user's file may be: where a variable says, else in the usual places."""
        paths = [(path, self._resolve(path, location)) for path in location.paths]
        named = next((whole for path, whole in paths if whole is not None and _VARIABLE.match(path)), None)
        return [whole for _, whole in paths if whole is not None] if named is None else [named]

    def _own(self, location: Location) -> Iterator[Path]:
        """Yield the existing files of the user that have servers."""
        yield from filter(_is_file, self._own_paths(location))
        yield from self._there(location, location.further)

    def _there(self, location: Location, paths: Iterable[str]) -> Iterator[Path]:
        for path in paths:
            if (whole := self._resolve(path, location)) is not None:
                fixed = next((index for index, part in enumerate(whole.parts) if "*" in part), len(whole.parts) - 1)
                yield from _below(Path(*whole.parts[:fixed]), ["/".join(whole.parts[fixed:])])

    def _resolve(self, path: str, location: Location) -> Path | None:
        """Return the whole path; None where it begins with a variable that is not set."""
        variable, prefix, below = _HOMES.get(location.client, ("", "", ""))
        start, _, rest = path.partition("/")
        if match := _VARIABLE.match(path):
            named = self._environment.get(match[1])
            return self._folder(named) / rest if named else None
        if start == "{managed}":
            return self._managed_folder(location.client) / rest
        if start in ("{config}", "{data}", "{local}"):
            return self._platform_folder(start) / rest
        if home := self._environment.get(variable):
            return self._folder(home) / below / path.removeprefix(prefix)
        roaming = next((start for start in _ROAMING if path.startswith(start)), "")
        if self._platform == "win32" and roaming:
            return self._platform_folder("{config}") / _ROAMING[roaming] / path.removeprefix(roaming)
        base = self._environment.get("XDG_CONFIG_HOME") if self._platform == "linux" else None
        return Path(base) / path.removeprefix(".config/") if base and path.startswith(".config/") else self._home / path

    def _folder(self, named: str) -> Path:
        return self._home / named[2:] if named.startswith("~/") else Path(named)

    def _managed_folder(self, client: str) -> Path:
        linux, darwin, windows = _MANAGED[client]
        folder = {"darwin": darwin, "win32": windows}.get(self._platform, linux)
        return self._root / folder.removeprefix("/")

    def _platform_folder(self, kind: str) -> Path:
        linux = {
            "{config}": ("XDG_CONFIG_HOME", ".config"),
            "{data}": ("XDG_DATA_HOME", ".local/share"),
            "{local}": ("XDG_CONFIG_HOME", ".config"),
        }
        roaming = ("APPDATA", "AppData/Roaming")
        windows = {"{config}": roaming, "{data}": roaming, "{local}": ("LOCALAPPDATA", "AppData/Local")}
        if self._platform == "darwin" and kind != "{local}":
            return self._home / "Library" / "Application Support"
        variable, usual = (windows if self._platform == "win32" else linux)[kind]
        return Path(self._environment.get(variable) or self._home / usual)


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 (False for a folder that may not be entered, where Path.exists raises)


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113


def _is_named(path: Path, globs: Iterable[str]) -> bool:
    return any(map(path.match, globs))


def _below(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    """Yield the existing files below `folder`; those of a pattern, such as `folder/*.json`, by name."""
    for name in filter(None, names):
        yield from filter(_is_file, sorted(folder.glob(name)) if "*" in name else [folder / name])


def workspace_of(path: Path) -> Path | None:
    """Return the project that a file belongs to by its place in it, as `.vscode/mcp.json` does; None for no project."""
    for location in LOCATIONS:
        is_own = any(_ends_with(path, own) for own in location.paths if own[0] == ".")
        for name in (location.project, *location.project_further):
            if name and _ends_with(path, name):
                folder = path.parents[len(Path(name).parts) - 1]
                return None if is_own and folder == _home() else folder
    above = path.parent.parent  # of a client that is not known
    is_clients = path.parent.name.startswith(".") and "mcp" in path.name
    return above if is_clients and above != _home() else None


def _home() -> Path:
    return Path(os.path.expanduser("~"))  # noqa: PTH111 (never fails)


def _ends_with(path: Path, name: str) -> bool:
    parts = Path(name).parts
    last = path.parts[-len(parts) :]
    return len(last) == len(parts) and all(fnmatchcase(one, glob) for one, glob in zip(last, parts, strict=True))
