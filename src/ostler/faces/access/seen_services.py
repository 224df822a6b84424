"""The registry, the events and the removed services as one principal sees them: what is hidden does not exist."""

from collections.abc import Callable, Collection, Iterable
from typing import Final

import anyio

from ostler.engine.dependencies.graph import reached
from ostler.engine.events.log import EventPage, EventReader
from ostler.engine.protocols import StateChangeCallback
from ostler.engine.services.registry import RegistryAdapter
from ostler.engine.services.service import BaseService, Service
from ostler.engine.services.views import ReadOnlyService, ServiceView, in_namespace
from ostler.faces.access.hidden_names import NO_NAMES, HiddenNames
from ostler.faces.access.rights import Rights
from ostler.model.errors import AccessDeniedError, NotFoundError
from ostler.model.events import Event, EventKind

MAX_REMEMBERED: Final = 20_000
"""Removed services whose owner is remembered, so that their last events and logs are seen; the oldest go first."""


class Owners:
    """Whose each service is, also of removed ones, for as long as there are events of them. One for all principals."""

    def __init__(self, registry: RegistryAdapter, events: EventReader) -> None:
        self._registry = registry
        self._events = events
        self._removed: dict[str, str] = {}
        self._read()
        registry.subscribe(self._changed)
        events.subscribe(self._happened)  # where another server deletes services, some are never seen

    def __repr__(self) -> str:
        return f"Owners({len(self._removed)} removed)"

    def _read(self) -> None:
        """Learn from the events which services were removed before."""
        self._followed = self._events.followed
        for event in self._events.read(kinds=(EventKind.SERVICE_DELETED,), limit=MAX_REMEMBERED).events:
            self._happened(event)

    def _happened(self, event: Event) -> None:
        if event.kind is EventKind.SERVICE_DELETED:
            self._remember(event.service, str(event.data.get("owner", "")))  # one without an owner does not say so

    def _remember(self, name: str, owner: str) -> None:
        self._removed.pop(name, None)
        self._removed[name] = owner
        if len(self._removed) > MAX_REMEMBERED:
            del self._removed[next(iter(self._removed))]

    def _changed(self, service: Service, is_registered: bool) -> None:
        if is_registered:
            self._removed.pop(service.name, None)
        else:
            self._remember(service.name, owner_of(service))

    def of(self, name: str) -> str | None:
        """Return the owner of the service `name`, also of one that was removed; None if that is not known."""
        service = self._registry.find(name)
        if service is not None:
            return owner_of(service)
        if self._followed != self._events.followed:
            self._read()
        return self._removed.get(name)


def owner_of(service: Service) -> str:
    """Return whose a service is; configured ones have no owner."""
    return service.owner if isinstance(service, BaseService) else service.view().owner


class SeenRegistry(RegistryAdapter):
    """The services that a principal sees. A short name means the one in its own namespace."""

    def __init__(self, registry: RegistryAdapter, rights: Rights, owners: Owners) -> None:
        self._all = registry
        self._rights = rights
        self._owners = owners

    def __repr__(self) -> str:
        return f"SeenRegistry({self._rights!r})"

    def __len__(self) -> int:
        return len(self._seen())

    # -- names ---------------------------------------------------------------------------------------------

    def resolve(self, name: str) -> str:
        """Return the full name of the service that `name` means; `name` itself where there is none."""
        if not name or self._sees_now(name):
            return name
        full = in_namespace(name, self._rights.namespace)
        return full if self._sees_now(full) else name

    def _sees_now(self, name: str) -> bool:
        service = self._all.find(name)
        return service is not None and self._rights.sees(owner_of(service))

    def is_seen(self, name: str) -> bool:
        """Whether the service `name`, which may be gone, is one that the principal sees."""
        policy = self._rights.policy()
        if policy.sees_everything:
            return True
        owner = self._owners.of(name)
        if owner is None:
            return name.endswith(f".{self._rights.name}")
        return self._rights.sees(owner, policy)

    def _seen(self) -> list[Service]:
        policy = self._rights.policy()
        services = self._all.get_all()
        if policy.sees_everything:
            return services
        return [service for service in services if self._rights.sees(owner_of(service), policy)]

    # -- what must not be named ----------------------------------------------------------------------------

    def hidden_below(self, service: Service) -> HiddenNames:
        """Return the names of direct and indirect dependencies of `service` that the principal does not see."""
        if self._rights.policy().sees_everything or not service.dependencies:
            return NO_NAMES

        def needed_by(name: str) -> Iterable[str]:
            other = self._all.find(name)
            return () if other is None else other.dependencies

        return self._hidden_among(reached(service.dependencies, needed_by))

    def hidden_around(self, names: Iterable[str]) -> HiddenNames:
        """Return the names of all services connected with `names` by dependencies that the principal does not see."""
        if self._rights.policy().sees_everything:
            return NO_NAMES
        neighbours: dict[str, set[str]] = {}
        for service in self._all.get_all():
            for needed in service.dependencies:
                neighbours.setdefault(service.name, set()).add(needed)
                neighbours.setdefault(needed, set()).add(service.name)
        return self._hidden_among(reached(names, lambda name: neighbours.get(name, ())))

    def _hidden_among(self, names: Iterable[str]) -> HiddenNames:
        return HiddenNames(name for name in names if not self.is_seen(name))

    # -- the registry --------------------------------------------------------------------------------------

    def shown(self, service: Service) -> Service:
        """Return `service`, without the names that the principal must not see."""
        hidden = self.hidden_below(service)
        return SeenService(service, hidden) if hidden else service

    def find(self, name: str) -> Service | None:
        """Return the service `name`, or None."""
        full = self.resolve(name)
        return self.shown(self._all.get(full)) if self._sees_now(full) else None

    def get(self, name: str) -> Service:
        """Return the service `name`.

        Raises:
            NotFoundError: there is none that the principal sees.
        """
        service = self.find(name)
        if service is None:
            raise self.missing(name)
        return service

    def missing(self, name: str) -> NotFoundError:
        """Return the error that says that there is no service `name`, with those that the principal sees."""
        known = [each.name for each in self._seen()]
        return NotFoundError("service", name, known=known, next_actions=("service_list shows all names",))

    def get_all(self) -> list[Service]:
        """Return every service, by name."""
        return [self.shown(service) for service in self._seen()]

    def subscribe(self, callback: Callable[[Service, bool], None]) -> Callable[[], None]:
        """Call `callback(service, is_registered)` after each change of a service that the principal sees."""

        def changed(service: Service, is_registered: bool) -> None:
            if self._rights.sees(owner_of(service)):
                callback(service, is_registered)

        return self._all.subscribe(changed)


