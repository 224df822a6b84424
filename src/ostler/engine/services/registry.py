"""Name → Service, safe to use from several threads."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

from ostler.engine.services.service import Service
from ostler.model.errors import AlreadyExistsError, NotFoundError


class RegistryAdapter(ABC):
    """The services by name, for those who only read them."""

    @abstractmethod
    def __len__(self) -> int: ...

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    @abstractmethod
    def find(self, name: str) -> Service | None:
        """Return the service `name`, or None."""

    @abstractmethod
    def get(self, name: str) -> Service:
        """Return the service `name`.

        Raises:
            NotFoundError: there is none; the text suggests near names.
        """

    @abstractmethod
    def get_all(self) -> list[Service]:
        """Return every service, by name."""

    def get_by_type(self, service_type: str) -> list[Service]:
        """Return the services of one type, by name."""
        return [service for service in self.get_all() if service.service_type == service_type]

    @abstractmethod
    def subscribe(self, callback: Callable[[Service, bool], None]) -> Callable[[], None]:
        """Call `callback(service, is_registered)` after each change, in the thread that made it.

        Returns a function that ends the subscription.
        """


def _unconfigured(_name: str) -> str:
    """Know no configured services."""
    return ""


class ServiceRegistry(RegistryAdapter):
    """The one place where services are known by name.

    Attributes:
        why_missing: returns why a configured service is not registered; empty for a name that nothing configures.
        why_removed: returns when and why the service of a name was deleted; empty if none was lately.
    """

    def __init__(self) -> None:
        self._services: dict[str, Service] = {}
        self._by_name: tuple[Service, ...] | None = ()
        """All services by name; None: they are sorted at the next read."""
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[Service, bool], None]] = []
        self.why_missing: Callable[[str], str] = _unconfigured
        self.why_removed: Callable[[str], str] = _unconfigured

    def __repr__(self) -> str:
        return f"ServiceRegistry({len(self._services)} services)"

    def __len__(self) -> int:
        return len(self._services)

    def __contains__(self, name: object) -> bool:
        return name in self._services

    def register(self, service: Service) -> None:
        """Add `service`.

        Raises:
            AlreadyExistsError: the name is taken.
        """
        with self._lock:
            if service.name in self._services:
                raise AlreadyExistsError(
                    f"service {service.name!r} already exists",
                    next_actions=(f"service_get {service.name} shows it", "choose another name"),
                )
            self._services[service.name] = service
            self._by_name = None
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback(service, True)

    def unregister(self, name: str) -> Service:
        """Remove and return the service `name`.

        Raises:
            NotFoundError: there is none.
        """
        with self._lock:
            service = self._services.pop(name, None)
            self._by_name = None
            known = list(self._services)
            callbacks = list(self._callbacks)
        if service is None:
            raise NotFoundError("service", name, known=known, next_actions=("service_list shows the names",))
        for callback in callbacks:
            callback(service, False)
        return service

    def subscribe(self, callback: Callable[[Service, bool], None]) -> Callable[[], None]:
        """Call `callback(service, is_registered)` after each change, in the thread that made it.

        Returns a function that ends the subscription.
        """
        with self._lock:
            self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def find(self, name: str) -> Service | None:
        """Return the service `name`, or None."""
        return self._services.get(name)

    def get(self, name: str) -> Service:
        """Return the service `name`.

        Raises:
            NotFoundError: there is none; the text suggests near names.
        """
        service = self._services.get(name)
        if service is None:
            with self._lock:
                known = list(self._services)
            why = self.why_missing(name)
            step = "service_list shows all names"
            if why:
                step = "correct its entry in mcp.json; it is read at once"
            elif why := self.why_removed(name):
                step = f"service_explain {name} shows what happened to it; {step}"
            raise NotFoundError("service", name, known=known, why=why, next_actions=(step,))
        return service

    def get_all(self) -> list[Service]:
        """Return every service, by name."""
        with self._lock:
            if self._by_name is None:
                self._by_name = tuple(sorted(self._services.values(), key=lambda service: service.name))
            return list(self._by_name)
