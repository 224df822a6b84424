"""`ostler top`: what the screen shows and its keys do, by textual's own pilot, and once in a real terminal."""

import os
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from processes.command_line import CommandLine
from tests.support.terminal import terminal
from textual.pilot import Pilot

from ostler.faces.bridge.place import ServerPlace
from ostler.faces.cli.rpc import ToolAnswer
from ostler.faces.cli.session import ExitStatus
from ostler.faces.terminal.board import Board
from ostler.faces.terminal.view import FOLLOW_SECONDS, TopView

HOSTILE = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202eeman [bold]x[/]"
NOW = datetime.now(UTC)


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat()


def service(name: str, project: str = "", **facts: Any) -> dict[str, Any]:
    known = {"name": name, "state": "running", "since": ago(300), "health": "healthy", "class": "web", "type": "web"}
    checked = {"checkedAt": ago(0), "passedAt": ago(0), "desired": "running"}
    placed = {"project": project, "directory": "/code/shop"} if project else {}
    return {**known, **checked, **placed, **facts}


SERVICES = [
    service("db", outputs={"port": 5432}),
    service("web.shop-1", "shop-1", outputs={"url": "http://127.0.0.1:8080/"}, leaseEndsAt=ago(-1800)),
    service("api.shop-1", "shop-1", failedChecks="1 of 3 checks failed", evidence="GET /health: 503"),
    service("worker.shop-1", "shop-1", state="failed", health="unknown", error="no module named 'celery'"),
    {**service("process", type="MCPServer", state="connected"), "class": ""},
]
del SERVICES[-1]["class"]


class ScriptedFeed:
    """A server whose answers a test gives."""

    def __init__(self, services: list[dict[str, Any]], **answers: Any) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.seconds = 0.0
        self.under_way = self.most_at_once = 0
        self._answers = answers
        self._whole = snapshot(services)
        self._ended = threading.Event()
        self.change: Callable[[dict[str, Any] | None, str], None] = lambda found, trouble: None

    def follow(self, board: Board, changed: Callable[[str], None]) -> None:
        def change(found: dict[str, Any] | None, trouble: str) -> None:
            if found is not None:
                board.take(found, NOW)
            changed(trouble)

        self.change = change
        change(self._whole, "")
        self._ended.wait()

    def call(self, tool: str, args: Mapping[str, Any]) -> ToolAnswer:
        self.calls.append((tool, dict(args)))
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        self._ended.wait(self.seconds)
        self.under_way -= 1
        answer = self._answers.get(tool, {})
        return ToolAnswer(answer, answer.get("text", f"{tool} done"), "error" in answer)

    def close(self) -> None:
        self._ended.set()


def snapshot(services: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    usage = {"db": [12.5, 48_000_000]}
    head = {"complete": True, "at": NOW.isoformat(), "cursor": 3, "events": [], "usage": usage}
    return {**head, "services": services, **more}


def test_an_answer_that_arrives_while_the_board_is_read_disturbs_no_reader() -> None:
    board = Board()
    board.take(snapshot(SERVICES), NOW)
    reading = iter(board.services.values())
    first = next(reading)
    checks = {"web.shop-1": [ago(0), ago(0)]}
    board.take(snapshot([service("new")], complete=False, removed=["db"], checks=checks), NOW)
    assert [first, *reading] == SERVICES
    assert [row.name for row in board.rows()][:1] == ["new"]


class Screen:
    def __init__(self, view: TopView, pilot: Pilot[None], feed: ScriptedFeed) -> None:
        self.view, self._pilot, self.feed = view, pilot, feed

    @property
    def lines(self) -> list[str]:
        strips = self.view.screen._compositor.render_strips()  # pyright: ignore[reportPrivateUsage]
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]

    @property
    def marked(self) -> list[str]:
        """The names of the lines of the list that stand out."""
        strips = self.view.screen._compositor.render_strips()[2:11]  # pyright: ignore[reportPrivateUsage]
        styled = [(segment.text, segment.style) for strip in strips for segment in strip]
        return [text.split()[1] for text, style in styled if style is not None and style.reverse and text.strip()]

    async def press(self, *keys: str) -> None:
        await self._pilot.press(*keys)

    async def type(self, text: str) -> None:
        for key in text:
            await self.press({"/": "slash"}.get(key, key))

    async def shows(self, *words: str) -> list[str]:
        return await self.until(lambda text: all(word in text for word in words))

    async def until(self, condition: Callable[[str], object]) -> list[str]:
        with anyio.move_on_after(60):
            while not condition("\n".join(self.lines)):
                await self._pilot.pause(0.02)
            return self.lines
        raise AssertionError("\n".join(self.lines))

    async def change(self, found: dict[str, Any] | None, trouble: str = "") -> None:
        await anyio.to_thread.run_sync(self.feed.change, found, trouble)