class SeenService(ReadOnlyService):
    """A service that is connected with others that its reader does not see: to be read only, without their names."""

    def __init__(self, service: Service, hidden: HiddenNames) -> None:
        super().__init__(service)
        self._service = service
        self._hidden = hidden

    def __repr__(self) -> str:
        return f"SeenService({self.name!r})"

    def refusal(self) -> AccessDeniedError:
        """Return the error for whoever wants to change it."""
        return AccessDeniedError(f"service {self.name!r} is changed through the manager alone", service=self.name)

    def view(self) -> ServiceView:
        """Return a snapshot."""
        return self._hidden.view(self._service.view())

    def on_state_change(self, callback: StateChangeCallback) -> Callable[[], None]:
        """Call `callback` after each change of its state."""
        return self._service.on_state_change(callback)


class SeenEvents(EventReader):
    """The events of the services that a principal sees; events of no service only if it sees everything."""

    def __init__(self, events: EventReader, registry: SeenRegistry, rights: Rights) -> None:
        self._events = events
        self._registry = registry
        self._rights = rights

    def __repr__(self) -> str:
        return f"SeenEvents({self._rights!r})"

    @property
    def last_cursor(self) -> int:
        """The cursor of the newest event."""
        return self._events.last_cursor

    def _shown(self, events: Iterable[Event]) -> list[Event]:
        events = list(events)
        if self._rights.policy().sees_everything:
            return events
        seen = [event for event in events if event.service and self._registry.is_seen(event.service)]
        hidden: dict[str, HiddenNames] = {}
        for event in seen:
            if event.service not in hidden:
                hidden[event.service] = self._registry.hidden_around((event.service,))
        return [hidden[event.service].event(event) for event in seen]

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
        """Return the events after cursor `since`, oldest first, at most `limit`; as `EventReader.read`."""
        everything = max(1, self._events.last_cursor)
        resolve = self._registry.resolve
        page = self._events.read(
            since=since,
            service=resolve(service),
            services=frozenset(map(resolve, services)),
            kinds=kinds,
            limit=everything,
        )
        found = self._shown(page.events)
        if newest:
            return EventPage(tuple(found[-limit:]), page.next_cursor, dropped=page.dropped)
        is_cut = len(found) > limit
        found = found[:limit]
        return EventPage(
            tuple(found),
            next_cursor=found[-1].cursor if is_cut else page.next_cursor,
            truncated=is_cut,
            dropped=page.dropped,
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
        resolve = self._registry.resolve
        names, after = frozenset(map(resolve, services)), since
        with anyio.move_on_after(timeout):
            while True:
                page = await self._events.wait(
                    since=after, service=resolve(service), services=names, kinds=kinds, timeout=timeout
                )
                if self._shown(page.events):
                    break
                after = page.next_cursor
        return self.read(since=since, service=service, services=services, kinds=kinds)

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback(event)` for each new event that the principal sees, in order."""

        def happened(event: Event) -> None:
            for shown in self._shown((event,)):
                callback(shown)

        return self._events.subscribe(happened)
