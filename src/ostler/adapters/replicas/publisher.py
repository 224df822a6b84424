"""Publishes what reading tools show: every change once for all followers, and a snapshot for each new one.

A follower answers reads itself only while it has a *lease*: for some seconds after its last accepted acknowledgement.
Before an answer to a change leaves (`settle`), the publisher waits until each follower with a lease has acknowledged
that change, or its lease is over. So whoever is asked next, at whichever server, sees what was answered.
"""

import logging
import math
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import aclosing, contextmanager
from typing import Final
from uuid import uuid4

import anyio
import anyio.lowlevel
from msgspec import Struct

from ostler.adapters.replicas.change_log import ChangeLog
from ostler.adapters.replicas.wire_form import (
    Kind,
    ShownClass,
    class_line,
    event_line,
    findings_line,
    history_line,
    line,
    log_line,
    put_line,
)
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import Clock, ToolDirectory
from ostler.engine.services.service import BaseService, Service
from ostler.model.events import Event, EventKind

LEASE: Final = 2.0
"""Seconds for which a follower answers reads after it sent an acknowledgement that was accepted."""

RETURNED: Final = 2**53
"""The number that a follower acknowledges to return its lease, because it answers nothing any more."""

LEASE_SEEN: Final = 2.3
"""Seconds for which the publisher counts on that; more, because clocks run at different speeds."""

OVERDUE: Final = 1.0
"""Seconds after which a follower has no new lease until it has acknowledged what an answer waits for."""

BEAT: Final = 0.5
"""Seconds from one sign of life to the next."""

GATHER: Final = 0.02
"""Seconds for which changes are gathered before they are sent, when no answer waits for them."""

IDLE: Final = 30.0
"""Seconds without a follower after which changes are not gathered any more."""

MAX_FOLLOWERS: Final = 256

_CHUNK: Final = 64 * 1024
"""Bytes of a snapshot that are made in one go."""

_OF_CLASSES: Final = (EventKind.CLASS_CHANGED, EventKind.CLASS_CHECKED)

logger = logging.getLogger(__name__)


class _Follower(Struct):
    """One server that follows, as long as it is connected or has a lease."""

    acknowledged: int = 0
    trusted_until: float = 0.0
    is_connected: bool = True


