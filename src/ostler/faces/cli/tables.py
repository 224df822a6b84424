"""Tables for people. rich is imported when one is printed to a terminal, and not otherwise."""

import sys
from collections.abc import Mapping, Sequence
from typing import Final, cast

from ostler.faces.output import say
from ostler.model.json import JsonMapping, JsonObject, JsonValue
from ostler.rules.text.terminal_text import shown_text

Columns = Mapping[str, str]
"""Heading → key of the rows."""

_COLOURS: Final = {
    "running": "green",
    "connected": "green",
    "healthy": "green",
    "failed": "red",
    "unhealthy": "red",
    "unreachable": "red",
    "disconnected": "red",
    "starting": "yellow",
    "stopping": "yellow",
    "retrying": "yellow",
    "waiting": "yellow",
}


def print_table(rows: Sequence[JsonMapping], columns: Columns, *, empty: str) -> None:
    """Print `rows`; columns that no row fills are left out. A pipe gets plain columns, unshortened.

    Args:
        rows: one mapping each.
        columns: what to show of them.
        empty: printed instead of a table without rows.
    """
    if not rows:
        say(empty)
        return
    kept = {heading: key for heading, key in columns.items() if any(_cell(row.get(key)) for row in rows)}
    cells = [[_cell(row.get(key)) for key in kept.values()] for row in rows]
    if sys.stdout.isatty():
        _print_rich(list(kept), cells)
    else:
        _print_plain(list(kept), cells)


def _cell(value: JsonValue) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(_cell(item) for item in cast("list[JsonValue]", value))
        case dict():
            return ", ".join(f"{key}={_cell(item)}" for key, item in cast("JsonObject", value).items())
        case _:
            return shown_text(" ".join(str(value).split()))


def _print_plain(headings: list[str], cells: list[list[str]]) -> None:
    lines = [headings, *cells]
    widths = [max(len(line[index]) for line in lines) for index in range(len(headings))]
    for line in lines:
        say("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _print_rich(headings: list[str], cells: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for line in cells:
        table.add_row(*(Text(text, style=_COLOURS.get(text, "")) for text in line))
    Console().print(table)
