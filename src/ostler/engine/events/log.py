"""The event log: ordered facts with a cursor, bounded in memory, kept by the store, readable and awaitable."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from itertools import islice, pairwise, takewhile

import anyio
from msgspec import Struct

from ostler.engine.clock import in_turns
from ostler.engine.events.history import AllEvents, HistoryParts, ServiceHistory
from ostler.engine.protocols import Clock, Store
from ostler.model.events import Event, EventKind
from ostler.model.json import JsonObject

logger = logging.getLogger(__name__)

MAX_EVENTS = 10_000
"""Events held in memory for readers of all services."""

MAX_EVENTS_PER_SERVICE = 50
"""Events of each service held in memory besides: a noisy service does not push out those of others."""


_ALIKE = frozenset(
    {EventKind.SERVICE_CREATED, EventKind.STATE_CHANGED, EventKind.HEALTH_CHANGED, EventKind.REACHABILITY_CHANGED}
)
"""Kinds of which many services have the same events but for the time; they share message and data, 1 KiB a service."""

_MAX_ALIKE = 256


class EventPage(Struct, frozen=True):
    """Some events, and the cursor to continue with.

    Attributes:
        events: oldest first.
        next_cursor: pass it as `since` to read what comes after.
        truncated: there is more right now; read again from `next_cursor`.
        dropped: some of the events after `since` are gone (retention), or `since` is a cursor that was never given
            out (the state folder was replaced), so that reading starts over.
    """

    events: tuple[Event, ...]
    next_cursor: int
    truncated: bool = False
    dropped: bool = False


class LogContents(Struct, frozen=True):
    """All that a log holds in memory.

    Attributes:
        events: the newest ones of all services, oldest first.
        dropped_until: the cursor of the newest event before them.
        last_cursor: of the newest event.
        histories: the events of each service.
        ended: services that were deleted, with the cursors of these events.
        max_events: how many `events` are kept.
        max_per_service: how many events of a service are kept.
    """

    events: tuple[Event, ...]
    dropped_until: int
    last_cursor: int
    histories: Mapping[str, HistoryParts]
    ended: Mapping[str, int]
    max_events: int
    max_per_service: int


class EventReader(ABC):
    """The event log, for readers."""

    followed = 0
    """How often it has taken over what another log holds; what was read before that may be out of date."""

    @property
    @abstractmethod
    def last_cursor(self) -> int:
        """The cursor of the newest event."""

    @abstractmethod
    def read(
        self,
        *,
        since: int = 0,
        service: str = "",
        services: Collection[str] = (),
        kinds: Collection[EventKind] = (),
        limit: int = 100,
        newest: bool = False,
    ) -> EventPage:
        """Return the events after cursor `since`, oldest first, at most `limit`.

        Args:
            since: a cursor.
            service: of this service alone; its history reaches further back.
            services: of these services alone.
            kinds: of these kinds alone.
            limit: how many.
            newest: of more, the newest ones, and not those that follow `since`.
        """

    @abstractmethod
    async def wait(
        self,
        *,
        since: int,
        service: str = "",
        services: Collection[str] = (),
        kinds: Collection[EventKind] = (),
        timeout: float,
    ) -> EventPage:
        """Return the events after `since` as soon as there is one, or an empty page after `timeout` seconds.

        The other arguments are those of `read`.
        """

    @abstractmethod
    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback(event)` for each new event, in order; it must be quick. Returns what ends the subscription."""


