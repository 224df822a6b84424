"""`package.json`: the scripts that run for as long as one works."""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from ostler.model.json import JsonObject, as_object
from ostler.rules.imports.found import (
    Found,
    FoundService,
    UnreadableSourceError,
    job,
    label,
    shell_service,
)
from ostler.rules.imports.shell_lines import port_of, port_option

_SERVERS = ("dev", "start", "serve", "develop", "storybook", "preview")
"""Scripts that serve; the first of the first three that there is stands for the app."""

_BACKGROUND = re.compile(r"(^|:)(watch|worker|queue|jobs?)(:|$)")
_JOB = re.compile(r"(?:.*[:_-])?(?:migrate|seed)(?:[:_-](?:dev|latest|up|run|deploy))?|db:push")
"""Scripts that bring a database up to date."""

_PREFIXED = re.compile(r"(dev|start|serve):([a-z0-9:_-]+)")
_TOGETHER = "it starts several packages at once: a service for each, in its folder, shows and restarts them apart"
_MANAGERS = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lock": "bun", "bun.lockb": "bun"}


def read_package_json(text: str, file: str, beside: Collection[str] = ()) -> Found:
    """Return the scripts of a package that are services.

    Args:
        text: the file.
        file: its name.
        beside: the names of the files next to it, by which the package manager is known.

    Raises:
        UnreadableSourceError: it is not JSON, or no package.
    """
    package = _object(text)
    scripts = as_object(package.get("scripts"))
    manager = _manager(package, beside)
    services: list[FoundService] = []
    for name, line in scripts.items():
        found = _service(str(name), str(line), scripts, manager, file)
        if found is not None:
            services.append(found)
    return Found(tuple(services))


def _service(name: str, line: str, scripts: Mapping[str, Any], manager: str, file: str) -> FoundService | None:
    origin = f"{file}, script {name}"
    if _BACKGROUND.search(name):
        return shell_service(label(name), f"{manager} run {name}", origin)
    if _JOB.fullmatch(name):
        wait = f"dependsOn: {{{label(name)}: completed}}"
        note = f"enabled: false, as it changes a database: remove that, and let what needs it wait by {wait}"
        return job(label(name), f"{manager} run {name}", origin, enabled=False, notes=(note,))
    prefixed = _PREFIXED.fullmatch(name)
    first = next((server for server in _SERVERS[:3] if server in scripts), None)
    if name not in (first, "storybook") and prefixed is None:
        return None
    if name == first and any(_PREFIXED.fullmatch(other) for other in scripts) and _runs_others(line):
        return None  # it only runs the others side by side
    called = "web" if name == first else label(prefixed[2] if prefixed else name)
    options = port_option(line)
    port = port_of(line)
    run = f"{manager} run {name}"
    if options and port is None:
        separator = "" if manager in ("yarn", "pnpm", "bun") else " --"
        return shell_service(called, f"{run}{separator} {options}", origin, port=0)
    notes = (_TOGETHER,) if name == first and _runs_others(line) else ()
    return shell_service(called, run, origin, port=port or 0, notes=notes)


def _runs_others(line: str) -> bool:
    return bool(re.search(r"\b(concurrently|run-p|npm-run-all|turbo)\b", line))


def _manager(package: JsonObject, beside: Collection[str]) -> str:
    named = str(package.get("packageManager") or "").partition("@")[0]
    if named in ("npm", "pnpm", "yarn", "bun"):
        return named
    return next((manager for lock, manager in _MANAGERS.items() if lock in beside), "npm")


def _object(text: str) -> JsonObject:
    try:
        value: Any = json.loads(text)
    except ValueError as error:
        raise UnreadableSourceError(f"it is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UnreadableSourceError("it is not an object")
    return as_object(value)
