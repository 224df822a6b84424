"""One cell of the bench: a service of one kind of driver ends in one way at one moment, and what is said meanwhile."""

import contextlib
import queue
import tempfile
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from tests.support.forked_server import ForkedServer
from tests.support.forker import Forker
from tests.support.truth.drivers import (
    DRIVERS,
    SLOW,
    BlindDriver,
    Driver,
    Foreigner,
    HttpDriver,
    LedgerDriver,
    ProcessDriver,
    StdioDriver,
    until,
    wait,
)
from tests.support.truth.timeline import NEEDS_A_PERSON, Timeline

from ostler.faces.bridge.dialer import OstlerUnavailableError
from ostler.faces.cli.rpc import RequestFailedError, ToolAnswer

WAYS = (
    "exit 0", "exit 1", "kill -9", "driver killed", "both killed", "Ostler killed", "stop answered early", "stop lost",
    "id given to another", "port taken over",
)  # fmt: skip
MOMENTS = ("starting", "running", "stopping", "away")

GRACE = 0.35
"""Seconds that a busy machine may add to a bound."""

_QUIET = 1.3
"""Seconds for which a claim has to stay right until the cell is over: longer than from one check to the next."""

_SETTLES = 20.0
_STOPS = ("stop answered early", "stop lost")


@dataclass(frozen=True, slots=True)
class Cell:
    """One situation."""

    way: str
    driver: type[Driver]
    moment: str

    def __str__(self) -> str:
        return f"{self.driver.name}: {self.way} while {self.moment}"


@dataclass(slots=True)
class Played:
    """What a cell met.

    Attributes:
        wrong: the longest time for which a claim was wrong, in seconds.
        words: what was claimed then.
        final: the state at the end.
        held: a person had to say what is there.
        faults: what must not be.
    """

    cell: Cell
    wrong: float = 0.0
    words: str = ""
    final: str = ""
    held: bool = False
    faults: list[str] = field(default_factory=list)


def cells() -> Iterator[Cell]:
    """Yield every situation that there is."""
    for way in WAYS:
        for driver in DRIVERS:
            for moment in MOMENTS:
                if _exists(way, driver, moment):
                    yield Cell(way, driver, moment)


def _exists(way: str, driver: type[Driver], moment: str) -> bool:
    match way:
        case "stop lost":  # a second stop joins the first; calls of the process server are lost with Ostler alone
            return moment != "stopping" and (driver is not ProcessDriver or moment == "away")
        case "id given to another":
            return driver in (StdioDriver, BlindDriver, HttpDriver)
        case "port taken over":
            return driver in (ProcessDriver, HttpDriver)
        case _:
            return True


