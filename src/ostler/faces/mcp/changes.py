"""Changed resources, derived from the engine's events, in a bounded mailbox for each subscriber."""

from collections.abc import Callable, Iterable

import anyio
from mcp.shared.subscriptions import ResourcesListChanged, ResourceUpdated, ServerEvent

from ostler.engine.classes.catalogue import ClassDirectory
from ostler.engine.events.log import EventReader
from ostler.faces.mcp.addresses import GRAPH, SERVICES, class_uri, service_uri
from ostler.model.events import Event, EventKind

_OF_THE_LIST = (EventKind.SERVICE_CREATED, EventKind.SERVICE_DELETED)
_OF_THE_LOGS = (*_OF_THE_LIST, EventKind.STATE_CHANGED, EventKind.OPERATION_ENDED, EventKind.TOOL_CALLED)


def changes_of(event: Event) -> list[ServerEvent]:
    """Return the resources that `event` changes."""
    if not event.service:
        return []
    uri = service_uri(event.service)
    changed: list[ServerEvent] = [ResourceUpdated(f"{uri}/events")]
    if event.kind is not EventKind.TOOL_CALLED:
        changed += [ResourceUpdated(uri), ResourceUpdated(SERVICES)]
    if event.kind in (*_OF_THE_LIST, EventKind.OUTPUTS_CHANGED):
        changed.append(ResourceUpdated(f"{uri}/outputs"))
    if event.kind in _OF_THE_LOGS:
        changed.append(ResourceUpdated(f"{uri}/logs"))
    if event.kind in (*_OF_THE_LIST, EventKind.STATE_CHANGED):
        changed.append(ResourceUpdated(GRAPH))
    if event.kind in _OF_THE_LIST:
        changed.append(ResourcesListChanged())
    return changed


class Mailbox:
    """Changes that one subscriber has not received. Equal changes count once, so they are at most its subscriptions."""

    def __init__(self) -> None:
        self._pending: dict[ServerEvent, None] = {}
        self._came = anyio.Event()
        """Set when there is one again; one task takes them."""
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """How many changes are in it."""
        return len(self._pending)

    def put(self, change: ServerEvent) -> None:
        """Remember `change`; never blocks."""
        self._pending[change] = None
        self._came.set()

    def close(self) -> None:
        """Let no more be waited for."""
        self._is_closed = True
        self._came.set()

    async def take(self) -> ServerEvent:
        """Return the change that waited longest. Raises EndOfStream when it is closed and empty."""
        await self._some()
        change = next(iter(self._pending))
        del self._pending[change]
        return change

    async def take_all(self) -> list[ServerEvent]:
        """Return all changes in the order in which they came, at least one. Raises EndOfStream as `take`."""
        await self._some()
        changes = list(self._pending)
        self._pending.clear()
        return changes

    async def _some(self) -> None:
        while not self._pending:
            if self._is_closed:
                raise anyio.EndOfStream
            self._came = anyio.Event()
            await self._came.wait()


class ChangeFeed:
    """Puts what changed into the mailboxes of those who want it. It listens to the engine only while there are some.

    A change costs as much as there are mailboxes that want it, however many others there are.
    """

    def __init__(self, events: EventReader, classes: ClassDirectory) -> None:
        self._events = events
        self._classes = classes
        self._class_names: set[str] = set()
        self._wanted: dict[Mailbox, dict[ServerEvent, ServerEvent]] = {}
        """By mailbox: what it asked for, and which change that means."""
        self._wanting: dict[ServerEvent, dict[Mailbox, dict[ServerEvent, None]]] = {}
        """By change: who wants it, and as what they asked for it."""
        self._leave: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self._wanted)

    def __repr__(self) -> str:
        return f"ChangeFeed({len(self)} mailboxes)"

    def subscribe(self, mailbox: Mailbox, changes: Iterable[ServerEvent] = ()) -> Callable[[], None]:
        """Put each of `changes` into `mailbox` when it happens, in order. Returns what ends that (idempotent)."""
        if not self._wanted:
            self._class_names = {entry.name for entry in self._classes.get_all()}
            self._leave = [self._events.subscribe(self._happened), self._classes.on_change(self._classes_changed)]
        self._wanted[mailbox] = {}
        for change in changes:
            self.add(mailbox, change)

        def unsubscribe() -> None:
            for change in list(self._wanted.get(mailbox, ())):
                self.discard(mailbox, change)
            if self._wanted.pop(mailbox, None) is not None and not self._wanted:
                for leave in self._leave:
                    leave()
                self._leave = []

        return unsubscribe

    def add(self, mailbox: Mailbox, change: ServerEvent, meant: ServerEvent | None = None) -> None:
        """Put `change` into a subscribed `mailbox`, too, when it happens, or when `meant` does."""
        self.discard(mailbox, change)
        meant = meant or change
        self._wanted[mailbox][change] = meant
        self._wanting.setdefault(meant, {}).setdefault(mailbox, {})[change] = None

    def discard(self, mailbox: Mailbox, change: ServerEvent) -> None:
        """Stop putting `change` into a subscribed `mailbox`."""
        if (meant := self._wanted[mailbox].pop(change, None)) is None:
            return
        mailboxes = self._wanting[meant]
        del mailboxes[mailbox][change]
        if not mailboxes[mailbox]:
            del mailboxes[mailbox]
        if not mailboxes:
            del self._wanting[meant]

    def _happened(self, event: Event) -> None:
        for change in changes_of(event):
            self._publish(change)

    def _classes_changed(self, names: frozenset[str]) -> None:
        before, self._class_names = self._class_names, {entry.name for entry in self._classes.get_all()}
        for name in sorted(names):
            self._publish(ResourceUpdated(class_uri(name)))
        if before != self._class_names:
            self._publish(ResourcesListChanged())

    def _publish(self, change: ServerEvent) -> None:
        for mailbox, asked in self._wanting.get(change, {}).items():
            for each in asked:
                mailbox.put(each)
