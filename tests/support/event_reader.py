"""A client that follows the events of all services, wherever it may ask, and notes what is wrong with their order."""

import contextlib
import threading
from collections.abc import Callable, Generator, Mapping
from typing import Any

from ostler.faces.cli.rpc import ToolAnswer


class EventReader:
    """Reads events from its last cursor on, again and again.

    Attributes:
        answers: how many answers it had.
        started_over: how often an answer said that reading started over or that events were gone.
    """

    def __init__(self, ask: Callable[[str, dict[str, Any]], ToolAnswer]) -> None:
        self._ask = ask
        self._seen: dict[int, tuple[str, str]] = {}
        self._cursor = 0
        self._compared = 0
        self._wrong: list[str] = []
        self._ends = threading.Event()
        self.answers = 0
        self.started_over = 0

    @contextlib.contextmanager
    def reading(self) -> Generator["EventReader"]:
        """Read within the block."""
        thread = threading.Thread(target=self._read, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ends.set()
            thread.join(90)

    def _read(self) -> None:
        while not self._ends.wait(0.1):
            with contextlib.suppress(Exception):  # whatever a client meets when its server is killed: it asks again
                answer = self._ask("service_events", {"since": self._cursor, "limit": 500})
                if not answer.is_error:
                    self._take(answer.structured)

    def _take(self, page: Any) -> None:
        self.answers += 1
        self.started_over += bool(page["dropped"])
        cursors = [int(event["cursor"]) for event in page["events"]]
        if cursors != sorted(set(cursors)):
            self._wrong.append(f"events are out of order: {cursors}")
        if not page["dropped"] and cursors and cursors[0] <= self._cursor:
            self._wrong.append(f"event {cursors[0]} came again after {self._cursor}")
        self._seen.update(
            {int(event["cursor"]): (event["kind"], event.get("service") or "") for event in page["events"]}
        )
        self._cursor = max(self._cursor, int(page["cursor"]), *cursors)

    def compare(self, stored: Mapping[int, tuple[str, str]]) -> list[str]:
        """Return what was wrong since the last time; `stored` are kind and service of what is durable, by cursor."""
        until = self._cursor
        found, self._wrong = self._wrong, []
        for cursor in sorted(cursor for cursor in stored if self._compared < cursor <= until):
            if cursor not in self._seen:
                found.append(f"event {cursor} was never shown, and reading went on to {until}")
            elif self._seen[cursor] != stored[cursor]:
                found.append(f"event {cursor} was shown as {self._seen[cursor]}, and is {stored[cursor]}")
        self._compared = until
        return found
