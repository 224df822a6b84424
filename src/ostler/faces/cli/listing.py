"""`ostler ps` and `ostler open`: the services as people look at them."""

import re
from datetime import UTC, datetime
from typing import Annotated, Final, cast

import typer

from ostler.faces.cli.browser import open_browser
from ostler.faces.cli.rpc import ServerClient
from ostler.faces.cli.services import AsJson
from ostler.faces.cli.session import ExitStatus, fail, require, session_of, usage_error
from ostler.faces.cli.shell_completion import class_names, service_names, state_names
from ostler.faces.cli.tables import print_table
from ostler.faces.output import clear_screen, complain, say, say_json
from ostler.model.json import JsonMapping, JsonObject, present
from ostler.model.sizes import size_text
from ostler.model.states import ServiceState

_COLUMNS: Final = {
    "NAME": "name",
    "CLASS": "kind",
    "STATE": "state",
    "HEALTH": "health",
    "AGE": "age",
    "PORTS/URL": "address",
}
_WIDE: Final = {**_COLUMNS, "CPU": "cpu", "MEMORY": "memory", "SINCE": "since", "TYPE": "serviceType", "ERROR": "error"}
_ERROR: Final = {"ERROR": "error"}
NO_SERVICES: Final = "There are no services. Create one: ostler create CLASS (see ostler classes)"
_WATCH_SECONDS: Final = 2.0
_MOST_DETAILED: Final = 300
"""Services up to which each one's age and address are asked for."""

_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_ADDRESS_OUTPUTS: Final = ("url", "address", "endpoint", "baseUrl", "uri")