@asynccontextmanager
async def top(
    services: list[dict[str, Any]] | None = None, *, follow_every: float = FOLLOW_SECONDS, **answers: Any
) -> AsyncGenerator[Screen]:
    feed = ScriptedFeed(SERVICES if services is None else services, **answers)
    view = TopView(feed, now=lambda: NOW, follow_every=follow_every)
    async with view.run_test(size=(80, 24), notifications=True) as pilot:
        screen = Screen(view, pilot, feed)
        await screen.until(lambda text: "connecting" not in text)
        yield screen


@pytest.mark.anyio
@pytest.mark.realtime
class TestView:
    async def test_services_stand_under_their_projects_with_what_is_known_of_them(self) -> None:
        async with top() as screen:
            lines = await screen.shows("1 Overview")
            assert lines[0].startswith("Ostler 3 running, 1 connected, 1 failed · CPU 12 % · 48 MB")
            assert [line.split()[:2] for line in lines[2:9]] == [
                ["●", "db"],
                ["shop-1", "3"],
                ["◑", "api"],
                ["●", "web"],
                ["▲", "worker"],
                ["MCP", "servers"],
                ["●", "process"],
            ]
            assert lines[2].split()[2:] == ["running", "healthy", "0s", "12.5", "48", "MB", ":5432"]
            assert "1 of 3 failed" in lines[4]
            assert "lease 30m" in lines[5]
            assert "no module named" in lines[6]
            assert all(len(line) <= 80 for line in lines)
            assert screen.marked == ["db"]
            await screen.press("down")
            assert screen.marked == ["api"]
            await screen.shows("GET /health: 503", "healthy until 0s ago; 1 of 3 checks failed")

    async def test_a_service_whose_server_is_away_is_out_of_reach(self) -> None:
        away = "its server cannot be reached"
        unchecked = service("job", health="unknown", failedChecks=away)
        async with top([service("db", failedChecks=away), unchecked]) as screen:
            await screen.shows("◑ db", "out of reach", f"healthy until 0s ago; {away}")
            await screen.press("down")
            await screen.shows(f"unknown; {away}")

    async def test_what_changes_something_asks_before_and_no_is_the_answer_of_every_other_key(self) -> None:
        async with top() as screen:
            for key in ("n", "escape", "enter"):
                await screen.press("x")
                await screen.shows("Stop db?")
                await screen.press(key)
                await screen.until(lambda text: "Stop db?" not in text)
            assert screen.feed.calls == []
            await screen.press("d")
            await screen.shows("Delete db?", "cannot be undone")
            await screen.change(snapshot(SERVICES))  # the list goes on below
            await screen.press("y")
            await screen.shows("service_delete done")
            await screen.press("s")
            await screen.until(lambda text: len(screen.feed.calls) == 2)
            assert screen.feed.calls == [("service_delete", {"name": "db"}), ("service_start", {"name": "db"})]

    async def test_a_search_narrows_the_list_and_escape_shows_all_again(self) -> None:
        async with top() as screen:
            await screen.press("slash")
            await screen.type("shop failed")
            await screen.until(lambda text: "worker" in text and " db " not in text)
            await screen.press("enter", "escape")
            await screen.shows(" db ")
            await screen.press("p")
            await screen.until(lambda text: "worker" in text and " api " in text and " db " not in text)

    async def test_the_chosen_service_stays_chosen_when_others_come_and_go(self) -> None:
        async with top() as screen:
            await screen.press("down")
            await screen.shows("api.shop-1")
            await screen.change(snapshot([service("aaa"), service("bbb"), *SERVICES[1:]]))
            await screen.shows("bbb", "api.shop-1")
            more = {"complete": False, "services": [], "removed": ["api.shop-1"]}
            await screen.change(snapshot([]) | more)
            await screen.until(lambda text: "api.shop-1" not in text)

    async def test_the_log_is_searched_on_the_server_and_goes_on(self) -> None:
        logs = {"lines": ["first", f"second {HOSTILE}"], "cursor": "7"}
        async with top(service_logs=logs) as screen:
            await screen.press("2")
            lines = await screen.shows("first", "second red")
            assert not any(sign in "".join(lines) for sign in "\x1b\x9b\u202e\x07")
            assert "[bold]x[/]" in "".join(lines)
            await screen.press("slash")
            await screen.type("sec.nd")
            await screen.press("enter")
            await screen.until(
                lambda text: ("service_logs", "sec.nd") in [(c, a.get("search")) for c, a in screen.feed.calls]
            )
            await screen.shows("/sec.nd")

    async def test_a_slow_server_is_not_asked_for_the_log_again_before_it_has_answered(self) -> None:
        async with top(follow_every=0.02, service_logs={"lines": ["first"], "cursor": "7"}) as screen:
            screen.feed.seconds = 0.1
            await screen.press("2")
            await screen.until(lambda text: len(screen.feed.calls) > 3)
            assert screen.feed.most_at_once == 1
            assert [args.get("cursor") for _, args in screen.feed.calls[:3]] == [None, "7", "7"]
            await screen.press("down")  # another service's log is asked for at once
            await screen.until(lambda text: screen.feed.calls[-1][1]["name"] == "api.shop-1")
        # an answer that comes while the view ends is dropped: in a thread of its own it would fail

    async def test_an_explanation_has_numbered_calls(self) -> None:
        call = {"tool": "service_restart", "args": {"name": "db"}, "when": "after a change"}
        async with top(service_explain={"causes": ["its port is taken"], "nextCalls": [call]}) as screen:
            await screen.press("3")
            await screen.shows("its port is taken", "1 service_restart name=db")
            await screen.press("tab", "1")
            await screen.shows("Restart db?")
            await screen.press("y")
            await screen.shows("service_restart done")
            await screen.press("tab", "1")
            await screen.shows("State      running")

    async def test_events_of_one_service_and_of_all(self) -> None:
        event = {"cursor": 4, "at": ago(1), "kind": "warning", "service": "db", "message": f"disk full {HOSTILE}"}
        other = {"cursor": 5, "at": ago(0), "kind": "state_changed", "service": "web.shop-1", "message": "a -> b"}
        async with top() as screen:
            await screen.change(snapshot(SERVICES, events=[event, other]))
            await screen.press("4")
            await screen.until(lambda text: "disk full red" in text and "a -> b" not in text)
            await screen.press("5")
            await screen.shows("disk full", "a -> b")

    async def test_names_and_outputs_of_others_do_nothing_to_the_terminal(self) -> None:
        evil = service(HOSTILE, "p\x1b[2J", outputs={"url": f"http://h/{HOSTILE}"}, error=HOSTILE, evidence=HOSTILE)
        async with top([evil], service_stop={"error": {}, "text": HOSTILE}) as screen:
            await screen.press("x", "y")
            lines = await screen.until(lambda text: len(screen.feed.calls) == 1)
            assert not any(sign in "".join(lines) for sign in "\x1b\x9b\u202e\x07")
            assert "[bold]x[/]" in "".join(lines)

    async def test_a_lost_server_is_said_and_an_empty_one_says_what_to_do(self) -> None:
        async with top([]) as screen:
            await screen.shows("no services", "ostler create CLASS")
            await screen.change(None, "nothing listens there")
            await screen.shows("not connected: nothing listens there")

    async def test_two_thousand_services_are_moved_through_at_once(self) -> None:
        async with top([service(f"s{number:04}") for number in range(2_000)]) as screen:
            await screen.press("end")
            await screen.shows("● s1999", "1 Overview  2 Log  3 Explain  4 Events  5 All events   s1999")
            await screen.press("pageup", "home")
            await screen.shows("● s0000")


