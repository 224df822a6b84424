"""The list of services: only the lines in view are drawn, so that thousands stay quick."""

from collections.abc import Callable
from datetime import datetime
from typing import ClassVar, Final

from rich.console import Console
from rich.segment import Segment
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ostler.faces.terminal.board import Board, Row
from ostler.faces.terminal.words import row_text

_CONSOLE: Final = Console(width=80)
"""Splits texts into styled parts, and writes nothing."""


class ServiceList(ScrollView, can_focus=True):
    """Lines of services and headings of projects, one of them chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "end(-1)", show=False),
        Binding("end", "end(1)", show=False),
    ]

    class Chosen(Message):
        """Another service was chosen."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, board: Board, now: Callable[[], datetime]) -> None:
        super().__init__(id="services")
        self._board = board
        self._now = now
        self._rows: list[Row] = []
        self._chosen = 0

    @property
    def chosen(self) -> str:
        """The name of the chosen service; empty if there is none."""
        return self._rows[self._chosen].name if self._chosen < len(self._rows) else ""

    def show_rows(self, rows: list[Row]) -> None:
        """Show these lines; the chosen service stays so, wherever its line is now."""
        before, place = self.chosen, self._chosen
        self._rows = rows
        self.virtual_size = Size(self.size.width, len(rows))
        names = [row.name for row in rows]
        if before and before in names:
            self._chosen = names.index(before)
        else:
            self._chosen = self._nearest(place, 1)
        self.refresh()
        if self.chosen != before:
            self._announce()

    def render_line(self, y: int) -> Strip:
        """Draw a line."""
        width, place = self.size.width, y + int(self.scroll_offset.y)
        if place >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        text = row_text(self._rows[place], self._board, self._now(), width)
        if place == self._chosen and self._rows[place].service is not None:
            text = Text(text.plain)  # without its colours, which could hide it
            text.stylize("bold reverse" if self.has_focus else "bold underline")
        strip = Strip([Segment(*part) for part in text.render(_CONSOLE)]).adjust_cell_length(width)
        return strip.apply_style(self.rich_style)

    def action_move(self, step: int) -> None:
        """Choose the next service up or down."""
        self._choose(self._nearest(self._chosen + step, step))

    def action_page(self, step: int) -> None:
        """Choose a service a page away."""
        self._choose(self._nearest(self._chosen + step * max(self.size.height - 1, 1), step))

    def action_end(self, step: int) -> None:
        """Choose the first or the last service."""
        self._choose(self._nearest(len(self._rows) - 1 if step > 0 else 0, step))

    def on_click(self, event: object) -> None:
        """Choose the service that was clicked."""
        place = int(getattr(event, "y", 0)) + int(self.scroll_offset.y)
        if place < len(self._rows):
            self._choose(self._nearest(place, 1))

    def _nearest(self, place: int, step: int) -> int:
        """Return the place of a service at `place`, or beyond it in the direction of `step`, else on the other side."""
        last = len(self._rows) - 1
        place = min(max(place, 0), max(last, 0))
        for direction in (step, -step):
            at = place
            while 0 <= at <= last:
                if self._rows[at].service is not None:
                    return at
                at += 1 if direction > 0 else -1
        return 0

    def _choose(self, place: int) -> None:
        if place == self._chosen:
            return
        self._chosen = place
        above = 1 if place and self._rows[place - 1].service is None else 0  # its project's heading comes along
        self.scroll_to_region(Region(0, place - above, 1, 1 + above), animate=False)
        self.refresh()
        self._announce()

    def _announce(self) -> None:
        self.post_message(self.Chosen(self.chosen))
