"""Programs that install a server before they run it (`npx`, `uvx`, `docker run` …), and what they leave broken."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Final

from ostler.model.servers import ServerEntry

_INSTALLERS: Final = frozenset({
    "bun", "bunx", "cargo", "deno", "dnx", "docker", "dotnet", "go", "nix", "nix-shell", "npm", "npx", "pipx", "pnpm",
    "pnpx", "podman", "poetry", "uv", "uvx", "yarn",
})  # fmt: skip
_NPX: Final = frozenset({"npx", "npm"})
_NPX_FOLDER: Final = re.compile(r"(?P<folder>(?:/|[A-Za-z]:\\)[^'\"\n]*?[/\\]_npx[/\\][0-9a-f]{8,})")
_BROKEN: Final = re.compile(
    r"ENOTEMPTY|EEXIST|MODULE_NOT_FOUND|Cannot find (?:module|package)|ENOENT|EINTEGRITY|invalid package config"
    r"|Unexpected end of JSON input"
)
_NO_PROGRAM: Final = re.compile(r"(?:^|: )(?P<name>[\w.@/-]+): (?:command )?not found|could not determine executable")


def installs(entry: ServerEntry) -> bool:
    """Whether `entry`'s command may install the server first, which can take minutes."""
    return PurePath(entry.command.replace("\\", "/")).stem.lower() in _INSTALLERS


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
    elif PurePath(entry.command.replace("\\", "/")).stem.lower() in _NPX and any(map(_NO_PROGRAM.search, lines)):
        folder = next(_folders_of(entry, environment), "")
    if not folder:
        return ""
    return f"an earlier install by npx was cut off: delete {folder} and start the server again"


def _folders_of(entry: ServerEntry, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the folders in which npx keeps one of the packages that `entry` names."""
    home = environment.get("HOME") or environment.get("USERPROFILE") or "~"
    cache = Path(environment.get("npm_config_cache") or Path(home) / ".npm") / "_npx"
    names = {_without_version(arg) for arg in entry.args if not arg.startswith("-")}
    try:
        for file in sorted(cache.glob("*/package.json")):
            content = json.loads(file.read_text(encoding="utf-8"))
            if names.intersection(content.get("dependencies", {})):
                yield str(file.parent)
    except (OSError, ValueError, AttributeError):
        return


def _without_version(package: str) -> str:
    at = package.find("@", 1)
    return package if at < 0 else package[:at]
