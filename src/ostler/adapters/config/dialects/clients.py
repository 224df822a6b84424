"""The MCP clients whose configuration Ostler reads."""

from collections.abc import Mapping
from typing import Final

CLIENTS: Final[Mapping[str, str]] = {
    "claude-desktop": "Claude Desktop",
    "claude-code": "Claude Code",
    "cursor": "Cursor",
    "vscode": "VS Code",
    "windsurf": "Windsurf",
    "antigravity": "Antigravity",
    "zed": "Zed",
    "cline": "Cline",
    "roo": "Roo Code, Kilo Code",
    "gemini": "Gemini CLI, Qwen Code",
    "codex": "Codex",
    "opencode": "opencode",
    "continue": "Continue",
    "goose": "Goose",
    "librechat": "LibreChat",
    "kiro": "Kiro",
    "amazon-q": "Amazon Q Developer",
    "lm-studio": "LM Studio",
    "junie": "Junie, JetBrains AI",
    "warp": "Warp",
    "copilot": "Copilot CLI",
    "crush": "Crush",
    "amp": "Amp",
    "mcpo": "mcpo",
    "mcphub": "MCPHub",
    "cherry": "Cherry Studio",
    "mcpb": "MCPB bundles",
    "registry": "the MCP registry's server.json",
}
"""Ids, as `ostler servers import --from` takes them, and the names of the clients."""

ANY: Final = frozenset(CLIENTS)
"""Most clients, or a client that is not known."""
