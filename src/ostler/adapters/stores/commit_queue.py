"""Group commit: commits and events that wait for one writer, which writes all of them as one batch."""

import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

import anyio
import anyio.lowlevel
from msgspec import Struct, field

from ostler.adapters.stores.memory import duplicate_name
from ostler.adapters.stores.rows import CommitWrite, EventWrite, encode_commit, encode_event
from ostler.engine.protocols import Change
from ostler.model.errors import StoreError
from ostler.model.events import Event

logger = logging.getLogger(__name__)

_MAX_BATCH = 256
"""Commits in one transaction."""

_TURNS = 2
"""Turns of the event loop in which others can join a batch, if the last one had several: 32 clients that create and
delete services take 5 to 10 % less CPU so."""

_MAX_EVENTS = 10_000
"""Events that wait while the database refuses them; older ones are dropped."""

_EVENT_DELAY = 0.1
"""Seconds that events wait for a commit to carry them before they are written on their own."""

_EVENT_RETRY_DELAY = 1.0
"""Seconds between attempts to write events alone while the database refuses them."""

CLOSE_GRACE = 10.0
"""Seconds to write what was accepted when the store is closed; a database that hangs longer is abandoned."""


class Refusal(Struct, frozen=True):
    """Why one commit of a batch was undone: the name that it gave to a second service."""

    name: str
    cause: Exception

    def error(self) -> StoreError:
        """Return it as an error."""
        error = duplicate_name(self.name)
        error.__cause__ = self.cause
        return error


class Written(Struct, frozen=True):
    """How the writing of a batch went.

    Attributes:
        refused: by their index, the commits of which nothing was written, and why; all others are durable.
        events_refused: why its events were not written.
    """

    refused: Mapping[int, StoreError] = {}
    events_refused: StoreError | None = None


WriteBatch: TypeAlias = Callable[[Sequence[CommitWrite], Sequence[EventWrite]], Awaitable[Written]]


class _Pending(Struct, eq=False):
    """A commit that waits for its durability."""

    write: CommitWrite
    done: anyio.Event = field(default_factory=anyio.Event)
    error: StoreError | None = None


