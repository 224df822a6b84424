"""What the holder of a database publishes, as a registry, an event log and classes that can be read like the holder's.

Their objects stay the same, also when another server takes over, so that subscribers stay subscribed.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from ostler.adapters.replicas.wire_form import (
    VIEW,
    Kind,
    ShownClass,
    read_class,
    read_findings,
    read_history,
)
from ostler.adapters.stores.records_json import EVENT, decode
from ostler.engine.classes.catalogue import ClassCatalogue
from ostler.engine.clock import SystemClock
from ostler.engine.events.history import HistoryParts
from ostler.engine.events.log import EventLog, LogContents
from ostler.engine.protocols import StateChangeCallback
from ostler.engine.services.registry import ServiceRegistry
from ostler.engine.services.views import Availability, ReadOnlyService, ServiceView
from ostler.model.errors import ConflictError, Finding
from ostler.model.events import Event
from ostler.model.json import JsonObject
from ostler.model.manifest import ServiceClass

_READ_ONLY: Final = "this server stands by, and only reads; the one that holds the database makes changes"


class MirroredService(ReadOnlyService):
    """A service as the holder last described it."""

    def __init__(self, view: ServiceView) -> None:
        super().__init__(view)
        self._view = view

    def __repr__(self) -> str:
        return f"<MirroredService {self.name!r} {self.state.value}/{self.health.value}>"

    def take(self, view: ServiceView) -> None:
        """Show `view` from now on."""
        self._facts = self._view = view

    def refusal(self) -> ConflictError:
        """Return the error for whoever wants to change it."""
        return ConflictError(_READ_ONLY, service=self.name)

    def view(self) -> ServiceView:
        """Return the snapshot."""
        return self._view

    def on_state_change(self, callback: StateChangeCallback) -> Callable[[], None]:
        """Refuse: the events have its changes."""
        del callback
        raise self.refusal()


class MirroredClasses(ClassCatalogue):
    """The holder's classes, with what it knows of their tools."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: dict[str, ShownClass] = {}

    def standing_of(self, name: str) -> tuple[Finding, ...]:
        """Return what the last check of the class `name` against the listed tools found."""
        return self._shown[name].standing if name in self._shown else ()

    def availability(self, name: str) -> Availability:
        """Return whether the tools of class `name` are there."""
        return self._shown[name].availability if name in self._shown else super().availability(name)

    def availability_of(self, service_class: ServiceClass) -> Availability:
        """Return whether the tools of `service_class` are there."""
        return self.availability(service_class.name)

    def take(self, shown: dict[str, ShownClass], findings: tuple[Finding, ...]) -> None:
        """Have these classes from now on; `findings` include those of the classes among each other."""
        self._shown = shown
        self.replace((each.entry for each in shown.values()), findings)

    def change(self, changed: Mapping[str, ShownClass | None], findings: tuple[Finding, ...] | None) -> None:
        """Apply changes: None stands for a class that is gone, and for findings that are unchanged."""
        left = {**self._shown, **changed}
        self.take(
            {name: shown for name, shown in left.items() if shown is not None},
            self._findings if findings is None else findings,
        )


