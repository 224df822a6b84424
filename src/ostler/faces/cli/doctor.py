"""`ostler doctor`: what this machine has and lacks, one line each, with what to do. It starts and changes nothing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, cast

import typer
from msgspec import Struct

from ostler.adapters.config.paths import Paths
from ostler.faces.bridge.dialer import OstlerUnavailableError, ServerSilentError
from ostler.faces.bridge.greeting import RefusedError
from ostler.faces.bridge.version import VERSION
from ostler.faces.cli.server_verbs import OTHER_CODE, runs_other_code
from ostler.faces.cli.services import AsJson
from ostler.faces.cli.session import ExitStatus, Session, session_of
from ostler.faces.output import say, say_json
from ostler.model.json import JsonObject

Verdict = Literal["ok", "note", "problem"]

_LITTLE_DISK: Final = 1024**3
_NO_DISK: Final = 100 * 1024**2
_LONGEST_SOCKET: Final = 100
_PROBE_SECONDS: Final = 5.0
_PROGRAMS: Final = {
    "node": "servers written in JavaScript",
    "npx": "servers from npm",
    "uvx": "servers from PyPI",
    "docker": "servers and services in containers",
    "kubectl": "Kubernetes",
}
_RUNTIMES: Final = {"docker": ("docker", "info", "--format", "{{.ServerVersion}}")}


class Check(Struct, frozen=True):
    """One line.

    Attributes:
        area: what it is about.
        verdict: `ok`, `note` for what may be meant, or `problem`.
        text: what was found.
        fix: what to do; empty when there is nothing.
    """

    area: str
    verdict: Verdict
    text: str
    fix: str = ""


def doctor(context: typer.Context, as_json: AsJson = False) -> None:
    """Check this machine. Folders, programs, PATH, clients, servers, leftover processes: each line says what to do."""
    session = session_of(context)
    checks = list(_checks(session))
    if as_json:
        say_json({"checks": [_facts(check) for check in checks]})
    else:
        width = max(len(check.area) for check in checks)
        for check in checks:
            fix = f" → {check.fix}" if check.fix else ""
            say(f"{check.verdict:<7}  {check.area:<{width}}  {check.text}{fix}")
    if any(check.verdict == "problem" for check in checks):
        raise typer.Exit(int(ExitStatus.FAILED))


def _checks(session: Session) -> Iterator[Check]:
    yield Check("ostler", "ok", f"version {VERSION} on Python {sys.version.split()[0]}, in {sys.prefix}")
    server = _server(session)
    yield from _server_check(session, server)
    yield from _guarded("folders", _folder_checks(session.paths))
    yield from _guarded("settings", _settings_checks(session.paths))
    yield from _guarded("classes", _class_checks(session.paths))
    yield from _guarded("PATH", _path_checks())
    yield from _guarded("mcp.json", _server_checks(session.paths))
    yield from _guarded("clients", _client_checks())
    if isinstance(server, Exception) or (server is not None and server.get("standby")):
        return  # it alone, or the server that it stands by for, knows which processes are whose
    yield from _guarded("processes", _strays(session, is_served=server is not None))
    if server is None:
        yield from _guarded("processes", _leftovers(session.paths))
    else:
        yield from _connections(session)


def _guarded(area: str, checks: Iterator[Check]) -> Iterator[Check]:
    """Yield the checks of one area; where the system refuses one, that is what was found."""
    try:
        yield from checks
    except OSError as error:
        at = f": {error.filename}" if error.filename else ""
        text = f"could not be checked: {error.strerror or error}{at}"
        yield Check(area, "problem", text, "make it readable for you, or use other folders (--config, --state)")


def _server(session: Session) -> JsonObject | ServerSilentError | RefusedError | None:
    """Return what the server says of itself, or why it says nothing; None: there is none."""
    try:
        return session.dialer().request("status")
    except (ServerSilentError, RefusedError) as error:
        return error
    except OstlerUnavailableError:
        return None


def _server_check(session: Session, server: JsonObject | Exception | None) -> Iterator[Check]:
    if isinstance(server, Exception):
        text, _, fix = str(server).partition(". Next: ")
        yield Check("server", "problem", text, fix or "ostler stop-server, then try again")
    elif server is None:
        yield Check("server", "ok", "none is running; the next command or client starts it")
    elif server.get("standby"):
        text, _, fix = str(server["standby"]).partition(". Next: ")
        yield Check("server", "note", text, fix)
    elif server["version"] != VERSION:
        text = f"version {server['version']} is running, this is {VERSION}"
        yield Check("server", "note", text, "ostler stop-server; the next command starts this version")
    elif runs_other_code(server):
        fix = "ostler stop-server; the next command starts this one, and services run on"
        yield Check("server", "note", f"pid {server['pid']} {OTHER_CODE}", fix)
    else:
        yield Check("server", "ok", f"running, pid {server['pid']}, log {session.place.log_file}")


def _folder_checks(paths: Paths) -> Iterator[Check]:
    for name, folder in (("config", paths.config_dir), ("state", paths.state_dir)):
        there = next(parent for parent in (folder, *folder.parents) if os.path.exists(parent))  # noqa: PTH110 (never fails)
        if there == folder and (owner := _other_owner(folder)) is not None:
            text = f"{folder} belongs to another user (uid {owner})"
            yield Check(name, "problem", text, f"use a folder of your own: --{name} DIR or OSTLER_{name.upper()}")
            continue
        if not os.access(there, os.W_OK | os.X_OK):
            yield Check(name, "problem", f"{folder} cannot be written", f"make {there} writable, or use --{name} DIR")
            continue
        free = shutil.disk_usage(there).free
        room = f"{free / 1024**3:.1f} GiB free"
        if free < _NO_DISK:
            yield Check(name, "problem", f"{folder}: {room}", "free space there: Ostler cannot keep its journal")
        elif free < _LITTLE_DISK:
            yield Check(name, "note", f"{folder}: {room}", "free space there before it runs out")
        else:
            yield Check(name, "ok", f"{folder}: {room}")
    if sys.platform != "win32" and len(str(paths.socket)) > _LONGEST_SOCKET:
        fix = "use a state folder with a shorter path"
        yield Check("state", "note", f"the socket's path is long: {paths.socket}", fix)


def _settings_checks(paths: Paths) -> Iterator[Check]:
    """Yield what keeps the server from starting: ostler.toml is read only then and when it changes."""
    from ostler.adapters.config.settings_file import load_settings
    from ostler.model.errors import ManifestError

    try:
        load_settings(paths.settings_file)
    except ManifestError as error:
        for finding in error.findings:
            yield Check("settings", "problem", str(finding), "correct it: no server starts until then")


def _class_checks(paths: Paths) -> Iterator[Check]:
    from ostler.adapters.config.class_files import ClassFiles

    for finding in ClassFiles(None, paths.serviceclasses_dir, packs=paths.packs_dir).reload().findings:
        yield Check("classes", "problem" if finding.severity == "error" else "note", str(finding))


def _other_owner(folder: Path) -> int | None:
    """Return the user that a folder belongs to, if that is another one who alone may write there."""
    if os.name != "posix" or os.access(folder, os.W_OK):
        return None
    owner = folder.stat().st_uid
    return None if owner == os.geteuid() else owner


def _path_checks() -> Iterator[Check]:
    from ostler.adapters.caller_environment import without_own
    from ostler.adapters.environments import login_environment

    here = without_own(os.environ).get("PATH", "")
    folders = list(dict.fromkeys(filter(None, here.split(os.pathsep))))
    missing = [folder for folder in folders if not os.path.isdir(folder)]  # noqa: PTH112 (never fails)
    if missing:
        yield Check("PATH", "note", f"has folders that do not exist: {', '.join(missing)}", "remove them from PATH")
    login = login_environment(os.environ)
    if login is None:
        fix = "check the start files of your shell: they must not wait for input"
        yield Check("PATH", "note", "your login shell did not say its environment within 5 seconds", fix)
        return
    known = login.get("PATH", "").split(os.pathsep)
    only_here = [folder for folder in folders if folder not in known]
    text = "a login shell has the same folders" if not only_here else f"only this terminal has {', '.join(only_here)}"
    fix = (
        "servers that no one asked for do not see them; set PATH in the start files of your shell" if only_here else ""
    )
    yield Check("PATH", "note" if only_here else "ok", text, fix)


def _program_checks(needed: set[str]) -> Iterator[Check]:
    for program, purpose in _PROGRAMS.items():
        found = shutil.which(program)
        if found is None:
            verdict: Verdict = "problem" if program in needed else "note"
            wanted = ", which mcp.json uses" if program in needed else ""
            yield Check(
                program, verdict, f"not found{wanted}; needed for {purpose}", f"install {program}, if you want those"
            )
        elif program in _RUNTIMES and (trouble := _trouble(_RUNTIMES[program])):
            verdict = "problem" if program in needed else "note"
            yield Check(program, verdict, f"{found} does not answer: {trouble}", f"start {program}'s own service")
        else:
            yield Check(program, "ok", found)


def _trouble(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(list(command), capture_output=True, timeout=_PROBE_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return f"no answer within {_PROBE_SECONDS:g} seconds"
    except OSError as error:
        return error.strerror or str(error)
    words = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return (words[-1] if words else f"exit status {done.returncode}") if done.returncode else ""


def _server_entries(paths: Paths) -> tuple[dict[str, str], list[Check]]:
    """Return the programs of mcp.json's servers by name, and what is wrong with the file."""
    from ostler.adapters.config.server_files import ServerFiles
    from ostler.adapters.environments import find_program

    if not paths.mcp_json.exists() and not paths.own_servers.exists():
        fix = "ostler servers import adds those of your MCP clients"
        return {}, [Check("mcp.json", "note", f"there is none in {paths.config_dir}", fix)]
    loaded = ServerFiles(paths, os.environ).load()
    checks = [
        Check("mcp.json", "problem" if finding.severity == "error" else "note", str(finding))
        for finding in loaded.findings
    ]
    local = {name: entry for name, entry in loaded.entries.items() if entry.transport == "stdio" and not entry.disabled}
    for name, entry in local.items():
        environment = {**os.environ, **entry.env}
        if (
            find_program(entry.command, environment)[0] is None
            and not (Path(entry.cwd or "/") / entry.command).exists()
        ):
            fix = "install it, or give its whole path"
            checks.append(Check("mcp.json", "problem", f"server {name!r}: {entry.command!r} was not found", fix))
    if not checks:
        checks.append(Check("mcp.json", "ok", f"{len(loaded.entries)} server{'' if len(loaded.entries) == 1 else 's'}"))
    return {name: entry.command for name, entry in local.items()}, checks