class CommitQueue:
    """Commits and events on their way into a database. All methods belong to one event loop."""

    def __init__(self, what: str, write: WriteBatch, last_cursor: int) -> None:
        """Make an empty queue; `run` writes.

        Args:
            what: names the database in errors and the log.
            write: makes a batch durable in one transaction; a commit that contradicts what is stored fails alone.
            last_cursor: the highest event cursor ever given out.
        """
        self._what = what
        self._write_batch = write
        self._queue: deque[_Pending] = deque()
        self._events: deque[EventWrite] = deque()
        self._events_due = 0.0
        self._events_failing = False
        self._wake = anyio.Event()
        self._has_due = anyio.Event()
        """Set when `_events_due` is."""
        self._is_crowded = False
        """Whether the last batch had several commits: those who asked for them soon ask for more."""
        self.last_cursor = last_cursor
        self.is_closing = False

    def __repr__(self) -> str:
        return f"<CommitQueue {self._what}{' closed' if self.is_closing else ''}>"

    async def commit(self, changes: Sequence[Change]) -> None:
        """Make `changes` durable, atomically, in the order of the calls.

        Cancelled before its turn, nothing is written; cancelled during the write, all of it may be.

        Raises:
            StoreError: it was not written.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()
        self.check_open()
        pending = _Pending(encode_commit(changes))
        self._queue.append(pending)
        self._wake.set()
        try:
            await pending.done.wait()
        except BaseException:
            if pending in self._queue:
                self._queue.remove(pending)
            raise
        if pending.error is not None:
            raise pending.error

    def append_events(self, events: Sequence[Event]) -> None:
        """Queue `events`; they are written with the next commit, or within about 0.1 s. Never blocks.

        While the database refuses, the newest are kept in memory and tried again.

        Raises:
            StoreError: an event's data is not JSON.
        """
        for event in events:
            self.last_cursor = max(self.last_cursor, event.cursor)
            if not self._events:
                self._write_events_in(_EVENT_DELAY)
            self._events.append(encode_event(event))
        if len(self._events) > _MAX_EVENTS:
            self._bound_events()

    def check_open(self) -> None:
        """Raise StoreError when the store is closed."""
        if self.is_closing:
            raise self._closed_error()

    def close(self) -> None:
        """Accept no more; `run` ends when what was accepted is written."""
        self.is_closing = True
        self._wake.set()

    @asynccontextmanager
    async def served(self, work: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
        """Let `work`, which is to call `run`, write during the block, and after it what was accepted; then close.

        The block's own error leaves as it is, not in a group.
        """
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            # It is shielded, so that accepted commits survive a cancellation; its deadline bounds that.
            writer, reminder = anyio.CancelScope(shield=True), anyio.CancelScope()
            tasks.start_soon(self._work_within, writer, work)
            tasks.start_soon(self._remind_within, reminder)
            try:
                yield
            except Exception as exc:  # noqa: BLE001 (boundary: see above)
                failure = exc
            finally:
                self.close()
                reminder.cancel()
                writer.deadline = anyio.current_time() + CLOSE_GRACE
        if failure is not None:
            raise failure

    async def _work_within(self, scope: anyio.CancelScope, work: Callable[[], Awaitable[None]]) -> None:
        with scope:
            await work()
        if scope.cancelled_caught:
            logger.error("the database %s did not answer for %s s and was abandoned", self._what, CLOSE_GRACE)

    def _write_events_in(self, seconds: float) -> None:
        """Have the events that wait written in that time, unless a commit carries them before."""
        self._events_due = anyio.current_time() + seconds
        self._has_due.set()

    async def _remind_within(self, scope: anyio.CancelScope) -> None:
        """Wake the writer when events are due.

        It sleeps through what commits carry: a writer that waited for the time itself woke twice for each commit.
        """
        with scope:
            while True:
                await self._has_due.wait()
                self._has_due = anyio.Event()
                await anyio.sleep_until(self._events_due)
                if self._events and anyio.current_time() >= self._events_due:
                    self._wake.set()

    async def run(self, finish: Callable[[], Awaitable[None]]) -> None:
        """Write batches until the queue is closed and everything accepted is written; then call `finish`."""
        try:
            while not self.is_closing or self._queue:
                await self._wait_for_work()
                if self._is_crowded:
                    for _ in range(_TURNS):
                        await anyio.lowlevel.checkpoint()
                await self._write_next()
            await self._write_next(last=True)
            await finish()
        finally:
            self.is_closing = True
            self._fail_queued()

    async def _wait_for_work(self) -> None:
        while not self._queue and not self.is_closing:
            if self._events and anyio.current_time() >= self._events_due:
                return
            await self._wake.wait()
            self._wake = anyio.Event()

    async def _write_next(self, *, last: bool = False) -> None:
        if self._events_failing and self._events and (last or anyio.current_time() >= self._events_due):
            # They were refused: they are tried alone, so that they cannot spoil a commit that would fit.
            await self._write([], self._take_events(), last=last)
        self._is_crowded = len(self._queue) > 1
        commits = [self._queue.popleft() for _ in range(min(len(self._queue), _MAX_BATCH))]
        events = [] if self._events_failing else self._take_events()
        if commits or events:
            await self._write(commits, events, last=last)

    def _take_events(self) -> list[EventWrite]:
        events = list(self._events)
        self._events.clear()
        return events

    async def _write(self, commits: Sequence[_Pending], events: Sequence[EventWrite], *, last: bool) -> None:
        try:
            written = await self._write_batch([pending.write for pending in commits], events)
        except BaseException:
            # The store ends here (its grace is over, or a bug): no one may wait forever or believe it written.
            for pending in commits:
                pending.error = self._closed_error()
            raise
        else:
            for index, error in written.refused.items():
                commits[index].error = error
            if written.events_refused is None:
                self._events_failing = self._events_failing and not events
            else:
                self._keep_unwritten(events, written.events_refused, last=last)
        finally:
            for pending in commits:
                pending.done.set()

    def _keep_unwritten(self, events: Sequence[EventWrite], error: StoreError, *, last: bool) -> None:
        if not events:
            return
        if not self._events_failing or last:
            logger.warning("%s", error)
        self._events_failing = True
        self._events.extendleft(reversed(events))
        self._bound_events()
        self._write_events_in(_EVENT_RETRY_DELAY)

    def _bound_events(self) -> None:
        while len(self._events) > _MAX_EVENTS:
            self._events.popleft()

    def _fail_queued(self) -> None:
        for pending in self._queue:
            pending.error = self._closed_error()
            pending.done.set()
        self._queue.clear()

    def _closed_error(self) -> StoreError:
        return StoreError(
            f"the database {self._what} is closed; nothing was written",
            next_actions=("wait for the server to start again",),
        )
