"""Programs that install a server before they run it (`npx`, `uvx`, `docker run` …), and what they leave broken."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Final

from ostler.model.json import parse_json
from ostler.model.late_patterns import late_pattern
from ostler.model.servers import ServerEntry

_INSTALLERS: Final = frozenset({
    "bun", "bunx", "cargo", "deno", "dnx", "docker", "dotnet", "go", "nix", "nix-shell", "npm", "npx", "pipx", "pnpm",
    "pnpx", "podman", "poetry", "uv", "uvx", "yarn",
})  # fmt: skip
_NPX: Final = frozenset({"npx", "npm"})
_NPX_FOLDER: Final = late_pattern(r"(?P<folder>(?:/|[A-Za-z]:\\)[^'\"\n]*?[/\\]_npx[/\\][0-9a-f]{8,})")
_BROKEN: Final = late_pattern(
    r"ENOTEMPTY|EEXIST|MODULE_NOT_FOUND|Cannot find (?:module|package)|ENOENT|EINTEGRITY|invalid package config"
    r"|Unexpected end of JSON input"
)
_OLD_SDK: Final = late_pattern(
    r"ModuleNotFoundError: No module named 'mcp\.|ImportError: cannot import name '\w+' from 'mcp[.']"
    r"|AttributeError: module 'mcp(?:\.[\w.]+)?' has no attribute "
    r"|AttributeError: '(?:Server|FastMCP)' object has no attribute '(?:call|complete|completion|get|list|progress|read"
    r"|request|resource|set|subscribe|unsubscribe)"
)
"""How a server that was written for version 1 of the Python SDK ends under version 2."""

_NO_PROGRAM: Final = late_pattern(r"(?:^|: )(?P<name>[\w.@/-]+): (?:command )?not found|could not determine executable")


def installs(entry: ServerEntry) -> bool:
    """Whether `entry`'s command may install the server first, which can take minutes."""
    return _program(entry) in _INSTALLERS


def broken_cache(lines: Sequence[str], entry: ServerEntry, environment: Mapping[str, str]) -> str:
    """Return which folder of npm's cache to delete when an install that was cut off is why a server cannot start.

    npm never repairs a folder of `_npx` that it did not finish: every later `npx` fails in the same way.

    Args:
        lines: the server's last lines on stderr.
        entry: the server.
        environment: what its process got.
    """
    folder = ""
    if any(_BROKEN.search(line) for line in lines):
        found = (match["folder"] for line in lines if (match := _NPX_FOLDER.search(line)))
        folder = next(found, "")
    elif _program(entry) in _NPX and any(map(_NO_PROGRAM.search, lines)):
        folder = next(_folders_of(entry, environment), "")
    if not folder:
        return ""
    return f"an earlier install by npx was cut off: delete {folder} and start the server again"


def written_for_mcp_1(lines: Sequence[str], entry: ServerEntry) -> str:
    """Return what to write when a server ends since it was written for version 1 of MCP's Python SDK and got 2.

    Args:
        lines: the server's last lines on stderr.
        entry: the server.
    """
    if not any(map(_OLD_SDK.search, lines)):
        return ""
    reason = "it was written for version 1 of MCP's Python SDK (mcp) and was installed with 2"
    match _program(entry):
        case "uvx":
            return f'{reason}: put "--with", "mcp<2" first into its args (uvx --with \'mcp<2\' …)'
        case "uv":
            return f'{reason}: add "--with", "mcp<2" behind "run" in its args (uv run --with \'mcp<2\' …)'
        case "pipx":
            return f"{reason}: install it with 'mcp<2' (pipx inject its package with 'mcp<2')"
        case _:
            return f"{reason}: install 'mcp<2' where it is installed (pip install 'mcp<2')"


def _program(entry: ServerEntry) -> str:
    return PurePath(entry.command.replace("\\", "/")).stem.lower()


def _folders_of(entry: ServerEntry, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the folders in which npx keeps one of the packages that `entry` names."""
    home = environment.get("HOME") or environment.get("USERPROFILE") or "~"
    cache = Path(environment.get("npm_config_cache") or Path(home) / ".npm") / "_npx"
    names = {_without_version(arg) for arg in entry.args if not arg.startswith("-")}
    try:
        for file in sorted(cache.glob("*/package.json")):
            content = parse_json(file.read_text(encoding="utf-8"))
            if names.intersection(content.get("dependencies", {})):
                yield str(file.parent)
    except (OSError, ValueError, AttributeError):
        return


def _without_version(package: str) -> str:
    at = package.find("@", 1)
    return package if at < 0 else package[:at]
