"""`package.json`: the scripts that run for as long as one works."""

import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from msgspec.structs import replace

from ostler.model.json import JsonObject, as_object
from ostler.rules.imports.found import (
    RUNNING,
    Found,
    FoundService,
    UnreadableSourceError,
    job,
    label,
    shell_service,
)
from ostler.rules.imports.shell_lines import (
    found_by,
    is_joined,
    own_port_note,
    port_of,
    port_option,
    run_with_own_port,
    script_port_note,
    with_own_port,
)

APP_SCRIPTS = ("dev", "start", "serve", "develop")
"""Scripts that serve; the first one that there is stands for the app."""

_BACKGROUND = re.compile(r"(^|:)(watch|worker|queue|jobs?)(:|$)")
_JOB = re.compile(r"(?:.*[:_-])?(?:migrate|seed)(?:[:_-](?:dev|latest|up|run|deploy))?|db:push")
"""Scripts that bring a database up to date."""

_PREFIXED = re.compile(r"(dev|start|serve):([a-z0-9:_-]+)")
_TOGETHER = "it starts several packages at once: a service for each, in its folder, shows and restarts them apart"
_DELEGATES = re.compile(
    r"\b(turbo|nx|lerna|moon|wsrun)\b|\bpnpm\b.*\s(-r|--recursive|-F|--filter|-C)\b"
    r"|\b(npm|bun)\b.*\s(-w|--workspaces?|--filter)\b|\byarn\s+workspaces?\b"
)
"""Lines that run scripts of other packages."""

_ONE_TARGET = re.compile(r"\bnx (?!run-many\b|affected\b)[a-z]")
"""Lines of Nx that run one package."""

_WATCHER = re.compile(
    r"(?:npx\s+)?(?:tsc|tsgo|tsup|tsdown|unbuild|rollup|swc|babel|vite build|tailwindcss|sass|esbuild)\s(?:[^&|;]*\s)?"
    r"(?:-w|--watch)(?:=\S+|\s[^&|;]*)?"
)
"""Lines that build again when a file changes, and serve nothing."""

_DOCKER = re.compile(r"\b(docker|podman)([ -]compose)?\b.*\bup\b")
_RUN = re.compile(r"(npm|pnpm|yarn|bun)(?: run)? ([\w:.-]+)")
"""A command that only runs a script."""

INSTALL = "install"
"""The service that installs what packages need."""

LOCKS = {
    "pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lock": "bun", "bun.lockb": "bun",
    "package-lock.json": "npm", "npm-shrinkwrap.json": "npm",
}  # fmt: skip
"""Files that fix the versions of packages, and the program that does so."""


def read_package_json(
    text: str,
    file: str,
    beside: Collection[str] = (),
    *,
    manager: str = "",
    installed_by: str = "",
    split: bool = False,
) -> Found:
    """Return the scripts of a package that are services, after a job that installs their dependencies.

    Args:
        text: the file.
        file: its path in the project.
        beside: the names of the files next to it: lock files, by which the package manager is known, and `.env`.
        manager: the package manager of the workspace that it is a package of.
        installed_by: the service that installs what all packages of that workspace need; of its root, that one itself.
        split: it is the root of a workspace whose packages have services; scripts that only run those are left out.

    Raises:
        UnreadableSourceError: it is not JSON, or no package.
    """
    package = _object(text)
    own = label(file.split("/")[-2]) if "/" in file else ""
    scripts = {str(name): str(line) for name, line in as_object(package.get("scripts")).items()}
    if split:
        scripts = {name: line for name, line in scripts.items() if not (_DELEGATES.search(line) or _runs_others(line))}
    in_force = manager or package_manager(package, beside)
    found = [_service(name, line, scripts, in_force, file) for name, line in scripts.items()]
    files = tuple(name for name in _env_names(package) if name in beside)
    made = (_named(service, own) for service in found if service is not None)
    services = [replace(service, env_files=files) for service in made]
    lock = lock_of(beside)
    if not manager and (lock or needs(package) or installed_by) and (services or split):
        installed_by = f"{own}-{INSTALL}" if own else INSTALL
        line = f"{in_force} install" + (" --no-audit --no-fund" if in_force == "npm" else "")
        origin = f"{file}, {lock}" if lock else file
        watched = ("package.json", "*/package.json") if split else ("package.json",)
        services.insert(0, job(installed_by, line, origin, watch=(lock,) if lock else watched))
    return Found(tuple(_after(service, installed_by) for service in services))


def lock_of(beside: Collection[str]) -> str:
    """Return the name of the file that fixes the versions of packages; empty if there is none."""
    return next((name for name in LOCKS if name in beside), "")


def package_manager(package: JsonObject, beside: Collection[str]) -> str:
    """Return the program that runs a package's scripts: the one that it names, or whose lock file stands next to it."""
    named = str(package.get("packageManager") or "").partition("@")[0]
    if named in ("npm", "pnpm", "yarn", "bun"):
        return named
    return LOCKS.get(lock_of(beside), "npm")


def _env_names(package: JsonObject) -> tuple[str, ...]:
    """Return the files of variables that frameworks read in development, the one that overrides the others last.

    They are listed so that a worktree, which git creates without them, uses the main checkout's.
    """
    if needs(package) & {"next", "react-scripts"}:
        return (".env", ".env.development", ".env.local", ".env.development.local")
    return (".env", ".env.local", ".env.development", ".env.development.local")