def _server_checks(paths: Paths) -> Iterator[Check]:
    entries, checks = _server_entries(paths)
    yield from _program_checks({Path(command).name for command in entries.values()})
    yield from checks


def _client_checks() -> Iterator[Check]:
    from ostler.adapters.config.client_edit import removal
    from ostler.adapters.config.client_files import Machine
    from ostler.adapters.config.dialects.locations import LOCATIONS
    from ostler.model.errors import OstlerError

    machine = Machine(os.environ)
    any_found = False
    for location in LOCATIONS:
        file = machine.file_of(location.client)
        if file is None or not machine.is_there(file):
            continue
        any_found = True
        try:
            has_it = removal(file).changes
        except OstlerError as error:
            yield Check(location.label, "problem", str(error))
            continue
        if has_it:
            yield Check(location.label, "ok", f"has Ostler, in {file.path}")
        else:
            yield Check(location.label, "note", "does not have Ostler", f"ostler install {location.client}")
    if not any_found:
        yield Check("clients", "note", "no MCP client was found", "install one, or write its file by hand (README)")


def _strays(session: Session, *, is_served: bool) -> Iterator[Check]:
    if is_served:  # the server knows its services, too
        from ostler.faces.cli.next_steps import in_verbs
        from ostler.faces.cli.project_verbs import stray_text

        status = session.ask("project_status").structured
        rows: list[JsonObject] = status.get("leftOver", [])
        left = [stray_text(row) for row in rows if "project" not in row]
        for gone in [row for row in rows if "project" in row]:
            text = f"services of {gone['project']} run on, and its folder {gone['directory']} {gone['reason']}"
            yield Check("projects", "note", text, "ostler prune stops and removes them")
        for unseen in cast("list[JsonObject]", status.get("notLookedAt", [])):
            fix = in_verbs(f"Next: {unseen['next']}").removeprefix("Next: ")
            yield Check("leftovers", "note", unseen["reason"], fix)
    else:
        from ostler.adapters.process.strays import find_strays

        left = [str(stray) for stray in find_strays(session.paths.process_dir, is_served=False)]
    if left:
        text = f"left by an earlier run of Ostler, and no service's: {'; '.join(left)}"
        yield Check("processes", "note", text, "ostler prune ends them")


