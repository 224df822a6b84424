"""Facts of services as a terminal shows them. Everything that others wrote is cleaned of control sequences here."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from rich.cells import set_cell_size
from rich.text import Text

from ostler.faces.cli.listing import ports_of, relative, url_of
from ostler.faces.terminal.board import TROUBLED, Board, Row, is_ill, is_troubled
from ostler.model.json import JsonObject, JsonValue
from ostler.model.sizes import size_text
from ostler.rules.text.terminal_text import shown_text

_SIGNS: Final = {
    "running": ("●", "green"),
    "connected": ("●", "green"),
    "starting": ("◐", "cyan"),
    "stopping": ("◐", "cyan"),
    "waiting": ("◔", "cyan"),
    "retrying": ("↻", "yellow"),
    "auth_required": ("!", "yellow"),
    "unreachable": ("◌", "yellow"),
    "failed": ("▲", "red"),
}
_RESTING: Final = ("■", "bright_black")
_DOUBTFUL: Final = ("◑", "yellow")
_GOOD: Final = frozenset({"running", "connected"})

_LOOPBACK: Final = re.compile(r"^(127\.0\.0\.1|localhost|\[::1\])(?=:)")

_NARROW: Final = {"state": 13, "health": 15, "cpu": 6, "memory": 8}
_NAME_SHARE: Final = 0.45
"""Of what the other columns leave, for the name; the rest says where the service is."""

FACTS: Final = (
    ("purpose", "Purpose"),
    ("owner", "Owner"),
    ("class", "Class"),
    ("type", "Type"),
    ("desired", "Wanted"),
    ("restarts", "Restarts"),
)


def one_line(value: object) -> str:
    """Return a text of others on one line, without what a terminal would obey."""
    return " ".join(shown_text(str(value)).split())


def sign_of(service: JsonObject) -> tuple[str, str]:
    """Return a service's sign and its colour: the sign differs without colour, too."""
    is_doubtful = service["state"] in _GOOD and is_troubled(service)
    return _DOUBTFUL if is_doubtful else _SIGNS.get(service["state"], _RESTING)


def state_word(service: JsonObject) -> str:
    """Return a state in words, with the operation under way."""
    operation = service.get("operation")
    if operation and service["state"] in _GOOD:
        return f"{operation['kind']}…"
    return str(service["state"]).replace("_", " ")


def health_word(service: JsonObject, board: Board, now: datetime) -> str:
    """Return the health in a few characters, with the age of the check that showed it."""
    if failed := service.get("failedChecks"):
        checks = one_line(failed).removesuffix(" checks failed")
        return f"{checks} failed" if checks != failed else "out of reach"
    if service["health"] == "unknown":
        return "not checked" if service.get("checks") and service["state"] in _GOOD else ""
    checked = service.get("passedAt" if service["health"] == "healthy" else "checkedAt") or service.get("checkedAt")
    return f"{service['health']} {relative(board.age(checked, now))}" if checked else str(service["health"])


def place_of(service: JsonObject) -> str:
    """Return where a service is reached: a URL, else ports."""
    outputs: JsonObject = service.get("outputs") or {}
    if (url := url_of(outputs)) is not None:
        return one_line(url)
    return one_line(", ".join(f":{port}" for port in ports_of(outputs)))


def short_place(place: str) -> str:
    """Return an address for a narrow column: without the web's scheme, and of this machine's only the port."""
    return _LOOPBACK.sub("", place.removeprefix("http://"))


def due_word(service: JsonObject, board: Board, now: datetime) -> str:
    """Return what comes next: a retry, else the end of the lease."""
    if at := service.get("nextRetryAt"):
        return f"retry in {relative(-board.age(at, now))}"
    if at := service.get("leaseEndsAt"):
        return f"lease {relative(-board.age(at, now))}"
    return ""


def columns(width: int) -> dict[str, int]:
    """Return the width of each column of the list in a terminal of `width` columns; zero: there is no room for it."""
    left = max(width - 2 - sum(_NARROW.values()), 20)
    name = max(int(left * _NAME_SHARE), 14)
    return {"name": name, **_NARROW, "place": max(left - name, 0)}


def heading(width: int) -> Text:
    """Return the head of the list."""
    sizes = columns(width)
    cells = [set_cell_size(key.upper(), sizes[key]) for key in ("name", "state", "health", "cpu", "memory", "place")]
    return Text(set_cell_size("  " + "".join(cells), width).replace("PLACE", "WHERE"), style="bold")


def row_text(row: Row, board: Board, now: datetime, width: int) -> Text:
    """Return a line of the list."""
    if row.service is None:
        text = Text(f"{one_line(row.group)} ", style="bold")
        text.append(" · ".join(filter(None, (str(row.count), one_line(row.directory)))), style="bright_black")
        text.truncate(width, overflow="ellipsis", pad=True)
        return text
    service, sizes = row.service, columns(width)
    sign, colour = sign_of(service)
    name = one_line(service["name"]).removesuffix(f".{row.group}" if row.group else "")
    used = board.used(str(service["name"]))
    place = due_word(service, board, now) or short_place(place_of(service))
    if service["state"] in TROUBLED and service.get("error"):
        place = " · ".join(filter(None, (due_word(service, board, now), one_line(service["error"]))))
    text = Text()
    text.append(f"{sign} ", style=colour)
    text.append(_cell(name, sizes["name"]))
    text.append(_cell(state_word(service), sizes["state"]), style=colour)
    text.append(_cell(health_word(service, board, now), sizes["health"]), style="red" if is_ill(service) else "")
    text.append(_cell(f"{used[0]:.1f}" if used else "", sizes["cpu"]))
    text.append(_cell(size_text(int(used[1])) if used else "", sizes["memory"]))
    text.append(_cell(place, sizes["place"]), style="red" if service["state"] == "failed" else "")
    text.truncate(width, pad=True)
    return text