def needs(package: JsonObject) -> set[str]:
    """Return the names of the packages that a package needs."""
    return as_object(package.get("dependencies")).keys() | as_object(package.get("devDependencies")).keys()


def _named(service: FoundService, folder: str) -> FoundService:
    """Return the service of a package in a folder of its own, named after that."""
    if not folder:
        return service
    rest = "" if service.name == "web" else service.name.removeprefix(folder).strip("-")
    return replace(service, name=label(f"{folder}-{rest}"))


def _after(service: FoundService, installed_by: str) -> FoundService:
    if not installed_by or service.name == installed_by:
        return service
    return replace(service, depends_on={installed_by: "completed", **service.depends_on})


def _service(name: str, line: str, scripts: Mapping[str, str], manager: str, file: str) -> FoundService | None:
    origin = f"{file}, script {name}"
    run = f"{manager} run {name}"
    if _DOCKER.search(line):
        return None  # what it starts is in the Compose file
    if _BACKGROUND.search(name):
        return shell_service(label(name), run, origin)
    if _JOB.fullmatch(name):
        wait = f"dependsOn: {{{label(name)}: completed}}"
        note = f"enabled: false, as it changes a database: remove that, and let what needs it wait by {wait}"
        return job(label(name), run, origin, enabled=False, notes=(note,))
    prefixed = _PREFIXED.fullmatch(name)
    first = next((server for server in APP_SCRIPTS if server in scripts), None)
    if name not in (first, "storybook") and prefixed is None:
        return None
    if name == first and any(_PREFIXED.fullmatch(other) for other in scripts) and _runs_others(line):
        return None  # it only runs the others side by side
    called = "web" if name == first else label(prefixed[2] if prefixed else name)
    starts_several = _runs_others(line) or (_DELEGATES.search(line) and not _ONE_TARGET.search(line))
    notes = (_TOGETHER,) if name == first and starts_several else ()
    return _server(called, line, run, origin, notes)


def _server(name: str, line: str, run: str, origin: str, notes: tuple[str, ...]) -> FoundService:
    """Return the service of a script that serves; `run` runs it, and it has `line`."""
    if _WATCHER.fullmatch(line) and "success" not in line.lower():  # tsup --onSuccess starts a server
        return shell_service(name, run, origin)
    port, manager = port_of(line) or 0, run.partition(" ")[0]
    command = run_with_own_port(run, line, separator="--" if manager == "npm" else "")
    if not command and port and not is_joined(line) and (free := with_own_port(line, port)):
        command = found_by(_finder(manager, line), free)
        notes = (*notes, f"its command is the line of that script with {{port}} for {port}")
    if command:
        return shell_service(name, command, origin, port=0, had_port=port, notes=notes)
    return shell_service(name, run, origin, port=port, kept=script_port_note(port), notes=notes)


def with_scripts(found: Found, package: Callable[[str], JsonObject]) -> Found:
    """Return `found`, where commands that run a script which serves give that its port.

    Args:
        found: what a file says, with folders from its own.
        package: returns the `package.json` of a folder; empty for none.
    """

    def made(service: FoundService) -> FoundService:
        command = str(service.args.get("command", ""))
        run = _RUN.fullmatch(command) if service.class_name in RUNNING else None
        if run is None:
            return service
        line = script_line(command, lambda: package(service.folder))
        if port_option(line) == "" and port_of(line) is None:
            return service
        server = _server(service.name, line, f"{run[1]} run {run[2]}", "", ())
        if server.class_name != "dev-server":
            return service
        own = {key: value for key, value in service.args.items() if key not in ("command", "shell")}
        before = [note for note in service.notes if not server.notes or note != own_port_note(service.served_at)]
        return replace(
            service,
            class_name="dev-server",
            args={**server.args, **own},
            served_at=server.served_at or service.served_at,
            notes=(*before, *server.notes),
        )

    return replace(found, services=tuple(map(made, found.services)))


def script_line(command: str, package: Callable[[], JsonObject]) -> str:
    """Return the line of the script that a command runs; of any other command, that itself.

    Args:
        command: the command.
        package: returns the `package.json` of the folder that it runs in.
    """
    run = _RUN.fullmatch(command)
    return command if run is None else str(as_object(package().get("scripts")).get(run[2]) or "")


def _finder(manager: str, line: str) -> str:
    """Return what a line begins with that runs a program of a package, as its scripts do."""
    if re.match(r"(?:node|deno|bunx?|npx|pnpm|yarn)\s", line):
        return ""
    return {"npm": "npx ", "pnpm": "pnpm exec ", "bun": "bunx "}.get(manager, f"{manager} ")


def _runs_others(line: str) -> bool:
    return bool(re.search(r"\b(concurrently|run-p|npm-run-all|turbo)\b", line))


def _object(text: str) -> JsonObject:
    try:
        value: Any = json.loads(text)
    except ValueError as error:
        raise UnreadableSourceError(f"it is not JSON: {error}") from None
    except RecursionError:
        raise UnreadableSourceError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise UnreadableSourceError("it is not an object")
    return as_object(value)