def _leftovers(paths: Paths) -> Iterator[Check]:
    from pydantic import ValidationError

    from ostler.adapters.process.records import ProcessRecord
    from ostler.adapters.process.trees import liveness

    running: list[str] = []
    for path in sorted((paths.process_dir / "records").glob("*.json")):
        try:
            record = ProcessRecord.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            yield Check("processes", "note", f"the record {path} cannot be read", "remove it if its process is gone")
            continue
        if record.exited_at is None and liveness(record)[1] is not None:
            running.append(record.key)
    if running:
        text = f"running from before, without a server that watches them: {', '.join(running)}"
        fix = "ostler ps takes them over; ostler stop NAME stops one, ostler prune those without a service"
        yield Check("processes", "note", text, fix)
    else:
        text = (
            "none is left over from an earlier run; what other MCP servers still run is not looked at without a server"
        )
        yield Check("processes", "ok", text)


def _connections(session: Session) -> Iterator[Check]:
    from ostler.adapters.downstream.snapshots import DISABLED, WAY_TO_ENABLE

    for server in cast("list[JsonObject]", session.ask("mcpserver_list").structured.get("mcpServers", [])):
        state, reason = server.get("state"), server.get("reason") or server.get("lastError")
        if state == "connected":
            yield Check("servers", "ok", f"{server['name']}: connected")
        elif state == "stopped":
            why, is_off = f", {reason}" if reason else "", reason == DISABLED
            fix = WAY_TO_ENABLE if is_off else f"ostler start {server['name']}"
            yield Check("servers", "ok" if is_off else "note", f"{server['name']}: stopped{why}", fix)
        else:
            text = f"{server['name']}: {state}{f', {reason}' if reason else ''}"
            verdict = "note" if state == "starting" else "problem"  # npx and uvx may download for minutes
            yield Check("servers", verdict, text, f"ostler explain {server['name']}")


def _facts(check: Check) -> JsonObject:
    facts: JsonObject = {"area": check.area, "verdict": check.verdict, "text": check.text, "fix": check.fix}
    return {key: value for key, value in facts.items() if value}


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(doctor)
