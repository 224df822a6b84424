"""The table of locations: where each client keeps its configuration, and how Ostler is written there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ostler.adapters.config.dialects.clients import CLIENTS
from ostler.model.json import JsonObject, JsonValue, KeyPath

Writer = Callable[[Sequence[str]], JsonValue]
"""Makes a client's entry of a command."""


@dataclass(frozen=True, slots=True)
class VariablePlaces:
    """Where a client has variables that it sets before it reads its servers.

    Attributes:
        settings: where the files that limit its servers, or have them, have objects of variables.
        files: its `.env` files, highest first: below the user's home (`~/`), in the project (`./`), or in the nearest
            folder, from the project upwards, that has one of those (`^/`).
        is_one: only the first file that exists counts.
        overrides: they replace variables that are set already.
    """

    settings: tuple[KeyPath, ...] = ()
    files: tuple[str, ...] = ()
    is_one: bool = False
    overrides: bool = False


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
        shared: a project's files of other clients that this one reads, too.
        limits: other files of the user that limit the servers, below the same folders as `paths`, or with `./` next to
            the file that has the servers; `{hash}` stands for that of the project's path, and `{here}` for the
            folder in which someone looks for servers.
        project_limits: the same below a project's folder.
        anywhere: globs of the ends of paths of files that are the client's in any folder, such as those of extensions.
        overrides: files of the user whose entries count more than those of the other files, below the same folders.
        project_overrides: the same below a project's folder.
        merges: whether entries of the same name in several of its files are merged.
        managed: the same in the folder where the machine's administrator sets the client up, see `MANAGED`.
        variables: where it has variables of its own.
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
    shared: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    project_limits: tuple[str, ...] = ()
    managed: tuple[str, ...] = ()
    anywhere: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    project_overrides: tuple[str, ...] = ()
    merges: bool = False
    variables: VariablePlaces = VariablePlaces()

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
    Location("claude-desktop", ("{config}/Claude/claude_desktop_config.json",),
             further=("{config}/Claude/Claude Extensions/*/manifest.json",)),
    Location("claude-code", (".claude.json",), project=".mcp.json", entry=_typed("stdio"), markers=(".claude",),
             further=("{managed}/managed-mcp.json",), limits=(".claude/settings.json",),
             project_limits=(".claude/settings.json", ".claude/settings.local.json"),
             managed=("managed-mcp.json", "managed-settings.json", "managed-settings.d/*.json"),
             anywhere=(".claude-plugin/plugin.json", ".claude-plugin/marketplace.json"),
             variables=VariablePlaces((("env",),), overrides=True)),
    Location("cursor", (".cursor/mcp.json",), project=".cursor/mcp.json",
             limits=(".cursor/cli-config.json", ".cursor/hooks.json"),
             project_limits=(".cursor/cli.json", ".cursor/hooks.json"), managed=("hooks.json",)),
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
    Location("windsurf", (".codeium/windsurf/mcp_config.json",), name="Windsurf",
             limits=(".codeium/windsurf/hooks.json", "{here}/.windsurf/hooks.json"), managed=("hooks.json",)),
    Location("devin", (".config/devin/mcp_config.json",), project=".devin/mcp_config.json", dialect="windsurf",
             name="Devin", further=(".config/devin/config.json",),
             project_further=(".devin/mcp_config.local.json", ".devin/config.json", ".devin/config.local.json"),
             limits=(".config/devin/config.json",), project_limits=(".devin/config.json",),
             project_overrides=(".devin/mcp_config.local.json", ".devin/config.local.json"), managed=("hooks.json",)),
    Location("antigravity", (".gemini/config/mcp_config.json", ".gemini/antigravity/mcp_config.json"),
             project=".agents/mcp_config.json", markers=(".gemini/antigravity", ".gemini/antigravity-cli"),
             limits=(".gemini/antigravity-cli/settings.json",), project_limits=(".antigravity/settings.json",)),
    Location("zed", (".config/zed/settings.json",), ("context_servers",), ".zed/settings.json", _zed),
    Location("cline", ("{CLINE_MCP_SETTINGS_PATH}", "{CLINE_DATA_DIR}/settings/cline_mcp_settings.json",
                       ".cline/data/settings/cline_mcp_settings.json",
                       f"{_EXTENSIONS}/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"),
             markers=(".cline",),
             limits=("{CLINE_GLOBAL_SETTINGS_PATH}", "{CLINE_DATA_DIR}/settings/global-settings.json",
                     ".cline/data/settings/global-settings.json")),
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
             project_further=("kilo.jsonc", ".kilo/kilo.json", ".kilo/kilo.jsonc"), merges=True),
    Location("gemini", (".gemini/settings.json",), project=".gemini/settings.json", name="Gemini CLI",
             further=(".gemini/extensions/*/gemini-extension.json",),
             limits=(".gemini/mcp-server-enablement.json", ".gemini/trustedFolders.json",
                     ".gemini/extensions/extension-enablement.json",
                     ".gemini/policies/*.toml", "{GEMINI_CLI_SYSTEM_DEFAULTS_PATH}"),
             overrides=("{GEMINI_CLI_SYSTEM_SETTINGS_PATH}",),
             project_limits=(".gemini/policies/*.toml",),
             managed=("settings.json", "system-defaults.json", "policies/*.toml"), anywhere=("gemini-extension.json",),
             variables=VariablePlaces(files=("^/.gemini/.env", "^/.env", "~/.gemini/.env", "~/.env"), is_one=True)),
    Location("qwen", (".qwen/settings.json",), project=".qwen/settings.json", dialect="gemini", name="Qwen Code",
             further=(".qwen/extensions/*/qwen-extension.json",), shared=(".mcp.json",),
             limits=(".qwen/trustedFolders.json", ".qwen/mcpApprovals.json",
                     ".qwen/extensions/extension-enablement.json", "{QWEN_CODE_SYSTEM_DEFAULTS_PATH}"),
             overrides=("{QWEN_CODE_SYSTEM_SETTINGS_PATH}",),
             managed=("settings.json", "system-defaults.json"), anywhere=("qwen-extension.json",),
             variables=VariablePlaces((("env",),), ("^/.qwen/.env", "^/.env", "~/.qwen/.env", "~/.env"))),
    Location("tabnine", (".tabnine/agent/settings.json",), project=".tabnine/agent/settings.json", dialect="gemini",
             name="Tabnine CLI", limits=("{TABNINE_CLI_SYSTEM_DEFAULTS_PATH}",),
             overrides=("{TABNINE_CLI_SYSTEM_SETTINGS_PATH}",), managed=("settings.json", "system-defaults.json")),
    Location("tabnine-agent", (".tabnine/mcp_servers.json",), project=".tabnine/mcp_servers.json",
             dialect="claude-desktop", name="Tabnine Agent", markers=(".tabnine",)),
    Location("codex", (".codex/config.toml",), ("mcp_servers",), ".codex/config.toml", name="Codex",
             limits=(".codex/hooks.json",), project_limits=(".codex/hooks.json",),
             managed=("requirements.toml", "managed_config.toml"), merges=True,
             variables=VariablePlaces(files=("~/.codex/.env",), overrides=True)),
    Location("grok", (".grok/config.toml",), ("mcp_servers",), ".grok/config.toml", dialect="codex", name="Grok"),
    Location("opencode", (".config/opencode/opencode.json", ".config/opencode/opencode.jsonc"), ("mcp",),
             "opencode.json", _opencode, name="opencode",
             further=("{OPENCODE_CONFIG}", "{OPENCODE_CONFIG_DIR}/opencode.json",
                      "{OPENCODE_CONFIG_DIR}/opencode.jsonc"),
             project_further=("opencode.jsonc", ".opencode/opencode.json", ".opencode/opencode.jsonc"),
             managed=("opencode.json", "opencode.jsonc"), merges=True),
    Location("continue", (".continue/config.yaml",), is_list=True,
             head="name: Local Config\nversion: 1.0.0\nschema: v1\n",
             further=tuple(f".continue/mcpServers/*.{kind}" for kind in ("yaml", "yml", "json")),
             project_further=tuple(f".continue/mcpServers/*.{kind}" for kind in ("yaml", "yml", "json")),
             limits=(".continue/permissions.yaml",),
             variables=VariablePlaces(files=("~/.continue/.env", "./.continue/.env", "./.env"))),
    Location("goose", (".config/goose/config.yaml",), ("extensions",), entry=_goose,
             limits=(".config/goose/permission.yaml",)),
    Location("librechat", (), project="librechat.yaml", entry=_typed("stdio"),
             variables=VariablePlaces(files=("./.env",))),
    Location("kiro", (".kiro/settings/mcp.json",), project=".kiro/settings/mcp.json", markers=(".kiro",),
             limits=(".kiro/settings/permissions.yaml", ".kiro/workspace-roots/{hash}/permissions.yaml")),
    Location("amazon-q", (".aws/amazonq/mcp.json",), project=".amazonq/mcp.json"),
    Location("lm-studio", (".lmstudio/mcp.json",)),
    Location("junie", (".junie/mcp/mcp.json",), project=".junie/mcp/mcp.json", markers=(".junie",), name="Junie",
             limits=(".junie/allowlist.json", ".junie/config.json")),
    Location("jetbrains", (), project=".ai/mcp/mcp.json", dialect="junie", name="JetBrains AI Assistant"),
    Location("warp", (".warp/.mcp.json",), project=".warp/.mcp.json",
             limits=(".warp/settings.toml", ".config/warp-terminal/settings.toml")),
    Location("copilot", (".copilot/mcp-config.json",), entry=_copilot, project=".github/mcp.json",
             shared=(".mcp.json",),
             limits=(".copilot/config.json", ".copilot/settings.json", ".copilot/hooks/*.json"),
             project_limits=(".github/copilot/settings.json", ".github/copilot/settings.local.json",
                             ".github/hooks/*.json"), managed=("managed-settings.json",)),
    Location("crush", (".config/crush/crush.json",), ("mcp",), ".crush.json", _typed("stdio"),
             project_further=("crush.json",), project_overrides=(".crush/crush.json",), merges=True,
             overrides=("{CRUSH_GLOBAL_DATA}/crush.json", "{XDG_DATA_HOME}/crush/crush.json",
                        ".local/share/crush/crush.json"),
             variables=VariablePlaces((("env",),), overrides=True)),
    Location("amp", ("{AMP_SETTINGS_FILE}", ".config/amp/settings.json", ".config/amp/settings.jsonc"),
             ("amp.mcpServers",), ".amp/settings.json", managed=("managed-settings.json",)),
    Location("augment", (".augment/settings.json",), project=".augment/settings.json", entry=_typed("stdio"),
             project_further=(".augment/settings.local.json",), project_overrides=(".augment/settings.local.json",),
             managed=("settings.json",)),
    Location("omp", (".omp/agent/mcp.json",), project=".omp/mcp.json", markers=(".omp",),
             further=(".omp/agent/.mcp.json", ".omp/profiles/*/agent/mcp.json"), project_further=(".omp/.mcp.json",),
             limits=(".omp/agent/config.yml", ".omp/agent/config.yaml"), project_limits=(".omp/config.yml",)),
    Location("openclaw", ("{OPENCLAW_CONFIG_PATH}", ".openclaw/openclaw.json"), ("mcp", "servers"),
             variables=VariablePlaces((("env",), ("env", "vars")), ("~/.openclaw/.env",))),
    Location("theia", (".theia-ide/settings.json", ".theia/settings.json"), ("ai-features.mcp.mcpServers",),
             ".theia/settings.json"),
    Location("droid", (".factory/mcp.json",), project=".factory/mcp.json", entry=_typed("stdio"),
             limits=(".factory/settings.json",),
             project_limits=(".factory/settings.json", ".factory/settings.local.json"), managed=("settings.json",)),
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
    Location("vibe", (".vibe/config.toml",), ("mcp_servers",), ".vibe/config.toml", _vibe, is_list=True,
             limits=(".vibe/trusted_folders.toml", ".vibe/hooks.toml"), project_limits=(".vibe/hooks.toml",),
             variables=VariablePlaces(files=("~/.vibe/.env",))),
    Location("eca", (".config/eca/config.json",), project=".eca/config.json", merges=True),
    Location("hermes", (".hermes/config.yaml",), ("mcp_servers",),
             variables=VariablePlaces(files=("~/.hermes/.env",))),
    Location("nanobot", (".nanobot/config.json",), ("tools", "mcpServers")),
    Location("mcp-hub", (".config/mcphub/servers.json",)),
    Location("mcporter", (".mcporter/mcporter.json",), project="config/mcporter.json"),
    Location("anythingllm", ("{config}/anythingllm-desktop/storage/plugins/anythingllm_mcp_servers.json",)),
    Location("kimi-cli", (".kimi/mcp.json",), dialect="claude-desktop", name="Kimi CLI"),
    Location("kimi", (".kimi-code/mcp.json",), project=".kimi-code/mcp.json", limits=(".kimi-code/config.toml",)),
)  # fmt: skip
"""Every client that has its own file."""