@pytest.mark.realtime
def test_in_a_real_terminal_a_service_is_seen_stopped_and_the_terminal_is_left_as_it_was(
    place: ServerPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    ostler = CommandLine(place, capsys)
    assert ostler.run("top") == ExitStatus.USAGE
    assert "top needs a terminal. Next: ostler ps" in ostler.err
    command = "command={python} -S -c \"import time; print('it ticks', flush=True); time.sleep(1000)\""
    assert ostler.run("create", "command", "ticker", "--arg", command) == ExitStatus.OK, ostler.err
    folders = ["--config", place.config_dir, "--state", place.state_dir]
    program = [sys.executable, "-m", "ostler.faces.entry", *folders, "top"]
    environment = {**os.environ, "TERM": "xterm-256color"}
    with terminal(program, environment) as screen:
        screen.shows("● ticker", "MCP servers", "1 Overview", "Quit")
        screen.press("2")
        screen.shows("it ticks")
        screen.press("x")
        screen.shows("Stop ticker?")
        screen.press("y")
        screen.shows("■ ticker", "1 stopped")
        assert len(screen.lines) == 24
        screen.press("q")
        assert screen.ended() == 0
        assert b"\x1b[?1049l" in screen.raw  # back from the alternate screen
        assert screen.raw.rindex(b"\x1b[?25h") > screen.raw.rindex(b"\x1b[?1049h")  # the cursor is shown again
    without = "import sys; sys.modules['textual'] = None; from ostler.faces.entry import main; sys.exit(main())"
    with terminal([sys.executable, "-c", without, *folders, "top"], environment) as screen:
        assert screen.ended() == ExitStatus.FAILED
        assert "pip install '.[top]'" in screen.text.replace("\n", "")