def play(cell: Cell, forker: Forker) -> Played:
    """Play a cell with a server and a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="ostler-truth-") as folder:
        stage = Stage(cell, ForkedServer(Path(folder), forker), cell.driver(Path(folder)))
        with stage.running():
            stage.play()
        return stage.played


def play_all(chosen: Iterable[Cell], lanes: int) -> list[Played]:
    """Play cells, `lanes` of them at the same time; return them in the order in which they ended."""
    waiting: queue.SimpleQueue[Cell] = queue.SimpleQueue()
    for cell in chosen:
        waiting.put(cell)
    played: list[Played] = []

    def lane() -> None:
        with Forker() as forker:
            while True:
                try:
                    cell = waiting.get_nowait()
                except queue.Empty:
                    return
                played.append(play(cell, forker))

    threads = [threading.Thread(target=lane) for _ in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return played


class Stage:
    """A cell being played."""

    def __init__(self, cell: Cell, server: ForkedServer, driver: Driver) -> None:
        self.cell = cell
        self.played = Played(cell)
        self.server = server
        self.driver = driver
        self.timeline = Timeline(server, lambda: driver.there("victim"))
        self.foreigner: Foreigner | None = None
        self._asked: list[threading.Thread] = []

    @contextlib.contextmanager
    def running(self) -> Generator[None]:
        """Run Ostler inside; nothing is left after it."""
        self.driver.configure(Path(self.server.place.config_dir), way=self.cell.way, moment=self.cell.moment)
        self.server.start()
        try:
            yield
        finally:
            self.timeline.end()
            self.server.kill()
            for thread in self._asked:
                thread.join(5)
            self.driver.clean()
            if self.foreigner is not None:
                self.foreigner.leave()

    def play(self) -> None:
        """Play it, and note what is wrong."""
        try:
            self._reach_moment()
            self._let_it_end()
            self._settle()
            self._take_away()
        except AssertionError as error:
            self.fault(str(error))

    def fault(self, text: str) -> None:
        """Note what must not be."""
        self.played.faults.append(text)

    # -- until the moment --------------------------------------------------------------------------------------

    def _reach_moment(self) -> None:
        if self.cell.moment == "starting":
            self.driver.late_start()
            if self.cell.way == "port taken over" and isinstance(self.driver, ProcessDriver):
                self.foreigner = Foreigner(self.driver.port)
            self.timeline_from_now()
            self.ask("service_create", name="victim", serviceClassName="mortal")
            if self.foreigner is None:
                until(lambda: self.is_half_started(), "what is started is there")
            wait(0.2)
            return
        answer = self.call("service_create", name="victim", serviceClassName="mortal")
        assert not answer.is_error, answer.text
        self.timeline_from_now()
        wait(0.2)
        if self.cell.moment == "stopping" and self.cell.way not in _STOPS:
            self.driver.slow_stop(delay=SLOW)
            self.ask("service_stop", name="victim")
            until(lambda: self.timeline.last.state == "stopping", "it is stopping")
            wait(0.2)
        if self.cell.moment == "away" and self.cell.way not in _STOPS:
            self.server.kill()

    def is_half_started(self) -> bool:
        """Whether the start has begun to act."""
        if isinstance(self.driver, ProcessDriver):
            return (self.driver.folder / "victim.pids").exists()
        return self.driver.there("victim")

    def timeline_from_now(self) -> None:
        """Compare claims with the truth from now on."""
        until(self.server.listens, "the server listens")
        self.timeline.begin()

    # -- the end -----------------------------------------------------------------------------------------------

    def _let_it_end(self) -> None:
        match self.cell.way:
            case "exit 0" | "exit 1" | "kill -9" as how:
                self.driver.end(how)
                self._come_back()
            case "driver killed":
                self.driver.kill_driver()
                self._come_back()
            case "both killed":
                self.driver.kill_driver()
                self.driver.end("kill -9")
                self._come_back()
            case "Ostler killed":
                self._kill_ostler()
            case "stop answered early" | "stop lost":
                self._stop_badly()
            case "id given to another":
                self._give_id_away()
            case _:
                self._take_port()

    def _come_back(self) -> None:
        """Bring back what is away."""
        wait(0.2)
        self.driver.revive()
        if self.cell.moment == "away":
            self.server.start()

    def _kill_ostler(self) -> None:
        if self.cell.moment == "away":  # it is away, comes back, and dies again as it looks
            self.server.start()
            wait(0.15)
        self.server.kill()
        self.server.start()

    def _stop_badly(self) -> None:
        is_early = self.cell.way == "stop answered early"
        is_away = self.cell.moment == "away"
        self.driver.slow_stop(**({"lingers": 1.5} if is_early else {"hangs": True} if is_away else {"dies": True}))
        self.ask("service_stop", name="victim")
        if self.cell.moment == "stopping":
            wait(0.3)
            self.ask("service_stop", name="victim")
        if is_away:
            wait(0.4)
            self.server.kill()
            self._come_back()
        if isinstance(self.driver, HttpDriver) and not is_early:
            until(lambda: self.driver.there("victim") is False, "the lost stop has acted")
            wait(0.3)
            self.driver.revive()

    def _give_id_away(self) -> None:
        assert isinstance(self.driver, LedgerDriver)
        if self.cell.moment == "away":
            self.driver.kill_driver()
            self.driver.revive()
            self.server.start()
        else:
            self.driver.kill_driver()
            self.driver.revive()
        self.driver.await_driver()
        deadline = time.monotonic() + 10
        while (answer := self.call("service_create", name="other", serviceClassName="mortal")).is_error:
            assert time.monotonic() < deadline, f"the other service is not started: {answer.text}"
            if not answer.text.startswith("service 'other' already exists"):
                self.call("service_delete", name="other", force=True)
            wait(0.1)

    def _take_port(self) -> None:
        if isinstance(self.driver, ProcessDriver):
            if self.cell.moment != "starting":
                self.driver.end("kill -9")
                self.foreigner = Foreigner(self.driver.port)
            if self.cell.moment == "away":
                self.server.start()
            return
        assert isinstance(self.driver, HttpDriver)
        self.driver.kill_driver()
        self.driver.end("kill -9")
        self.foreigner = Foreigner(self.driver.port)
        if self.cell.moment == "away":
            self.server.start()
        wait(2.5)
        self.foreigner.leave()
        self.driver.revive()

    # -- what must be ------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Wait until what is said is so, and stays so."""
        right_since: float | None = None
        deadline = time.monotonic() + _SETTLES
        while right_since is None or time.monotonic() - right_since < _QUIET:
            claim, truth = self.timeline.last, self.driver.there("victim")
            if claim.there is not truth or any(thread.is_alive() for thread in self._asked):
                right_since = None
                if time.monotonic() > deadline:
                    break
            else:
                right_since = right_since or time.monotonic()
            wait(0.02)
        self.timeline.end()
        self.played.wrong, self.played.words = self.timeline.worst, self.timeline.worst_words
        self.played.final = self.timeline.last.state
        if self.played.wrong > self.driver.bound + GRACE:
            self.fault(f"wrong for {self.played.wrong:.1f} s: {self.played.words}")
        if right_since is None and not (self._is_blind() and self.timeline.last.state in NEEDS_A_PERSON):
            is_there = "is" if self.driver.there("victim") else "is not"
            said = self.call("service_status", name="victim").text
            self.fault(f"at the end it {is_there} there: {said}")

    def _is_blind(self) -> bool:
        """Whether its outcome stays unknown: the start gave no id, and there is no find tool."""
        return not self.driver.can_find and self.cell.moment == "starting"

    def _take_away(self) -> None:
        """Delete the service: nothing of it may be left, and nothing of others touched."""
        had_other = self.driver.there("other") if self.cell.way == "id given to another" else False
        if self.cell.way == "id given to another" and not had_other:
            self.fault("what another service runs was ended")
        answer = self._delete()
        if answer.is_error and self._is_blind():
            self.played.held = True
            answer = self.call("service_delete", name="victim", abandon=True)
        if answer.is_error and self.timeline.last.state != "absent":
            self.fault(f"it cannot be deleted: {answer.text}")
        if self.driver.there("victim"):
            self.fault("it is there after it was deleted")
        if had_other and not self.driver.there("other"):
            self.fault("what another service runs was ended with it")

    def _delete(self) -> ToolAnswer:
        """Delete the service, as soon as the server that drives it is connected again."""
        deadline = time.monotonic() + _SETTLES
        while True:
            answer = self.call("service_delete", name="victim")
            if not answer.is_error or "is not connected" not in answer.text or time.monotonic() > deadline:
                return answer
            wait(0.2)

    # -- asking ------------------------------------------------------------------------------------------------

    def call(self, tool: str, **args: Any) -> ToolAnswer:
        """Call a tool, and wait for its answer."""
        with self.server.client() as client:
            return client.call_tool(tool, args)

    def ask(self, tool: str, **args: Any) -> None:
        """Call a tool, and wait for nothing."""

        def send() -> None:
            with contextlib.suppress(OstlerUnavailableError, RequestFailedError, OSError, psutil.Error):
                self.call(tool, **args)

        self._asked.append(threading.Thread(target=send, daemon=True))
        self._asked[-1].start()
