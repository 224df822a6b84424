"""The program: the list above, one service below, and what its keys do."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import ClassVar, Final

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import ContentSwitcher, Footer, Input, RichLog, Static

from ostler.faces.cli.listing import NO_SERVICES
from ostler.faces.cli.next_steps import in_verbs
from ostler.faces.cli.rpc import ToolAnswer
from ostler.faces.terminal.board import Board, utc_now
from ostler.faces.terminal.dialogs import Help, Question
from ostler.faces.terminal.feed import Feed
from ostler.faces.terminal.service_list import ServiceList
from ostler.faces.terminal.words import event_text, explanation, heading, one_line, overview, summary
from ostler.model.json import JsonObject, JsonValue
from ostler.rules.text.terminal_text import shown_text

TABS: Final = {
    "overview": "1 Overview",
    "log": "2 Log",
    "explain": "3 Explain",
    "events": "4 Events",
    "timeline": "5 All events",
}
_QUESTIONS: Final = {
    "service_stop": ("Stop", "stopping", "It can be started again."),
    "service_restart": ("Restart", "restarting", "It is stopped and started again."),
    "service_delete": ("Delete", "deleting", "It is stopped and forgotten. This cannot be undone."),
}
_HARMLESS: Final = {"service_start": "starting", "service_renew": "renewing the lease of"}
_READS: Final = ("service_explain", "service_get", "service_status", "service_logs", "service_events", "tool_list")
_LOG_LINES: Final = 500
FOLLOW_SECONDS: Final = 1.5
_SHOWN_EVENTS: Final = 200
_TOAST_LINES: Final = 4


class TopView(App[None]):
    """All services live, with keys for what people do to them."""

    CSS = """
    Screen { layers: base; }
    #summary, #head, #tabs { height: 1; }
    #services { height: 1fr; min-height: 5; }
    #tabs { background: $surface; }
    #below { height: 1fr; min-height: 5; }
    #search { height: 1; border: none; padding: 0; display: none; }
    #search.shown { display: block; }
    RichLog, VerticalScroll { scrollbar-size-vertical: 1; }
    .dialog { width: auto; max-width: 76; height: auto; padding: 1 2; border: round $primary; background: $surface; }
    .dialog Static { width: auto; }
    ModalScreen { align: center middle; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "ask('service_start')", "Start"),
        Binding("x", "ask('service_stop')", "Stop"),
        Binding("r", "ask('service_restart')", "Restart"),
        Binding("d", "ask('service_delete')", "Delete"),
        Binding("n", "ask('service_renew')", "Renew", show=False),
        Binding("slash", "search", "Search"),
        Binding("p", "problems", "Problems"),
        Binding("question_mark", "help", "Keys"),
        Binding("q", "quit", "Quit"),
        Binding("escape", "clear", "Clear", show=False),
        *(Binding(str(number), f"number({number})", show=False) for number in range(1, 10)),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        feed: Feed,
        *,
        query: str = "",
        now: Callable[[], datetime] = utc_now,
        follow_every: float = FOLLOW_SECONDS,
    ) -> None:
        """Prepare the view.

        Args:
            feed: the server.
            query: only services that match, to begin with.
            now: this machine's time.
            follow_every: seconds from one read of a log that is shown to the next.
        """
        super().__init__()
        self.board = Board()
        self._feed = feed
        self._now = now
        self._follow_every = follow_every
        self._filter = query
        self._only_problems = False
        self._trouble = ""
        self._doing: list[str] = []
        self._tab = "overview"
        self._log_search = ""
        self._log_cursor = ""
        self._log_turn = 0
        """Counts what the log was begun for: an answer to an earlier one is dropped."""
        self._log_asked = 0
        """The turn for which the log is being read: a second answer from the same cursor would repeat its lines."""
        self._next_calls: list[JsonObject] = []
        self._is_up = False

    def compose(self) -> ComposeResult:
        """Put the parts together."""
        yield Static(id="summary", markup=False)
        yield Static(id="head", markup=False)
        yield ServiceList(self.board, self._now)
        yield Input(id="search", compact=True)
        yield Static(id="tabs", markup=False)
        with ContentSwitcher(id="below", initial="overview"):
            for tab in TABS:
                if tab == "log":
                    yield RichLog(id=tab, max_lines=2_000, wrap=False, markup=False, highlight=False)
                else:
                    yield VerticalScroll(Static(id=f"{tab}-text", markup=False), id=tab)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Begin to follow the server."""
        self.theme = "ansi-dark"
        self._is_up = True
        self._services.focus()
        self._in_thread(lambda: self._feed.follow(self.board, self._changed_elsewhere))
        self.set_interval(1.0, self._redraw)  # ages go on
        self.set_interval(self._follow_every, self._read_log)
        self._redraw()

    def on_unmount(self) -> None:
        """Leave the server."""
        self._feed.close()

    @property
    def _base(self) -> Screen[object]:
        """The screen below every dialog."""
        return self.screen_stack[0]

    @property
    def _services(self) -> ServiceList:
        return self._base.query_one(ServiceList)

    @property
    def _is_shown(self) -> bool:
        """Whether all parts are there: they come when it is mounted, and go one by one when it ends."""
        return self._is_up and self.is_running

    # -- what is shown -------------------------------------------------------------------------------------

    def _changed_elsewhere(self, trouble: str) -> None:
        self._hand_over(lambda: self._changed(trouble))

    def _changed(self, trouble: str) -> None:
        self._trouble = trouble
        self._services.show_rows(self.board.rows(self._filter, problems=self._only_problems))
        self._redraw()

    def on_resize(self) -> None:
        """Draw for the new size."""
        self._redraw()

    def on_service_list_chosen(self) -> None:
        """Show another service."""
        self._begin_tab()
        self._redraw()

    def _redraw(self) -> None:
        if not self._is_shown:
            return
        width = self.size.width
        self._base.query_one("#summary", Static).update(
            summary(self.board, self._trouble, ", ".join(self._doing), width)
        )
        self._base.query_one("#head", Static).update(heading(width))
        self._services.refresh()
        self._base.query_one("#tabs", Static).update(self._tab_line(width))
        if self._tab == "overview":
            service = self.board.services.get(self._services.chosen)
            text = Text(self._why_empty()) if service is None else overview(service, self.board, self._now())
            self._base.query_one("#overview-text", Static).update(text)
        elif self._tab in ("events", "timeline"):
            events = self.board.events_of(self._services.chosen if self._tab == "events" else "")
            text = Text("\n").join(event_text(event) for event in events[:_SHOWN_EVENTS])
            self._base.query_one(f"#{self._tab}-text", Static).update(text or Text("No events yet."))

    def _why_empty(self) -> str:
        if not self.board.at:
            return "" if self._trouble else "Connecting to the server…"
        if self.board.services:
            return "No service matches. Esc clears the search, p shows all."
        return NO_SERVICES

    def _tab_line(self, width: int) -> Text:
        text = Text()
        for tab, label in TABS.items():
            text.append(f" {label} ", style="reverse bold" if tab == self._tab else "")
        if self._services.chosen:
            text.append(f"  {one_line(self._services.chosen)}", style="bold")
        if self._tab == "log" and self._log_search:
            text.append(f"  /{self._log_search}", style="cyan")
        text.truncate(width, overflow="ellipsis", pad=True)
        return text

    def _begin_tab(self) -> None:
        """Read what the tab shows of the chosen service."""
        self._next_calls = []
        if self._tab == "log":
            self._log_cursor = ""
            self._log_turn += 1
            self._base.query_one(RichLog).clear()
            self._read_log()
        elif self._tab == "explain" and self._services.chosen:
            name = self._services.chosen
            self._base.query_one("#explain-text", Static).update("Looking…")
            self._call("service_explain", {"name": name}, lambda answer: self._show_explanation(name, answer))

    def _show_explanation(self, name: str, answer: ToolAnswer) -> None:
        if name != self._services.chosen or self._tab != "explain":
            return
        if answer.is_error:
            text = Text(shown_text(in_verbs(answer.text)), style="red")
        else:
            text, self._next_calls = explanation(answer.structured)
        self._base.query_one("#explain-text", Static).update(text)

    def _read_log(self) -> None:
        if self._tab != "log" or not self._is_shown or self._log_asked == self._log_turn:
            return
        if not self._services.chosen:
            return
        args: JsonObject = {"name": self._services.chosen, "lines": _LOG_LINES}
        if self._log_search:
            args["search"] = self._log_search
        if self._log_cursor:
            args["cursor"] = self._log_cursor
        turn = self._log_asked = self._log_turn
        self._call("service_logs", args, lambda answer: self._show_log(turn, answer))

    def _show_log(self, turn: int, answer: ToolAnswer) -> None:
        if turn != self._log_turn:
            return
        self._log_asked = 0
        log = self._base.query_one(RichLog)
        if answer.is_error:
            if not self._log_cursor:
                log.clear()
                log.write(Text(shown_text(in_verbs(answer.text)), style="red"))
            return
        if answer.structured.get("cursor", "") == self._log_cursor and self._log_cursor:
            return
        is_first, self._log_cursor = not self._log_cursor, str(answer.structured.get("cursor", ""))
        lines = answer.structured.get("lines", [])
        for line in lines or (["No lines."] if is_first else []):
            log.write(Text(shown_text(str(line)).replace("\t", "    ")))

    # -- what keys do --------------------------------------------------------------------------------------

    def action_number(self, number: int) -> None:
        """Show a tab; in an explanation that was reached by its tab, make the call of that number."""
        if self._tab == "explain" and self._below_has_focus() and number <= len(self._next_calls):
            call = self._next_calls[number - 1]
            self._ask_and_call(str(call["tool"]), call.get("args") or {})
        elif number <= len(TABS):
            self._tab = list(TABS)[number - 1]
            self._base.query_one(ContentSwitcher).current = self._tab
            self._begin_tab()
            self._redraw()

    def _below_has_focus(self) -> bool:
        return self.focused is not None and self.focused is not self._services

    def action_search(self) -> None:
        """Search services, or the lines of the log."""
        search = self._base.query_one(Input)
        search.placeholder = "search the log: a regular expression" if self._tab == "log" else "search services"
        search.value = self._log_search if self._tab == "log" else self._filter
        search.add_class("shown")
        search.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow the list while a person types."""
        if self._tab != "log" and event.input.has_class("shown"):
            self._filter = event.value
            self._changed(self._trouble)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Search, and go back to the list."""
        self._close_search()
        if self._tab == "log":
            self._log_search = event.value
            self._begin_tab()
            self._redraw()

    def action_clear(self) -> None:
        """Clear the search."""
        if self._base.query_one(Input).has_class("shown"):
            self._close_search()
        elif self._tab == "log" and self._log_search:
            self._log_search = ""
            self._begin_tab()
        else:
            self._filter, self._only_problems = "", False
        self._changed(self._trouble)

    def _close_search(self) -> None:
        self._base.query_one(Input).remove_class("shown")
        self._services.focus()

    def action_problems(self) -> None:
        """Show only what has problems, and back."""
        self._only_problems = not self._only_problems
        self._changed(self._trouble)

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Help())

    def action_ask(self, tool: str) -> None:
        """Do something to the chosen service."""
        if self._services.chosen:
            self._ask_and_call(tool, {"name": self._services.chosen})

    def _ask_and_call(self, tool: str, args: JsonObject) -> None:
        what = one_line(args.get("name", ""))
        if tool in _HARMLESS or tool in _READS:
            self._act(tool, args, f"{_HARMLESS.get(tool, tool)} {what}")
            return
        verb, doing, means = _QUESTIONS.get(tool, (f"Call {tool} for", tool, "This may change something."))

        def answered(yes: bool | None) -> None:
            if yes:
                self._act(tool, args, f"{doing} {what}")

        self.push_screen(Question(f"{verb} {what}?", means), answered)

    def _act(self, tool: str, args: JsonObject, doing: str) -> None:
        self._doing.append(doing)
        self._redraw()

        def done(answer: ToolAnswer) -> None:
            self._doing.remove(doing)
            text = "\n".join(shown_text(in_verbs(answer.text)).splitlines()[:_TOAST_LINES]) or f"{doing}: done"
            self.notify(text, severity="error" if answer.is_error else "information", markup=False)
            self._redraw()

        self._call(tool, args, done)

    def _call(self, tool: str, args: Mapping[str, JsonValue], take: Callable[[ToolAnswer], None]) -> None:
        """Call a tool in a thread, and give its answer to `take` here."""

        def call() -> None:
            answer = self._feed.call(tool, args)
            self._hand_over(lambda: take(answer))

        self._in_thread(call)

    def _hand_over(self, take: Callable[[], None]) -> None:
        """Do what another thread has an answer for, here; what comes when the view ends is dropped."""

        def arrive() -> None:
            if self._is_shown:
                take()

        if self._is_shown:
            with suppress(RuntimeError):  # it has just ended
                self.call_from_thread(arrive)

    @staticmethod
    def _in_thread(work: Callable[[], None]) -> None:
        """Run `work` in a thread that does not keep the program from ending."""
        threading.Thread(target=work, daemon=True).start()
