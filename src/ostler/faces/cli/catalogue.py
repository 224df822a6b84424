"""Verbs about what services are made of: classes, downstream servers and their tools, and the configuration."""

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from ostler.faces.cli import check_verbs, packs, signing_in
from ostler.faces.cli.clients import import_servers
from ostler.faces.cli.importing import configured_names
from ostler.faces.cli.next_steps import in_verbs
from ostler.faces.cli.services import AsJson
from ostler.faces.cli.session import ExitStatus, Session, fail, parse_object, require, session_of, show, usage_error
from ostler.faces.cli.shell_completion import class_names
from ostler.faces.cli.tables import print_table
from ostler.faces.cli.trying import class_try
from ostler.faces.output import complain, say, say_json
from ostler.model.errors import Finding, ManifestError
from ostler.model.json import JsonObject, present

_CONNECT_WAIT = "20s"
_SEARCH_COLUMNS = {"CLASS": "name", "AVAILABLE": "available", "DESCRIPTION": "description"}
_CLASS_COLUMNS = {"CLASS": "name", "AVAILABLE": "available", "MISSING": "missingTools", "DESCRIPTION": "description"}
_SERVER_COLUMNS = {
    "SERVER": "name",
    "STATE": "state",
    "TRANSPORT": "transport",
    "PROTOCOL": "protocolVersion",
    "TOOLS": "tools",
    "REASON": "reason",
}
_TOOL_COLUMNS = {"TOOL": "name", "DESCRIPTION": "description"}
_TOOL_PAGE = 200
_SHOWN_TOOLS = 200
"""Tools of a table that no one has set a limit for."""


def classes(context: typer.Context, as_json: AsJson = False) -> None:
    """List the ServiceClasses."""
    answer = session_of(context).ask("serviceclass_list")
    if as_json:
        say_json(answer.structured)
    else:
        rows = [
            {**row, "description": str(row.get("description") or row.get("reason") or "").partition(". ")[0]}
            for row in answer.structured["serviceClasses"]
        ]
        print_table(rows, _CLASS_COLUMNS, empty="There are no ServiceClasses.")


def class_get(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The class's name.", autocompletion=class_names)],
    as_json: AsJson = False,
) -> None:
    """Show a ServiceClass."""
    show(session_of(context).ask("serviceclass_get", {"name": name}), as_json=as_json)