def _cell(text: str, width: int) -> str:
    """Return `text` in a column: cut with a mark if it is too long, and with a blank after it."""
    shown = Text(text)
    shown.truncate(max(width - 1, 0), overflow="ellipsis", pad=True)
    return f"{shown.plain} " if width else ""


def summary(board: Board, trouble: str, doing: str, width: int) -> Text:
    """Return the first line of the screen."""
    text = Text("Ostler ", style="bold")
    if trouble:
        text.append(f"not connected: {one_line(trouble)}", style="red")
    elif not board.at:
        text.append("connecting…", style="cyan")
    else:
        states = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in board.counts().items())
        cpu, memory = board.totals()
        text.append(states or "no services")
        text.append(f" · CPU {cpu:.0f} % · {size_text(int(memory))}", style="bright_black")
    if doing:
        text.append(f" · {one_line(doing)}", style="cyan")
    text.truncate(width, overflow="ellipsis", pad=True)
    return text


def overview(service: JsonObject, board: Board, now: datetime) -> Text:
    """Return everything about a service that is in its row and more, a line each."""
    text = Text()
    for label, value, style in (*_condition(service, board, now), *_traits(service, board)):
        if value:
            text.append(f"{label:<11}", style="bright_black").append(f"{one_line(value)}\n", style=style)
    return text


def _condition(service: JsonObject, board: Board, now: datetime) -> Iterator[tuple[str, object, str]]:
    """Yield how a service is: label, value and colour."""
    reason = f" ({service['reason']})" if service.get("reason") else ""
    since = relative(board.age(service["since"], now))
    yield "State", f"{state_word(service)} for {since}{reason}", sign_of(service)[1]
    operation: JsonObject = service.get("operation") or {}
    yield "Under way", " ".join(str(operation[key]) for key in ("kind", "step", "reason") if operation.get(key)), "cyan"
    yield "Health", _health_in_full(service, board, now), "red" if is_ill(service) else ""
    yield "Check saw", service.get("evidence"), ""
    error_age = f" ({relative(board.age(service['errorAt'], now))} ago)" if service.get("errorAt") else ""
    yield "Last error", f"{service['error']}{error_age}" if service.get("error") else "", "red"
    for problem in service.get("problems", []):
        yield "Problem", problem, "red"
    for key, label in (("nextRetryAt", "Next retry"), ("leaseEndsAt", "Lease ends"), ("nextCheckAt", "Next check")):
        if service.get(key):
            yield label, f"in {relative(-board.age(service[key], now))}", ""


def _traits(service: JsonObject, board: Board) -> Iterator[tuple[str, object, str]]:
    """Yield what a service has and is."""
    used = board.used(str(service["name"]))
    yield "Uses", f"{used[0]:.1f} % CPU, {size_text(int(used[1]))}" if used else "", ""
    outputs: JsonObject = service.get("outputs") or {}
    for name, value in outputs.items():
        yield name[:10], value, ""
    yield "Needs", ", ".join(service.get("needs", [])), ""
    for key, label in FACTS:
        yield label, service.get(key), ""
    if service.get("reachability") not in (None, "reachable", "unknown"):
        yield "Server", service["reachability"], "yellow"


def _health_in_full(service: JsonObject, board: Board, now: datetime) -> str:
    if service.get("failedChecks") and service["health"] != "healthy":
        return f"{service['health']}; {service['failedChecks']}"
    if service.get("failedChecks"):
        passed = service.get("passedAt")
        since = f"{relative(board.age(passed, now))} ago" if passed else "then"
        return f"healthy until {since}; {service['failedChecks']}"
    checked = service.get("checkedAt")
    return (
        f"{service['health']}, checked {relative(board.age(checked, now))} ago" if checked else str(service["health"])
    )


def explanation(facts: JsonObject) -> tuple[Text, list[JsonObject]]:
    """Return what service_explain said, and the calls that it proposes, which are numbered in the text."""
    text = Text()
    causes: list[JsonValue] = facts.get("causes") or ["Nothing is wrong with it."]
    for cause in causes:
        text.append(f"• {one_line(cause)}\n")
    if facts.get("question"):
        text.append(f"\n{one_line(facts['question'])}\n", style="bold")
    proposed: list[JsonObject] = facts.get("nextCalls") or []
    calls = proposed[:9]
    if calls:
        text.append("\nNext, by its number:\n", style="bold")
    for number, call in enumerate(calls, 1):
        given: JsonObject = call.get("args") or {}
        args = " ".join(f"{key}={one_line(value)}" for key, value in given.items())
        text.append(f"{number} ", style="cyan")
        text.append(f"{one_line(call['tool'])} {args}")
        text.append(f"  {one_line(call.get('when', ''))}\n", style="bright_black")
    made: list[JsonObject] = facts.get("lastCalls") or []
    for past in made:
        told = [str(past[key]) for key in ("operation", "step", "tool", "outcome", "error") if past.get(key)]
        text.append(f"{one_line(' '.join(told))}\n", style="bright_black")
    return text, calls


def event_text(event: JsonObject) -> Text:
    """Return an event on a line."""
    at = datetime.fromisoformat(str(event["at"])).astimezone()
    text = Text(f"{at:%H:%M:%S} ", style="bright_black")
    if event.get("service"):
        text.append(f"{one_line(event['service'])} ", style="bold")
    is_bad = "failed" in str(event.get("message", "")) or event["kind"] == "warning"
    text.append(one_line(event.get("message") or event["kind"]), style="red" if is_bad else "")
    return text