def list_services(
    context: typer.Context,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="STATE", help="Only services in this state; repeatable.", autocompletion=state_names
        ),
    ] = None,
    class_name: Annotated[
        str | None,
        typer.Option("--class", metavar="CLASS", help="Only services of this class.", autocompletion=class_names),
    ] = None,
    *,
    everywhere: Annotated[
        bool, typer.Option("--all", "-a", help="Services of all projects, not just this folder's.")
    ] = False,
    wide: Annotated[
        bool, typer.Option("--wide", "-w", help="Also show CPU, memory, time of the last change and type.")
    ] = False,
    absolute: Annotated[bool, typer.Option("--absolute", help="Show times instead of ages.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh every two seconds, until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """List services with their state, health, age and address."""
    unknown = [state for state in only or [] if state not in set(ServiceState)]
    if unknown:
        usage_error(f"--only {unknown[0]!r}: no such state. Next: use one of {', '.join(ServiceState)}")
    args = present({"state": only, "serviceClassName": class_name, "project": "all" if everywhere else None})

    def look(client: ServerClient) -> float | None:
        rows, elsewhere, left = _services(client, args, with_details=not as_json)
        if as_json:
            say_json({"services": rows, "total": len(rows), **present({"leftOver": left})})
        else:
            if watch:
                clear_screen()
            now = datetime.now(UTC)
            shown = [_row(row, now, absolute=absolute) for row in rows]
            columns = _WIDE if wide else _COLUMNS | _ERROR
            print_table(shown, columns, empty=NO_SERVICES)
            if elsewhere:
                complain(f"{elsewhere} more in other projects: ostler ps --all")
            for gone in left:
                from ostler.faces.mcp.project_changes import left_line

                complain(left_line(gone))
        say(end="", flush=True)
        return _WATCH_SECONDS if watch else None

    session_of(context).follow(look)


def open_service(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The service's name.", autocompletion=service_names)],
    *,
    only_print: Annotated[bool, typer.Option("--print", help="Print the URL instead of opening it.")] = False,
) -> None:
    """Open a service's URL in the browser."""
    outputs = cast(
        "JsonObject", session_of(context).ask("service_status", {"name": name}).structured.get("outputs", {})
    )
    url = url_of(outputs)
    if url is None:
        has = f"its outputs: {', '.join(outputs)}" if outputs else "it has no outputs"
        fail(f"service {name!r} has no URL ({has})", ExitStatus.FAILED)
    opened = not only_print and open_browser(url)
    say(f"opened {url}" if opened else url)


def url_of(outputs: JsonMapping) -> str | None:
    """Return the URL among a service's outputs: the one that is called so, else the first."""
    ordered = [outputs.get(name) for name in _ADDRESS_OUTPUTS]
    for value in (*ordered, *outputs.values()):
        if isinstance(value, str) and (found := _URL.match(value)):
            return found[0]
    return None


def ports_of(outputs: JsonMapping) -> list[str]:
    """Return the ports among a service's outputs, each once."""
    ports = [str(value) for name, value in outputs.items() if name.lower().endswith("port") and value]
    return list(dict.fromkeys(ports))


def relative(seconds: float) -> str:
    """Return an age as people say it: `12s`, `5m`, `3h`, `4d`."""
    seconds = max(0.0, seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size * (2 if unit == "d" else 1):
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def _services(
    client: ServerClient, args: JsonObject, *, with_details: bool
) -> tuple[list[JsonObject], int, list[JsonObject]]:
    """Return the services, how many there are in other projects, and which projects are left over."""
    rows: list[JsonObject] = []
    left: list[JsonObject] = []
    cursor: str | None = None
    while True:
        facts = require(client.call_tool("service_list", {**args, **present({"cursor": cursor})})).structured
        rows += facts["services"]
        left = facts.get("leftOver", [])
        cursor, elsewhere = facts.get("nextCursor"), facts.get("inOtherProjects", 0)
        if not cursor:
            break
    if with_details and len(rows) <= _MOST_DETAILED:
        rows = [row | _details(client, str(row["name"])) for row in rows]
    return rows, elsewhere, left


def _details(client: ServerClient, name: str) -> JsonObject:
    """Return a service's times and outputs; nothing when it is gone by now."""
    answer = client.call_tool("service_get", {"name": name})
    if answer.is_error:
        return {}
    return {key: answer.structured.get(key) for key in ("createdAt", "stateSince", "outputs")}


def _row(service: JsonObject, now: datetime, *, absolute: bool) -> JsonObject:
    usage = cast("JsonObject", service.get("usage") or {})
    return {
        **service,
        "state": state_text(service),
        "kind": service.get("serviceClassName") or service.get("serviceType"),
        "health": _health(service),
        "age": _time(service.get("createdAt"), now, absolute=absolute),
        "since": _time(service.get("stateSince"), now, absolute=absolute),
        "cpu": f"{usage['cpuPercent']:g}%" if usage else "",
        "memory": size_text(usage["memoryBytes"]) if usage else "",
        "address": _address(cast("JsonObject", service.get("outputs") or {})),
    }


def state_text(service: JsonObject) -> str:
    """Return a service's state, with its reason where that is a word; a sentence is in its error, too."""
    reason = str(service.get("reason") or "")
    is_shown = reason and not (" " in reason and service.get("error"))
    return f"{service['state']} ({reason})" if is_shown else str(service["state"])


def _health(service: JsonObject) -> str:
    """Return a service's health; what speaks against it since it was found is added."""
    failures = service.get("healthCheckFailures")
    if service.get("reachability"):
        return f"{service['health']}, server unreachable since"
    if not failures:
        return str(service["health"])
    return f"{service['health']}, {failures} {'check' if failures == 1 else 'checks'} failed since"


def _address(outputs: JsonObject) -> str:
    """Return where a service is reached, as far as its outputs say: a URL, else ports."""
    if (url := url_of(outputs)) is not None:
        return url
    return ", ".join(ports_of(outputs))


def _time(written: object, now: datetime, *, absolute: bool) -> str:
    if not isinstance(written, str):
        return ""
    if absolute:
        return written
    return relative((now - datetime.fromisoformat(written)).total_seconds())


def add_to(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command("ps")(list_services)
    app.command("list", hidden=True)(list_services)
    app.command("open")(open_service)
