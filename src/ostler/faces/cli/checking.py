"""What `ostler check` and `ostler tools save` do: check classes against the tools they call, as listed or saved."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

from msgspec import Struct

from ostler.adapters.config.class_files import ClassFiles
from ostler.adapters.config.paths import class_files_in, is_test_file, shipped_classes_dir
from ostler.adapters.config.recorded_answers import record_answer
from ostler.adapters.config.tool_files import FOLDER, answers_of_tests, save_tools, saved_tools, tools_from
from ostler.adapters.regular_files import read_regular_text
from ostler.faces.cli.importing import configured_names
from ostler.faces.cli.recording import result_of
from ostler.faces.cli.reports import finding_facts, human_report, sarif_report, summary_of
from ostler.faces.cli.rpc import ServerClient, ToolAnswer
from ostler.faces.cli.session import ExitStatus, Session, fail, require, usage_error
from ostler.faces.output import complain, say, say_json
from ostler.model.errors import DefinitionError, Finding, ManifestError, NotFoundError
from ostler.model.json import JsonObject, present
from ostler.model.manifest import ServiceClass
from ostler.model.projects import PROJECT_FILE
from ostler.model.responses import ToolResponse
from ostler.model.tool_names import ToolNames
from ostler.rules.checking.class_check import check_loaded
from ostler.rules.checking.loaded_class import LoadedClass
from ostler.rules.checking.tool_lists import KnownTools, ToolList, live_list, tool_schema
from ostler.rules.loading.project_check import check_project
from ostler.rules.loading.projects import LoadedProject, examine_project
from ostler.rules.reading import load_manifests

_SUFFIXES = (".yaml", ".yml", ".json")
_MAX_BYTES = 1024 * 1024
_CONNECT_WAIT = "20s"


class _Targets(Struct):
    """What is to be checked, every class that there is, and what is wrong with the files."""

    projects: list[LoadedProject] = []
    loaded: list[LoadedClass] = []
    classes: dict[str, ServiceClass] = {}
    findings: list[Finding] = []


def check_classes(
    session: Session, targets: Sequence[str], places: Sequence[Path], *, offline: bool, form: str
) -> bool:
    """Check what `targets` name, print what was found, and return whether that is nothing.

    Args:
        session: the folders in force.
        targets: files, folders or names of classes; every class, and this folder's project, when there are none.
        places: tools lists, and folders of them, that go before all others.
        offline: ask no server.
        form: `human`, `json` or `sarif`.
    """
    try:
        given, saved = tools_from(places), saved_tools(session.paths)
    except DefinitionError as error:
        usage_error(str(error))
    configured = configured_names(session).servers | given.lists.keys()
    known = given.over(saved)
    found = _gather(session, targets, known.names_of(configured))
    if found.loaded and not offline:
        live = _live_tools(session, found.loaded, given)
        known = given.over(live).over(saved)
        if any(item.is_translated for item in found.loaded):  # what is listed now tells their tool names apart
            found = _gather(session, targets, known.names_of(configured | live.servers))
    known = known.with_answers(_tested(found.loaded))
    findings = list(found.findings)
    for item in found.loaded:
        findings += check_loaded(item, known, {**found.classes, item.service_class.name: item.service_class})
    for project in found.projects:
        from ostler.adapters.projects.project_files import too_long_names  # it imports anyio

        findings += [*check_project(project, known, found.classes), *too_long_names(project)]
    findings.sort(key=lambda finding: (finding.file, finding.line, finding.column))
    names = [item.service_class.name for item in found.loaded]
    _print(form, findings, (names, [project.file for project in found.projects]), _tool_sources(known, found.loaded))
    return not findings


def _print(
    form: str, findings: Sequence[Finding], checked: tuple[Sequence[str], Sequence[str]], tools: Mapping[str, str]
) -> None:
    names, projects = checked
    match form:
        case "json":
            facts = [finding_facts(found) for found in findings]
            what: JsonObject = {"classes": list(names), **({"projects": list(projects)} if projects else {})}
            say_json({"clean": not findings, **what, "tools": dict(tools), "findings": facts})
        case "sarif":
            say_json(sarif_report(findings, version("ostler")))
        case _:
            sources = ", ".join(f"{server} {state}" for server, state in tools.items())
            say(human_report(findings, summary_of(findings, names, sources, len(projects))))


# -- what to check -----------------------------------------------------------------------------------------


def _gather(session: Session, targets: Sequence[str], known: ToolNames) -> _Targets:
    snapshot = ClassFiles(
        shipped_classes_dir(), session.paths.serviceclasses_dir, known, packs=session.paths.packs_dir
    ).reload()
    found = _Targets(classes={name: entry.loaded.service_class for name, entry in snapshot.entries.items()})
    if not targets:
        found.loaded = [entry.loaded for entry in snapshot.entries.values()]
        found.findings = [finding for finding in snapshot.findings if finding.severity == "error"]
        if os.path.lexists(here := Path(PROJECT_FILE)):  # a link to nothing, or a pipe, is a mistake too
            _load(found, here, known, partial(read_regular_text, limit=_MAX_BYTES))
        return found
    for target in targets:
        path = Path(target)
        files = class_files_in(path) if path.is_dir() else []
        is_class = target in snapshot.entries and not path.is_file()
        if files or (path.is_dir() and not is_class):
            for file in files:
                _load(found, file, known, partial(read_regular_text, limit=_MAX_BYTES))
        elif is_test_file(path):
            continue  # a shell's *.yaml takes the tests of the classes, too
        elif is_class:
            found.loaded.append(snapshot.entries[target].loaded)
        elif path.exists() or path.suffix in _SUFFIXES or len(path.parts) > 1:
            _load(found, path, known, _read_named)
        else:
            missing = NotFoundError("ServiceClass", target, known=list(snapshot.entries))
            fail(f"{missing}. Next: name a class, a file or a folder", ExitStatus.NOT_FOUND)
    return found


def _read_named(file: Path) -> str:
    """Return the text of a file that was named, which may be a pipe: `ostler check <(…)`."""
    return file.read_text(encoding="utf-8")


def _load(found: _Targets, file: Path, known: ToolNames, read: Callable[[Path], str]) -> None:
    try:
        text = read(file)
    except OSError as error:
        found.findings.append(Finding(f"cannot be read: {error.strerror or error}", str(file), rule="unreadable"))
        return
    except UnicodeDecodeError as error:
        found.findings.append(Finding(f"is not UTF-8 text ({error.reason})", str(file), rule="encoding"))
        return
    try:
        if file.name == PROJECT_FILE:
            project, findings = examine_project(text, str(file))
            found.projects += [] if project is None else [project]
            found.findings += findings
            return
        loaded = load_manifests(text, str(file), known=known)
    except ManifestError as error:
        found.findings += error.findings
        return
    found.loaded += loaded
    found.classes |= {item.service_class.name: item.service_class for item in loaded}


def _tested(loaded: Sequence[LoadedClass]) -> dict[str, list[ToolResponse]]:
    found: dict[str, list[ToolResponse]] = {}
    for folder in sorted({Path(item.file).parent for item in loaded}):
        for tool, answers in answers_of_tests(folder).items():
            found.setdefault(tool, []).extend(answers)
    return found


# -- what is known about tools -----------------------------------------------------------------------------


def _live_tools(session: Session, loaded: Sequence[LoadedClass], given: KnownTools) -> KnownTools:
    """Return what the servers that `loaded` calls list now, without those whose lists are `given`."""
    needed = {server for item in loaded for server in item.service_class.servers()}
    with session.client() as client:
        return _listed_now(client, needed - given.lists.keys())


def known_now(session: Session, client: ServerClient, loaded: LoadedClass) -> KnownTools:
    """Return what is known of the tools that a class calls: as listed now, with the answers that were recorded."""
    live = _listed_now(client, loaded.service_class.servers())
    return live.over(saved_tools(session.paths)).with_answers(_tested([loaded]))


def _listed_now(client: ServerClient, needed: Iterable[str]) -> KnownTools:
    """Return what the servers that are needed list now; one that is just connecting is waited for."""
    servers = {entry["name"] for entry in require(client.call_tool("mcpserver_list", {})).structured["mcpServers"]}
    lists: dict[str, ToolList] = {}
    for server in sorted(set(needed) & servers):
        described = describe_tools(client, server)
        if described:
            lists[server] = live_list(
                server,
                (
                    tool_schema(tool["name"], tool["inputSchema"], tool.get("outputSchema"), tool.get("annotations"))
                    for tool in described
                ),
            )
        else:
            complain(f"server {server!r} is not connected; its saved tools list is used, if there is one")
    return KnownTools(lists, frozenset(servers))


def describe_tools(client: ServerClient, server: str) -> list[JsonObject]:
    """Return the tools of `server` as it lists them, in the form of `tools/list`; none when it is not connected."""
    waited = client.call_tool("service_wait", {"name": server, "state": ["connected"], "timeout": _CONNECT_WAIT})
    if waited.is_error:
        return []
    names: list[str] = []
    cursor: str | None = None
    while True:
        facts = require(client.call_tool("tool_list", present({"server": server, "limit": 200, "cursor": cursor})))
        names += [tool["name"] for tool in facts.structured["tools"]]
        cursor = facts.structured.get("nextCursor")
        if not cursor:
            break
    tools: list[JsonObject] = []
    for name in names:
        facts = require(client.call_tool("tool_describe", {"name": name})).structured
        keys = ("title", "description", "inputSchema", "outputSchema", "annotations")
        tools.append({"name": name.partition("/")[2], **{key: facts[key] for key in keys if facts.get(key)}})
    return tools


def _tool_sources(known: KnownTools, loaded: Sequence[LoadedClass]) -> dict[str, str]:
    """Return, for each server that the classes call, what they were checked against."""
    sources: dict[str, str] = {}
    for server in sorted({server for item in loaded for server in item.service_class.servers()}):
        listed = known.of(server)
        if listed is None:
            sources[server] = "unknown"
        elif listed.source == "live":
            sources[server] = "as listed now"
        else:
            sources[server] = f"as saved{f' from {listed.version}' if listed.version else ''}"
    return sources


# -- ostler tools ------------------------------------------------------------------------------------------


def save_lists(session: Session, servers: Sequence[str], *, answers: bool = False) -> bool:
    """Save the tools lists of `servers` (of all when there are none); return whether each could be read.

    Args:
        session: the folders in force.
        servers: whose lists.
        answers: also call the tools that only read and need no arguments, and keep what they answer.
    """
    failed = False
    with session.client() as client:
        entries = require(client.call_tool("mcpserver_list", {})).structured["mcpServers"]
        known: dict[str, JsonObject] = {entry["name"]: entry for entry in entries}
        for server in servers or sorted(known):
            if server not in known:
                missing = NotFoundError("MCP server", server, known=list(known))
                fail(f"{missing}. Next: ostler servers lists them", ExitStatus.NOT_FOUND)
            tools = describe_tools(client, server)
            if not tools:
                complain(
                    f"server {server!r} has listed no tool, so nothing was saved ({known[server].get('reason', '')})"
                )
                failed = True
                continue
            file = _save_list(session, known[server], tools)
            say(f"{server}: {len(tools)} tools saved in {file}")
            if answers:
                failed = not _keep_answers(session, client, server, tools) or failed
    return not failed


def _save_list(session: Session, entry: JsonObject, tools: Sequence[JsonObject]) -> Path:
    about = present({"name": entry.get("serverName"), "version": entry.get("serverVersion")})
    return save_tools(session.paths, entry["name"], {"server": about or {"name": entry["name"]}}, tools)


def _keep_answers(session: Session, client: ServerClient, server: str, tools: Iterable[JsonObject]) -> bool:
    """Call what only reads and needs nothing; return whether each answered."""
    readers = [
        f"{server}/{tool['name']}"
        for tool in tools
        if "annotations" in tool
        and tool["annotations"].get("readOnlyHint") is True
        and not tool["inputSchema"].get("required")
    ]
    if not readers:
        complain(f"server {server!r} has no tool that is marked as reading and needs no args: ostler call --record")
    good = True
    for tool in readers:
        answer = client.call_tool("tool_call", {"name": tool, "args": {}})
        if "error" in answer.structured:
            complain(f"{tool} gave no answer: {answer.text}")
            good = False
        else:
            keep_answer(session, client, tool, {}, answer)
    return good


def keep_answer(session: Session, client: ServerClient, tool: str, args: JsonObject, answer: ToolAnswer) -> None:
    """Record what a tool answered, and save its server's tools list when there is none yet."""
    result = result_of(answer)
    if result is None:
        fail(f"the answer of {tool!r} is too large to be recorded", ExitStatus.FAILED)
    server = tool.partition("/")[0]
    if not (session.paths.config_dir / FOLDER / f"{server}.json").exists():
        entries = require(client.call_tool("mcpserver_list", {})).structured["mcpServers"]
        entry = next((entry for entry in entries if entry["name"] == server), {"name": server})
        _save_list(session, entry, describe_tools(client, server))
    complain(f"answer of {tool} recorded in {record_answer(session.paths, tool, args, result)}")