CLIENT_IDS: Final = tuple(location.client for location in LOCATIONS)
"""The ids of the clients, as commands take them."""


HOMES: Final[Mapping[str, tuple[str, str, str]]] = {
    "codex": ("CODEX_HOME", ".codex/", ""),
    "claude-code": ("CLAUDE_CONFIG_DIR", ".claude/", ""),
    "gemini": ("GEMINI_CLI_HOME", "", ""),
    "qwen": ("QWEN_HOME", ".qwen/", ""),
    "cline": ("CLINE_DIR", ".cline/", ""),
    "continue": ("CONTINUE_GLOBAL_DIR", ".continue/", ""),
    "crush": ("CRUSH_GLOBAL_CONFIG", ".config/crush/", ""),
    "droid": ("FACTORY_HOME_OVERRIDE", "", ""),
    "copilot": ("COPILOT_HOME", ".copilot/", ""),
    "hermes": ("HERMES_HOME", ".hermes/", ""),
    "openclaw": ("OPENCLAW_STATE_DIR", ".openclaw/", ""),
    "goose": ("GOOSE_PATH_ROOT", ".config/goose/", "config/"),
    "grok": ("GROK_HOME", ".grok/", ""),
    "kiro": ("KIRO_HOME", ".kiro/", ""),
    "kimi-cli": ("KIMI_SHARE_DIR", ".kimi/", ""),
    "kimi": ("KIMI_CODE_HOME", ".kimi-code/", ""),
    "vibe": ("VIBE_HOME", ".vibe/", ""),
}
"""Variables that move a client's files, the part of the paths that the folder they name replaces, and what is below."""

