"""What is shown over the view: a question before something changes, and the keys."""

from typing import ClassVar, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

KEYS: Final = (
    ("↑ ↓ PgUp PgDn", "move in the list"),
    ("1 2 3 4 5", "overview, log, explanation, events, all events"),
    ("Tab", "to the lower part and back; arrows scroll it"),
    ("/", "search services; in the log: its lines"),
    ("p", "only what has problems, and back"),
    ("s x r", "start, stop, restart"),
    ("n d", "renew the lease, delete"),
    ("Esc", "clear the search"),
    ("? q", "these keys, quit"),
)


class Question(ModalScreen[bool]):
    """Asks before something changes; anything but `y` means no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("y", "answer(True)", "Yes"),
        ("n,escape,q,enter", "answer(False)", "No"),
    ]

    def __init__(self, question: str, means: str) -> None:
        super().__init__()
        self._text = Text(f"{question}\n", style="bold")
        self._text.append(f"{means}\n\n", style="not bold")
        self._text.append("y", style="bold cyan").append(" yes   ", style="not bold")
        self._text.append("n", style="bold cyan").append(" no", style="not bold")

    def compose(self) -> ComposeResult:
        """Put the question in its frame."""
        yield Vertical(Static(self._text, markup=False), classes="dialog")

    def action_answer(self, yes: bool) -> None:
        """Close with the answer."""
        self.dismiss(yes)


class Help(ModalScreen[None]):
    """Shows the keys."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,q,question_mark,enter,space", "dismiss", "Close")]

    def compose(self) -> ComposeResult:
        """List the keys."""
        text = Text("Keys\n\n", style="bold")
        for key, meaning in KEYS:
            text.append(f"{key:<15}", style="cyan").append(f"{meaning}\n", style="not bold")
        yield Vertical(Static(text, markup=False), classes="dialog")