def class_draft(  # noqa: PLR0917 (typer's parameters are options)
    context: typer.Context,
    server: Annotated[
        str | None, typer.Argument(metavar="SERVER", help="Draft from this server's tools instead of from calls.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="The class's name.")] = None,
    last: Annotated[
        int | None, typer.Option("--last", metavar="N", min=1, help="Only this many of the last calls.")
    ] = None,
    start: Annotated[str | None, typer.Option(metavar="TOOL", help="The server's tool that starts.")] = None,
    stop: Annotated[str | None, typer.Option(metavar="TOOL", help="The server's tool that stops.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draft a ServiceClass from calls just made with `ostler call`. These start, check and stop something.

    With a server's name, it is drafted from the server's tools, as `class new` does.
    """
    if server and last:
        usage_error("--last chooses among the latest calls, and a draft from a server's tools uses none")
    if server:
        class_new(context, server, name, start, stop, as_json=as_json)
        return
    if start or stop:
        usage_error("--start and --stop choose among a server's tools; name the server, too")
    answer = session_of(context).ask("serviceclass_draft", {"name": name, "last": last})
    if as_json:
        say_json(answer.structured)
        return
    say(answer.structured["manifest"], end="")
    for question in answer.structured["questions"]:
        complain(question)


def _shown(row: JsonObject) -> JsonObject:
    """Return a class as the search shows it: what it needs instead of a mere no."""
    missing = ", ".join(row.get("missingServers") or row.get("missingTools") or ())
    available = "yes" if row["available"] else f"needs {missing}" if missing else "no"
    return {**row, "available": available, "description": str(row.get("description") or "").partition(". ")[0]}


def class_search(
    context: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORD", help="Words in name, description, labels or servers.")
    ] = None,
    available: Annotated[bool, typer.Option("--available", help="Only those whose tools are available.")] = False,
    as_json: AsJson = False,
) -> None:
    """Search the ServiceClasses, shipped and your own."""
    wanted = present({"search": " ".join(words or ()), "availableOnly": available or None})
    answer = session_of(context).ask("serviceclass_list", wanted)
    if as_json:
        say_json(answer.structured)
        return
    rows = [_shown(row) for row in answer.structured["serviceClasses"]]
    print_table(rows, _SEARCH_COLUMNS, empty="No ServiceClass has these words.")


def class_add(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE|PACK",
            help="A shipped class to change, a manifest (- reads it), or a pack: a folder, a wheel, or pypi:NAME.",
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Add a pack without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Add a class to your serviceclasses folder. A shipped class is copied, to be changed.

    Names the downstream servers that it needs and mcp.json lacks, with the entries that add them. The files of a
    pack are checked, tested and pinned by digest; its code is not run.
    """
    session = session_of(context)
    if packs.is_pack(what):
        packs.add_pack(session, what, yes=yes, as_json=as_json)
        return
    text = _manifest_text(session, what)
    if not text.strip():
        fail(f"there is no manifest in {what}", ExitStatus.FAILED)
    with session.client() as client:
        answer = client.call_tool("serviceclass_create", {"manifest": text})
    if answer.error_code == "already_exists":
        said = answer.text.partition(". Next: ")[0]
        fail(f"{said}. Next: edit that file, which is read again at once", ExitStatus.FAILED)
    if answer.error_code == "manifest" and what != "-":
        fail(in_verbs(re.sub(r"\bmanifest(?=:\d+:\d+: )", lambda _: what, answer.text)), ExitStatus.FAILED)
    require(answer)
    name = str(answer.structured["name"])
    if as_json:
        facts = session.ask("serviceclass_available", {"name": name}).structured
        say_json({**answer.structured, **facts})
        return
    say(answer.structured["message"])
    if not answer.structured["available"]:
        say(session.ask("serviceclass_available", {"name": name}).text)


def _manifest_text(session: Session, what: str) -> str:
    """Return the manifest in the file `what`, on the standard input, or of the class of that name."""
    if what == "-":
        return sys.stdin.read()
    path = Path(what)
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            fail(f"{what} cannot be read: {error}", ExitStatus.FAILED)
    if path.suffix in (".yaml", ".yml", ".json") or len(path.parts) > 1:
        fail(f"there is no file {what}", ExitStatus.NOT_FOUND)
    return str(session.ask("serviceclass_get", {"name": what}).structured["manifest"])


def class_new(  # noqa: PLR0917 (typer's parameters are options)
    context: typer.Context,
    server: Annotated[
        str, typer.Option("--from", metavar="SERVER", help="The downstream server whose tools are used.")
    ],
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The class's name.")] = None,
    start: Annotated[str | None, typer.Option(metavar="TOOL", help="The tool that starts.")] = None,
    stop: Annotated[str | None, typer.Option(metavar="TOOL", help="The tool that stops.")] = None,
    save: Annotated[bool, typer.Option("--save", help="Save it in your serviceclasses folder.")] = False,
    as_json: AsJson = False,
) -> None:
    """Draft a ServiceClass from the tools of a server."""
    session = session_of(context)
    wanted: JsonObject = {"server": server, "name": name, "start": start, "stop": stop}
    # a server that is just being connected has listed no tools yet; what else is wrong is reported by the draft
    settled: JsonObject = {"name": server, "state": ["connected", "auth_required", "failed"], "timeout": _CONNECT_WAIT}
    with session.client() as client:
        client.call_tool("service_wait", settled)
    draft = session.ask("serviceclass_draft", wanted).structured
    if save:
        complain(str(session.ask("serviceclass_create", {"manifest": draft["manifest"]}).structured["message"]))
    if as_json:
        say_json(draft)
        return
    for number, question in enumerate(draft["questions"], 1):
        complain(f"to answer {number}: {question}")
    for pair in draft.get("alternatives") or ():
        said = f": {pair['reason']}" if pair.get("reason") else ""
        complain(f"another pair: --start {str(pair['start'])!r} --stop {str(pair['stop'])!r}{said}")
    say(draft["manifest"], end="")


def _read_manifests(session: Session, file: Path) -> tuple[list[str], list[Finding]]:
    """Return the names of the classes and services in `file`, and what is wrong there."""
    from ostler.rules.loading.static_services import holds_static_services, load_static_services
    from ostler.rules.reading import FORMATS, load_manifests

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return [], [Finding(f"cannot be read: {reason}", str(file), rule="unreadable")]
    known = configured_names(session) if FORMATS.may_be_in(text) else None
    try:
        if holds_static_services(text):
            return [loaded.service.name for loaded in load_static_services(text, str(file))], []
        classes = load_manifests(text, str(file), known=known)
    except ManifestError as error:
        return [], list(error.findings)
    return [loaded.service_class.name for loaded in classes], [each for one in classes for each in one.warnings]


def validate(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Manifests: YAML or JSON.")],
    as_json: AsJson = False,
) -> None:
    """Check manifests without a server. Prints each finding with its place."""
    names: list[str] = []
    findings: list[Finding] = []
    for file in files:
        found_names, found = _read_manifests(session_of(context), file)
        names += found_names
        findings += found
    is_valid = all(found.severity != "error" for found in findings)
    if as_json:
        say_json({"valid": is_valid, "classes": names, "findings": [_finding(found) for found in findings]})
    else:
        for found in findings:
            say(found if found.severity == "error" else f"{found.severity}: {found}")
        if is_valid:
            say(f"{len(names)} valid: {', '.join(names)}")
    if not is_valid:
        raise typer.Exit(int(ExitStatus.FAILED))


def servers(context: typer.Context, as_json: AsJson = False) -> None:
    """List, import and sign in to downstream MCP servers."""
    if context.invoked_subcommand is not None:
        return
    answer = session_of(context).ask("mcpserver_list")
    if as_json:
        say_json(answer.structured)
        return
    print_table(
        answer.structured["mcpServers"],
        _SERVER_COLUMNS,
        empty="There are no downstream servers: write them in mcp.json.",
    )
    for fault in answer.structured.get("findings", []):
        complain(fault)


def tools(
    context: typer.Context,
    server: Annotated[
        str | None,
        typer.Argument(metavar="SERVER[/TOOL]", help="Only this server's tools, or everything about one tool."),
    ] = None,
    search: Annotated[
        str | None, typer.Option("--search", metavar="WORDS", help="Only tools that contain all these words.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="At most this many; else 200, with --json all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the downstream tools."""
    if server and "/" in server:
        show(session_of(context).ask("tool_describe", {"name": server}), as_json=as_json)
        return
    rows: list[JsonObject] = []
    cursor: str | None = None
    session = session_of(context)
    wanted = limit or (None if as_json else _SHOWN_TOOLS)
    while True:
        page = min(_TOOL_PAGE, wanted - len(rows)) if wanted else _TOOL_PAGE
        asked = {"server": server, "search": search, "limit": page, "cursor": cursor}
        facts = session.ask("tool_list", present(asked)).structured
        rows += facts["tools"]
        cursor = facts.get("nextCursor")
        if not cursor or len(rows) == wanted:
            break
    if as_json:
        say_json({"tools": rows, "total": facts["total"]})
        return
    nothing = (
        f"No tool has {search!r}."
        if search
        else f"{server or 'No downstream server'} has {'not ' if server else ''}listed a tool yet (see ostler servers)."
    )
    print_table(rows, _TOOL_COLUMNS, empty=nothing)
    if (more := facts["total"] - len(rows)) > 0:
        complain(f"{more} more: name a SERVER, or use --search, or --limit {facts['total']}")


def call(  # noqa: PLR0917 (typer's parameters are the options)
    context: typer.Context,
    tool: Annotated[str | None, typer.Argument(metavar="SERVER/TOOL", help="The tool.")] = None,
    args_json: Annotated[str | None, typer.Option("--args-json", metavar="JSON", help="Its args as an object.")] = None,
    recorded: Annotated[
        bool, typer.Option("--record", help="Keep the answer, secrets masked, for checks and drafts of classes.")
    ] = False,
    as_json: AsJson = False,
    wants_help: Annotated[
        bool, typer.Option("--help", help="Show this message, or what TOOL does and takes, and exit.")
    ] = False,
) -> None:
    """Call a downstream tool."""
    if tool is None:
        if wants_help:
            say(context.get_help())
            return
        usage_error("name the tool: ostler call SERVER/TOOL. Next: ostler tools list shows the tools")
    if wants_help:
        show(session_of(context).ask("tool_describe", {"name": tool}), as_json=as_json)
        return
    for extra in context.args:
        key, _, value = extra.partition("=")
        example = shlex.quote(json.dumps({key: value} if value else {"KEY": "VALUE"}))
        usage_error(f"unexpected {extra!r}: args are an object, as in: ostler call {tool} --args-json {example}")
    args = parse_object("--args-json", args_json)
    session = session_of(context)
    with session.client() as client:
        answer = client.call_tool("tool_call", {"name": tool, "args": args})
        if recorded and "error" not in answer.structured:
            from ostler.faces.cli.checking import keep_answer

            keep_answer(session, client, tool, args, answer)
    if as_json:
        say_json(answer.structured)
        if answer.is_error:
            raise typer.Exit(int(_status_of(answer.error_code)))
    elif answer.is_error:
        fail(in_verbs(answer.text), _status_of(answer.error_code))
    else:
        say(answer.text)


def config(context: typer.Context) -> None:
    """Show the configuration in force, as JSON, secrets masked."""
    session = session_of(context)
    complain(f"configuration folder {session.paths.config_dir}, state folder {session.paths.state_dir}")
    say_json(session.ask("config_get").structured["config"])


def _status_of(code: str) -> ExitStatus:
    return ExitStatus.NOT_FOUND if code in ("not_found", "tool_not_found") else ExitStatus.FAILED


def _finding(found: Finding) -> JsonObject:
    names = ("message", "file", "line", "column", "rule", "path", "fix", "severity")
    return {name: getattr(found, name) for name in names if getattr(found, name)}


def class_schema() -> None:
    """Print the JSON Schema of a manifest, for editors."""
    from ostler.adapters.config.paths import manifest_schema_file

    file = manifest_schema_file()
    if file is None:
        fail("this installation has no schema file", ExitStatus.FAILED)
    say(file.read_text(encoding="utf-8"), end="")


def add_to(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    for verb in (classes, validate, config):
        app.command()(verb)
    app.command(add_help_option=False, context_settings={"allow_extra_args": True})(call)  # it says how args are given
    group = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
    group.callback()(servers)
    group.command("import")(import_servers)
    signing_in.add_to(group)
    app.add_typer(group, name="servers")
    check_verbs.add_to(app, tools)
    group = typer.Typer(help="Search, show, add and draft ServiceClasses.", no_args_is_help=True, rich_markup_mode=None)
    group.command("search")(class_search)
    group.command("show")(class_get)
    group.command("get", hidden=True)(class_get)
    group.command("add")(class_add)
    group.command("new")(class_new)
    group.command("draft")(class_draft)
    group.command("try")(class_try)
    group.command("schema")(class_schema)
    packs.add_to(group)
    app.add_typer(group, name="class")