class HolderClock:
    """The holder's time, by which ages in answers are counted: clocks of machines differ."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def take(self, now: datetime) -> None:
        """Note that it is `now` there."""
        self._ahead = now - datetime.now(UTC)

    def now(self) -> datetime:
        """Return the current time there."""
        return datetime.now(UTC) + self._ahead

    def elapsed(self) -> float:
        """Return seconds that do not jump."""
        return time.monotonic()


class _Snapshot(Struct):
    """A snapshot that is still arriving."""

    run: str
    number: int
    log: JsonObject = {}
    events: list[Event] = []
    histories: dict[str, HistoryParts] = {}
    services: dict[str, tuple[ServiceView, bool]] = {}
    classes: dict[str, ShownClass] = {}
    findings: tuple[Finding, ...] = ()


class _ClassChanges(Struct):
    """What a batch says of classes: those that changed, None for one that is gone, and the findings if they did."""

    changed: dict[str, ShownClass | None] = {}
    findings: tuple[Finding, ...] | None = None

    def add(self, kind: Kind, value: str) -> None:
        match kind:
            case Kind.CLASS:
                shown = read_class(value)
                self.changed[shown.entry.name] = shown
            case Kind.CLASS_GONE:
                self.changed[_name_in(value)] = None
            case Kind.FINDINGS:
                self.findings = read_findings(value)
            case _:
                raise ValueError(f"a batch has no line {kind.value!r}")


class Mirror:
    """Applies what a publisher sends.

    Attributes:
        registry: the services.
        events: what happened.
        classes: the classes.
        clock: the holder's time.
        measured: services whose CPU and memory the holder measures.
        run: which run of which holder it follows; empty: none yet.
        number: of the newest batch that was applied.
        wanted: of the newest one that an answer of the holder waits for.
        access: digest of what decides at the holder who may read what.
        is_last: the holder ends, and is not followed any more.
    """

    def __init__(self) -> None:
        self.registry = ServiceRegistry()
        self.events = EventLog(SystemClock())
        self.classes = MirroredClasses()
        self.clock = HolderClock()
        self.measured: set[str] = set()
        self.run = ""
        self.number = self.wanted = 0
        self.access = ""
        self.is_last = False
        self._whole_from = 0
        self._snapshot: _Snapshot | None = None
        self._rest = b""
        self._batch: list[str] = []

    def __repr__(self) -> str:
        return f"<Mirror {len(self.registry)} services, batch {self.number}>"

    @property
    def is_whole(self) -> bool:
        """Whether it has shown everything as it was at one moment."""
        return bool(self.run) and self._snapshot is None and self.number >= self._whole_from

    def connected(self) -> None:
        """Note that what comes next is the beginning of an answer."""
        self._rest, self._batch, self._snapshot, self.is_last = b"", [], None, False

    def read(self, data: bytes) -> None:
        """Apply what was received; an incomplete line waits for the rest.

        Raises:
            ValueError, KeyError, OstlerError: it is not what a publisher of this version sends.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        for text in lines:
            self._take(text.decode())

    def _take(self, text: str) -> None:
        kind, value = Kind(text[0]), text[1:]
        if kind is Kind.SNAPSHOT:
            head = decode(value, "snapshot")
            self._snapshot, self._batch = _Snapshot(head["run"], head["number"]), []
        elif kind is Kind.WHOLE:
            self._adopt(int(value))
        elif self._snapshot is not None:
            self._add(self._snapshot, kind, value)
        elif kind is Kind.MARK:
            batch, self._batch = self._batch, []
            number = int(value.rstrip("!"))
            if number != self.number + 1:
                raise ValueError(f"batch {number} came after {self.number}")
            self._apply(batch)
            self.number = number
            if value.endswith("!"):
                self.wanted = self.number
        else:
            self._batch.append(text)

    # -- snapshots -------------------------------------------------------------------------------------------

    def _add(self, snapshot: _Snapshot, kind: Kind, value: str) -> None:
        match kind:
            case Kind.PUT:
                view = VIEW.read(value[1:])
                snapshot.services[view.name] = view, value[0] == "1"
            case Kind.EVENT:
                snapshot.events.append(EVENT.read(value))
            case Kind.HISTORY:
                service, parts = read_history(value)
                snapshot.histories[service] = parts
            case Kind.LOG:
                snapshot.log = decode(value, "log")
            case Kind.CLASS:
                shown = read_class(value)
                snapshot.classes[shown.entry.name] = shown
            case Kind.FINDINGS:
                snapshot.findings = read_findings(value)
            case Kind.BEAT:
                self._beat(value)
            case _:
                raise ValueError(f"a snapshot has no line {kind.value!r}")

    def _adopt(self, whole_from: int) -> None:
        """Replace everything by the snapshot."""
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is None:
            raise ValueError("a snapshot ends that did not begin")
        self.run, self.number, self.wanted, self._whole_from = snapshot.run, snapshot.number, 0, whole_from
        for service in self.registry.get_all():
            if service.name not in snapshot.services:
                self.registry.unregister(service.name)
        self.measured.clear()
        for view, is_measured in snapshot.services.values():
            self._put(view, is_measured=is_measured)
        self.classes.take(snapshot.classes, snapshot.findings)
        log = snapshot.log
        self.events.follow(
            LogContents(
                tuple(snapshot.events),
                log["droppedUntil"],
                log["lastCursor"],
                snapshot.histories,
                log["ended"],
                log["maxEvents"],
                log["maxPerService"],
            )
        )

    # -- changes ---------------------------------------------------------------------------------------------

    def _apply(self, batch: Sequence[str]) -> None:
        """Apply a whole batch: its events last, after what they are about."""
        events: list[Event] = []
        of_classes = _ClassChanges()
        for text in batch:
            kind, value = Kind(text[0]), text[1:]
            match kind:
                case Kind.PUT:
                    self._put(VIEW.read(value[1:]), is_measured=value[0] == "1")
                case Kind.GONE:
                    self._drop(_name_in(value))
                case Kind.EVENT:
                    events.append(EVENT.read(value))
                case Kind.BEAT:
                    self._beat(value)
                case Kind.LAST:
                    self.is_last = True
                case _:
                    of_classes.add(kind, value)
        if of_classes.changed or of_classes.findings is not None:
            self.classes.change(of_classes.changed, of_classes.findings)
        for event in events:
            self.events.repeat(event)

    def _put(self, view: ServiceView, *, is_measured: bool) -> None:
        (self.measured.add if is_measured else self.measured.discard)(view.name)
        known = self.registry.find(view.name)
        if isinstance(known, MirroredService):
            if known.view().id == view.id:
                known.take(view)
                return
            self.registry.unregister(view.name)
        self.registry.register(MirroredService(view))

    def _drop(self, name: str) -> None:
        self.measured.discard(name)
        if name in self.registry:
            self.registry.unregister(name)

    def _beat(self, value: str) -> None:
        facts = decode(value, "sign of life")
        self.clock.take(datetime.fromisoformat(facts["now"]))
        self.access = facts["access"]


def _name_in(value: str) -> str:
    return str(decode(f'{{"name":{value}}}', "name")["name"])
