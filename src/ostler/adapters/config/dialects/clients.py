"""The MCP clients whose configuration Ostler reads."""

from collections.abc import Mapping
from typing import Final

CLIENTS: Final[Mapping[str, str]] = {
    "claude-desktop": "Claude Desktop",
    "claude-code": "Claude Code",
    "cursor": "Cursor",
    "vscode": "VS Code",
    "windsurf": "Windsurf, Devin",
    "antigravity": "Antigravity",
    "zed": "Zed",
    "cline": "Cline",
    "roo": "Roo Code, Zoo Code",
    "gemini": "Gemini CLI, Qwen Code",
    "codex": "Codex, Grok",
    "opencode": "opencode, Kilo Code",
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
    "augment": "Augment",
    "droid": "Factory Droid",
    "vibe": "Mistral Vibe",
    "kimi": "Kimi Code",
    "mcpo": "mcpo",
    "anythingllm": "AnythingLLM",
    "eca": "ECA",
    "fast-agent": "fast-agent, mcp-agent",
    "hermes": "Hermes Agent",
    "litellm": "LiteLLM",
    "mcp-hub": "MCP Hub (Neovim)",
    "mcporter": "MCPorter",
    "nanobot": "nanobot",
    "picoclaw": "PicoClaw",
    "mcphub": "MCPHub",
    "mcp-proxy": "mcp-proxy (TBXark)",
    "omp": "oh-my-pi",
    "open-webui": "Open WebUI",
    "openclaw": "OpenClaw",
    "openhands": "OpenHands",
    "theia": "Theia IDE",
    "cherry": "Cherry Studio",
    "mcpb": "MCPB bundles",
    "registry": "the MCP registry's server.json",
}
"""Ids, and the names of the clients whose keys they stand for."""

ANY: Final = frozenset(CLIENTS)
"""Most clients, or a client that is not known."""