class EventLog(EventReader):
    """Appends facts in order and notifies subscribers, each in the same order."""

    def __init__(
        self,
        clock: Clock,
        store: Store | None = None,
        *,
        max_events: int = MAX_EVENTS,
        max_per_service: int = MAX_EVENTS_PER_SERVICE,
    ) -> None:
        self._clock = clock
        self._store = store
        self._max_events = max_events
        self._max_per_service = max_per_service
        self._all = AllEvents(max_events, on_packed=self._settle)
        self._by_service: dict[str, ServiceHistory] = {}
        self._ended: dict[str, int] = {}
        """Service → cursor of its deletion, oldest first; what it did is kept as long as that event is."""
        self._alike: dict[tuple[EventKind, str], tuple[str, JsonObject]] = {}
        self._last_cursor = 0
        self._dropped_until = 0
        self._subscribers: list[Callable[[Event], None]] = []
        self._waiters: list[anyio.Event] = []

    def __repr__(self) -> str:
        return f"EventLog(cursor={self._last_cursor})"

    @property
    def last_cursor(self) -> int:
        """The cursor of the newest event."""
        return self._last_cursor

    async def restore(self, events: Sequence[Event], last_cursor: int) -> None:
        """Take over what the store kept from an earlier run, in turns; cursors continue from there."""
        gone = events[0].cursor - 1 if events else last_cursor
        for earlier, event in pairwise(events):
            if event.cursor != earlier.cursor + 1:  # a gap: what was in it is gone
                gone = event.cursor - 1
        await in_turns(map(self._keep, events))
        self._dropped_until = max(gone, self._dropped_until)
        self._last_cursor = max(last_cursor, self._last_cursor)

    def append(
        self,
        kind: EventKind,
        service: str = "",
        message: str = "",
        data: JsonObject | None = None,
        *,
        at: datetime | None = None,
    ) -> Event:
        """Record a fact. Never blocks; a subscriber that raises is logged."""
        self._last_cursor += 1
        message, data = self._shared(kind, message, data or {})
        event = Event(self._last_cursor, at or self._clock.now(), kind, service, message, data)
        self._keep(event)
        if self._store is not None:
            self._store.append_events((event,))
        self._publish(event)
        return event

    @property
    def contents(self) -> LogContents:
        """Everything that is held in memory."""
        return LogContents(
            tuple(self._all.after(0)),
            self._dropped_until,
            self._last_cursor,
            {service: history.parts for service, history in self._by_service.items()},
            dict(self._ended),
            self._max_events,
            self._max_per_service,
        )

    def follow(self, contents: LogContents) -> None:
        """Replace the contents by those of another log; new events are published, unless this log was empty."""
        before = self._last_cursor or contents.last_cursor
        self._max_events, self._max_per_service = contents.max_events, contents.max_per_service
        self._all = AllEvents(contents.max_events, contents.events, on_packed=self._settle)
        self._by_service = {
            service: ServiceHistory.of(service, contents.max_per_service, parts)
            for service, parts in contents.histories.items()
        }
        self._ended = dict(contents.ended)
        self._dropped_until, self._last_cursor = contents.dropped_until, contents.last_cursor
        self.followed += 1
        for event in contents.events:
            if event.cursor > before:
                self._publish(event)

    def repeat(self, event: Event) -> None:
        """Add an event that another log has appended; a known one is ignored."""
        if event.cursor > self._last_cursor:
            self._keep(event)
            self._publish(event)

    def _publish(self, event: Event) -> None:
        for waiter in self._waiters:
            waiter.set()
        for subscriber in list(self._subscribers):
            try:
                subscriber(event)
            except Exception:  # boundary: a subscriber's fault must not disturb the engine or other subscribers
                logger.exception("event subscriber failed")

    def read(
        self,
        *,
        since: int = 0,
        service: str = "",
        services: Collection[str] = (),
        kinds: Collection[EventKind] = (),
        limit: int = 100,
        newest: bool = False,
    ) -> EventPage:
        """Return the events after cursor `since`; as `EventReader.read`."""
        is_foreign = since > self._last_cursor
        since = 0 if is_foreign else since
        if service:
            own = self._by_service.get(service)
            source = takewhile(lambda event: event.cursor > since, own.newest_first()) if own is not None else iter(())
            source = source if newest else reversed(list(source))
        elif newest:
            source = takewhile(lambda event: event.cursor > since, self._all.newest_first())
        else:
            source = self._all.after(since)
        fitting = (
            event
            for event in source
            if (not kinds or event.kind in kinds) and (not services or event.service in services)
        )
        found = list(islice(fitting, limit if newest else limit + 1))
        if newest:
            found.reverse()
        if truncated := len(found) > limit:
            del found[limit:]
        return EventPage(
            tuple(found),
            next_cursor=found[-1].cursor if truncated else self._last_cursor,
            truncated=truncated,
            dropped=is_foreign or since < self._gone_until(service),
        )

    async def wait(
        self,
        *,
        since: int,
        service: str = "",
        services: Collection[str] = (),
        kinds: Collection[EventKind] = (),
        timeout: float,
    ) -> EventPage:
        """Return the events after `since` as soon as there is one; as `EventReader.wait`."""
        with anyio.move_on_after(timeout):
            while True:
                page = self.read(since=since, service=service, services=services, kinds=kinds)
                if page.events:
                    return page
                waiter = anyio.Event()
                self._waiters.append(waiter)
                try:
                    await waiter.wait()
                finally:
                    self._waiters.remove(waiter)
        return self.read(since=since, service=service, services=services, kinds=kinds)

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback(event)` for each new event, in order; it must be quick. Returns what ends the subscription."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def _shared(self, kind: EventKind, message: str, data: JsonObject) -> tuple[str, JsonObject]:
        """Return message and data of an equal event, so that both share them."""
        if kind not in _ALIKE:
            return message, data
        known = self._alike.get((kind, message))
        if known is None or known[1] != data:
            if len(self._alike) >= _MAX_ALIKE:
                self._alike.clear()
            known = self._alike[kind, message] = (message, data)
        return known

    def _gone_until(self, service: str) -> int:
        own = self._by_service.get(service)
        return own.dropped_until if service and own is not None else self._dropped_until

    def _settle(self, packed: Sequence[Event]) -> None:
        """Pack in the histories, too, what is packed in the log of all services."""
        for service in {event.service for event in packed}:
            if (own := self._by_service.get(service)) is not None:
                own.settle(packed[-1].cursor)

    def _keep(self, event: Event) -> None:
        self._last_cursor = max(self._last_cursor, event.cursor)
        dropped = self._all.add(event)
        if event.service:
            own = self._by_service.get(event.service)
            if own is None:
                own = self._by_service[event.service] = ServiceHistory(event.service, self._max_per_service)
            own.add(event)
            if event.service in self._ended:  # a new one has the name
                del self._ended[event.service]
            if event.kind is EventKind.SERVICE_DELETED:
                self._ended[event.service] = event.cursor
        if dropped:
            self._dropped_until = dropped
            while self._ended and (oldest := next(iter(self._ended.items())))[1] <= dropped:
                del self._ended[oldest[0]], self._by_service[oldest[0]]