class Publisher:
    """Publishes the changes of an engine to its followers. Without followers it costs nothing.

    Args:
        manager: the engine.
        tools: says when servers come and go, and with them what classes need.
        clock: the time that ages in answers count from.
        is_measured: whether CPU and memory of a service are measured here.
        access: returns the digest of what decides who may read what.
        is_holder: whether it is certain that no other server works yet.
        log: keeps the newest changes.

    Attributes:
        run_id: what the numbers of batches belong to; empty while there are none.
    """

    def __init__(
        self,
        manager: ServiceManager,
        tools: ToolDirectory,
        clock: Clock,
        *,
        is_measured: Callable[[Service], bool],
        access: Callable[[], str],
        is_holder: Callable[[], bool],
        log: ChangeLog | None = None,
    ) -> None:
        self._manager = manager
        self._tools = tools
        self._clock = clock
        self._is_measured = is_measured
        self._access = access
        self._is_holder = is_holder
        self._log = log or ChangeLog()
        self.run_id = ""
        self._followers: dict[str, _Follower] = {}
        self._settled: float = 0
        self._awaited: list[tuple[float, float]] = []
        """The batches that answers wait for, each with the time from which on it is overdue."""
        self._asked = 0
        """The number of the newest batch that followers were asked to acknowledge."""
        self._acknowledged = anyio.Event()
        self._touched: dict[str, None] = {}
        self._events: list[bytes] = []
        self._news = anyio.Event()
        self._shown_classes: dict[str, bytes] = {}
        self._shown_findings = b""
        self._classes_changed = False
        self._configured: dict[str, bytes] = {}
        self._busy: set[str] = set()
        self._unsubscribe: list[Callable[[], None]] = []
        self._is_broken = False
        self._last: int | None = None
        """The number of the batch that says that this server ends."""

    def __repr__(self) -> str:
        return f"<Publisher {len(self._followers)} followers, {self._log!r}>"

    # -- followers -------------------------------------------------------------------------------------------

    async def feed(self, follower: str, run: str, number: int) -> AsyncGenerator[bytes]:
        """Yield what a follower has to know, until it is too far behind.

        Args:
            follower: its id.
            run: what it followed before: `run_id` of then; the empty text for nothing.
            number: of the last batch that it has.
        """
        self._begin()
        known = self._followers[follower] = _Follower()
        try:
            if run != self.run_id or not self._log.keeps(number):
                number = self._flush()
                with self._sound():
                    async with aclosing(self._snapshot(number)) as parts:
                        async for part in parts:
                            yield part
            while (found := self._log.after(number)) is not None and not self._is_broken:
                batches, number = found
                if batches:
                    yield batches
                await self._log.wait(number)
        finally:
            known.is_connected = False

    def admits(self) -> bool:
        """Whether there is room for another follower."""
        self._forget_gone()
        return len(self._followers) < MAX_FOLLOWERS and not self._is_broken

    @property
    def is_certain(self) -> bool:
        """Whether it is certain that no other server works yet."""
        return self._is_holder()

    @property
    def has_followers(self) -> bool:
        """Whether anyone follows, or may still answer reads."""
        return bool(self._followers)

    def acknowledge(self, follower: str, run: str, number: int) -> bool:
        """Note that a follower has everything up to `number` of `run`; return whether it has a lease now."""
        known = self._followers.get(follower)
        if known is None or run != self.run_id or not (known.is_connected or number == RETURNED):
            return False
        known.acknowledged = max(known.acknowledged, number)
        may_have = number != RETURNED and self._last is None and known.is_connected
        has_lease = may_have and known.acknowledged >= self._owed() and self.is_certain
        if has_lease:
            known.trusted_until = anyio.current_time() + LEASE_SEEN
        elif number == RETURNED or (self._last is not None and known.acknowledged >= self._last):
            known.trusted_until = 0.0
        self._acknowledged.set()
        self._acknowledged = anyio.Event()
        return has_lease

    def _owed(self) -> float:
        """Return the batch that a follower must have acknowledged to have a lease from now on."""
        now = anyio.current_time()
        return max((self._settled, *(number for number, overdue_at in self._awaited if overdue_at <= now)))

    def has_lease(self, follower: str) -> bool:
        """Whether a follower is certain to follow now."""
        known = self._followers.get(follower)
        return known is not None and known.is_connected and known.trusted_until > anyio.current_time()

    async def settle(self) -> None:
        """Return when every server that answers reads knows all changes so far; within `OVERDUE + LEASE_SEEN` seconds.

        A follower that is behind keeps its lease for a while, as changes may come faster than acknowledgements.
        """
        if not self._followers:
            return
        flushed = self._flush(urgent=True)
        number = math.inf if self._is_broken else flushed
        awaited = number, anyio.current_time() + OVERDUE
        self._awaited.append(awaited)
        try:
            await self._wait_for(number)
        finally:
            self._awaited.remove(awaited)
        self._settled = max(self._settled, number)

    async def end(self) -> None:
        """Grant no more leases, and return when the existing ones have been returned or are over."""
        if self._last is None and self._followers:
            self._log.append(line(Kind.LAST), urgent=True)
            self._last = self._log.last
            await self._wait_for(self._last)

    async def _wait_for(self, number: float) -> None:
        """Return when every server that answers reads has acknowledged the batch `number`."""
        while until := [
            known.trusted_until
            for known in self._followers.values()
            if known.acknowledged < number and known.trusted_until > anyio.current_time()
        ]:
            with anyio.move_on_after(max(until) - anyio.current_time()):
                await self._acknowledged.wait()

    def _forget_gone(self) -> None:
        now = anyio.current_time()
        for name, known in list(self._followers.items()):
            if not known.is_connected and known.trusted_until <= now:
                del self._followers[name]

    # -- changes ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Send what has changed, and signs of life, until cancelled."""
        try:
            idle_since = anyio.current_time()
            while True:
                if not self._unsubscribe:
                    await self._news.wait()
                    idle_since = anyio.current_time()
                await self._send_for(BEAT)
                self._forget_gone()
                if self._followers:
                    idle_since = anyio.current_time()
                elif self._is_broken or anyio.current_time() - idle_since > IDLE:
                    self._end()
        finally:
            self._end()

    async def _send_for(self, seconds: float) -> None:
        """Send changes for a while, and a sign of life at its end."""
        with anyio.move_on_after(seconds):
            while True:
                await self._news.wait()
                await anyio.sleep(GATHER)
                self._news = anyio.Event()
                self._flush()
        self._flush(beat=True)

    def _begin(self) -> None:
        """Follow the engine, unless it is followed already."""
        if self._unsubscribe:
            return
        self.run_id = uuid4().hex
        self._log.clear()
        registry = self._manager.registry
        self._unsubscribe = [
            registry.subscribe(self._registered),
            self._manager.events.subscribe(self._happened),
            self._manager.classes.on_change(lambda _: self._note_classes()),
            self._tools.on_change(lambda _: self._note_classes()),
        ]
        for service in registry.get_all():
            if isinstance(service, BaseService):
                service.on_touch = self._touch
        self._news.set()

    def _end(self) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = []
        for service in self._manager.registry.get_all():
            if isinstance(service, BaseService):
                service.on_touch = None
        self.run_id = ""
        self._log.clear()
        for kept in (self._touched, self._events, self._shown_classes, self._configured, self._busy):
            kept.clear()
        self._news = anyio.Event()

    def _touch(self, name: str) -> None:
        self._touched[name] = None
        self._news.set()

    def _registered(self, service: Service, is_registered: bool) -> None:
        if isinstance(service, BaseService):
            service.on_touch = self._touch if is_registered else None
        self._touch(service.name)

    def _happened(self, event: Event) -> None:
        if event.service:
            self._touched[event.service] = None
        if event.kind in _OF_CLASSES:
            self._classes_changed = True
        with self._sound():
            self._events.append(event_line(event))
        self._news.set()

    def _note_classes(self) -> None:
        self._classes_changed = True
        self._news.set()

    def _flush(self, *, urgent: bool = False, beat: bool = False) -> int:
        """Make a batch of what has changed, if anything has or it is asked for; return the newest batch's number."""
        if not self._unsubscribe:
            return self._log.last
        with self._sound():
            lines = self._changed_lines(beat=beat)
            is_behind = any(known.acknowledged < self._log.last for known in self._followers.values())
            if lines or (urgent and is_behind and self._asked < self._log.last):
                self._log.append(b"".join(lines), urgent=urgent)
                if urgent:
                    self._asked = self._log.last
        return self._log.last

    def _changed_lines(self, *, beat: bool) -> list[bytes]:
        lines: list[bytes] = []
        touched, self._touched = self._touched, {}
        if beat:
            touched |= dict.fromkeys(self._busy)  # the steps of an operation are not announced
            self._busy.clear()
        for name in touched:
            service = self._manager.registry.find(name)
            lines.append(line(Kind.GONE, name) if service is None else self._put(service))
        if beat:
            lines += self._configured_lines()
        if self._classes_changed:
            self._classes_changed = False
            lines += self._class_lines()
        events, self._events = self._events, []
        lines += events
        if beat:
            lines.append(self._beat())
        return lines

    def _put(self, service: Service) -> bytes:
        view = service.view()
        if view.operation is not None:
            self._busy.add(service.name)
        return put_line(view, is_measured=self._is_measured(service))

    def _configured_lines(self) -> list[bytes]:
        """Return the configured services that are not as they were sent: their facts change unannounced."""
        found = {
            service.name: self._put(service)
            for service in self._manager.registry.get_all()
            if not isinstance(service, ServiceInstance)
        }
        changed = [text for name, text in found.items() if self._configured.get(name) != text]
        self._configured = found
        return changed

    def _class_lines(self) -> list[bytes]:
        """Return what is not as it was sent of the classes and their findings."""
        classes = self._manager.classes
        found = {entry.name: class_line(ShownClass.of(entry, classes)) for entry in classes.get_all()}
        lines = [text for name, text in found.items() if self._shown_classes.get(name) != text]
        lines += [line(Kind.CLASS_GONE, name) for name in self._shown_classes if name not in found]
        self._shown_classes = found
        findings = findings_line(classes.findings)
        if findings != self._shown_findings:
            self._shown_findings = findings
            lines.append(findings)
        return lines

    def _beat(self) -> bytes:
        return line(Kind.BEAT, {"now": self._clock.now().isoformat(), "access": self._access()})

    @contextmanager
    def _sound(self) -> Generator[None]:
        """Take the followers' leases away if the block fails, because they would miss a change."""
        try:
            yield
        except Exception:  # boundary: operations go on, and reads are answered here
            logger.exception("changes can no longer be sent to the servers that stand by: they pass reads on")
            self._is_broken, self._settled = True, math.inf
            self._log.wake()

    # -- snapshots -------------------------------------------------------------------------------------------

    async def _snapshot(self, number: int) -> AsyncGenerator[bytes]:
        """Yield everything; what changes meanwhile comes again in the batches after `number`."""
        manager = self._manager
        contents = manager.events.contents
        names = [service.name for service in manager.registry.get_all()]
        head = [line(Kind.SNAPSHOT, {"run": self.run_id, "number": number}), log_line(contents)]

        def lines() -> Iterator[bytes]:
            yield from head
            yield from map(event_line, contents.events)
            for service, parts in contents.histories.items():
                yield history_line(service, parts)
            for name in names:
                if (service := manager.registry.find(name)) is not None:
                    yield self._put(service)
            for entry in manager.classes.get_all():
                yield class_line(ShownClass.of(entry, manager.classes))
            yield findings_line(manager.classes.findings)
            yield self._beat()

        part, size = list[bytes](), 0
        for text in lines():
            part.append(text)
            size += len(text)
            if size > _CHUNK:
                yield b"".join(part)
                part, size = [], 0
                await anyio.lowlevel.checkpoint()
        yield b"".join(part) + line(Kind.WHOLE, self._flush())