ROAMING: Final[Mapping[str, str]] = {
    ".config/zed/": "Zed/", ".config/goose/": "Block/goose/config/", ".config/devin/": "devin/",
}  # fmt: skip
"""Folders that are in `%APPDATA%` on Windows, and their names there."""

MANAGED: Final[Mapping[str, tuple[str, str, str]]] = {
    "claude-code": ("/etc/claude-code", "/Library/Application Support/ClaudeCode", "C:/Program Files/ClaudeCode"),
    "devin": ("/etc/devin", "/Library/Application Support/Devin", "C:/ProgramData/Devin"),
    "windsurf": ("/etc/windsurf", "/Library/Application Support/Windsurf", "C:/ProgramData/Windsurf"),
    "cursor": ("/etc/cursor", "/Library/Application Support/Cursor", "C:/ProgramData/Cursor"),
    "gemini": ("/etc/gemini-cli", "/Library/Application Support/GeminiCli", "C:/ProgramData/gemini-cli"),
    "qwen": ("/etc/qwen-code", "/Library/Application Support/QwenCode", "C:/ProgramData/qwen-code"),
    "tabnine": ("/etc/tabnine-cli", "/Library/Application Support/TabnineCli", "C:/ProgramData/tabnine-cli"),
    "codex": ("/etc/codex", "/etc/codex", "C:/ProgramData/OpenAI/Codex"),
    "droid": ("/etc/factory", "/Library/Application Support/Factory", "C:/Program Files/Factory"),
    "opencode": ("/etc/opencode", "/Library/Application Support/opencode", "C:/ProgramData/opencode"),
    "copilot": ("/etc/github-copilot", "/Library/Application Support/GitHubCopilot", "C:/Program Files/GitHubCopilot"),
    "amp": ("/etc/ampcode", "/Library/Application Support/ampcode", "C:/ProgramData/ampcode"),
    "augment": ("/etc/augment", "/etc/augment", "C:/ProgramData/augment"),
}
"""Where an administrator sets a client up, for everyone on the machine: on Linux, macOS and Windows."""
