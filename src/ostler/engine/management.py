"""What faces and projects ask of the engine: reads, and changes that are waited for."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Unpack

from ostler.engine.classes.catalogue import ClassDirectory
from ostler.engine.clock import in_turns
from ostler.engine.events.log import EventReader
from ostler.engine.insight.preview import Plans
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.services.registry import RegistryAdapter
from ostler.engine.services.service import BaseService, Service
from ostler.engine.services.views import (
    CreateRequest,
    Listed,
    OperationRequest,
    OperationResult,
    ServiceFilter,
    ServiceView,
    WaitingOptions,
)
from ostler.model.json import JsonObject
from ostler.model.records import OperationKind, OperationRecord
from ostler.model.states import ServiceState


class Manager(ABC):
    """The engine's interface: `ServiceManager` implements it, and others for one principal or over a copy."""

    # -- reading -------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def registry(self) -> RegistryAdapter:
        """The services."""

    @property
    @abstractmethod
    def events(self) -> EventReader:
        """What happened."""

    @property
    @abstractmethod
    def classes(self) -> ClassDirectory:
        """The classes."""

    @property
    @abstractmethod
    def plans(self) -> Plans:
        """What would be done."""

    @abstractmethod
    def find_removed(self, name: str) -> ServiceInstance | None:
        """Return the service `name` that was removed a while ago, and may still have logs; None: there is none."""

    def get_service_state(self, name: str) -> ServiceState:
        """Return the state of the service `name`; NotFoundError when there is none."""
        return self.registry.get(name).state

    def view(self, name: str) -> ServiceView:
        """Return a snapshot of the service `name`; NotFoundError when there is none."""
        return self.registry.get(name).view()

    def views(self, where: ServiceFilter | None = None) -> list[ServiceView]:
        """Return snapshots of the services that match, by name."""
        return [found.view() for found in self._services(where)]

    async def views_in_turns(self) -> list[ServiceView]:
        """Return snapshots of all services, by name, each of its own moment: others have their turn in between."""
        return await in_turns(found.view() for found in self._services(None))

    def listed(self, where: ServiceFilter | None = None) -> list[Listed]:
        """Return the services that match, by name, with what a list shows of them: no snapshots are built."""
        return [_listed(service) for service in self._services(where)]

    def _services(self, where: ServiceFilter | None) -> list[Service]:
        services = self.registry.get_all()
        if where is None or where == ServiceFilter():
            return services
        return [found for found in services if where.matches(_listed(found))]

    @abstractmethod
    async def reveal_secrets(self, name: str) -> tuple[JsonObject, JsonObject]:
        """Return (args, outputs) of an instance, its secrets unmasked; what is kept elsewhere as a reference to it.

        Raises:
            NotFoundError: there is none.
        """

    @abstractmethod
    def secrets(self) -> frozenset[str]:
        """Return every secret text of every service, for masking what is not about one service alone."""

    @abstractmethod
    def instances_of(self, class_name: str) -> list[str]:
        """Return the names of the instances of a class."""

    @abstractmethod
    async def history(self, name: str, limit: int = 20) -> Sequence[OperationRecord]:
        """Return the newest operations of a service, newest first; NotFoundError when there is no such service."""

    # -- creating ------------------------------------------------------------------------------------------

    @abstractmethod
    def validate(
        self, class_name: str, args: JsonObject, name: str = "", *, numbers_as_text: bool = False, folder: str = ""
    ) -> JsonObject:
        """Return the effective args (masked) of a create, without doing anything; see `CreateRequest`.

        Raises:
            NotFoundError: there is no such class.
            ArgumentError: the args or the name do not fit; all problems at once.
            ClassUnavailableError: tools of the class are missing.
        """

    @abstractmethod
    def chosen_dependencies(self, request: CreateRequest) -> list[str]:
        """Return the services that the args of `request` would make its service depend on, whether they exist or not.

        Raises:
            OstlerError: as `create` would; nothing is made.
        """

    @abstractmethod
    def name_of(self, request: CreateRequest) -> str:
        """Return the name of the service that `request` makes; a generated one may be another one next time.

        Raises:
            OstlerError: as `create` would; nothing is made.
        """

    @abstractmethod
    def difference(self, request: CreateRequest) -> str:
        """Return in words how the service of that name differs from what `request` makes; empty when it does not.

        Raises:
            NotFoundError: there is no such service, or no such class.
            ArgumentError: the args do not fit.
        """

    @abstractmethod
    async def create(self, request: CreateRequest, **waiting: Unpack[WaitingOptions]) -> OperationResult:
        """Create an instance and, by default, start it.

        The service is visible from the moment that its record is durable. When its start fails while the caller
        waits, it is removed again once its cleanup succeeded; otherwise it stays, failed, with what is left named.

        Args:
            request: what to create.
            waiting: how to wait for its start, as the fields of `Waiting`.

        Raises:
            NotFoundError, ArgumentError, ClassUnavailableError: nothing was created.
            AlreadyExistsError, ConflictError: the name or the idempotency key is taken with other args, or what the
                request's plan depends on has changed since.
            OstlerError: the start failed.
        """

    # -- operations ----------------------------------------------------------------------------------------

    @abstractmethod
    async def operate(self, name: str, asked: OperationRequest, **waiting: Unpack[WaitingOptions]) -> OperationResult:
        """Carry out what is asked of the service `name`.

        A start says so when the service is already running. A stop follows the plan that the start pinned; it cancels
        a start under way and cleans up after it. A delete stops the service and forgets it. The answer to an
        idempotency key stays when the service is gone.

        Args:
            name: which.
            asked: what to do.
            waiting: how to wait for the end, as the fields of `Waiting`.

        Raises:
            NotFoundError: there is no such service.
            ConflictError: the idempotency key was used for this service with other arguments.
            OstlerError: it failed, of the service itself or of a dependent, or a later request took its place.
        """

    @abstractmethod
    async def send_input(self, name: str, text: str, *, enter: bool = True) -> str:
        """Send `text` to what the service `name` runs, with Enter after it if `enter`; return what its tool answered.

        Raises:
            NotFoundError: there is no such service.
            OperationError: its class has no tool for it, or it does not run.
            OstlerError: the tool failed.
        """

    @abstractmethod
    async def check_health(self, name: str) -> ServiceView:
        """Check the health of the service `name` now and return its snapshot.

        A service that is not up, or that nothing can check, is shown as it is.

        Raises:
            NotFoundError: there is no such service.
        """

    @abstractmethod
    async def renew(self, name: str, lease: float | None = None) -> ServiceView:
        """Let the lease of the service `name` end `lease` seconds from now (None: its own length again).

        A service without a lease gets one. Durable when this returns.

        Raises:
            NotFoundError: there is no such service.
            OperationError: it is a configured service, which has no lease.
            ArgumentError: the length is not positive, or there is none.
        """

    async def start_service(
        self,
        name: str,
        *,
        adopt: JsonObject | None = None,
        idempotency_key: str = "",
        **waiting: Unpack[WaitingOptions],
    ) -> OperationResult:
        """Start the service `name`; see `OperationRequest` and `operate`."""
        return await self.operate(name, OperationRequest(OperationKind.START, idempotency_key, adopt=adopt), **waiting)

    async def stop_service(
        self,
        name: str,
        *,
        dependents: bool = False,
        idempotency_key: str = "",
        **waiting: Unpack[WaitingOptions],
    ) -> OperationResult:
        """Stop the service `name`; see `OperationRequest` and `operate`."""
        asked = OperationRequest(OperationKind.STOP, idempotency_key, dependents=dependents)
        return await self.operate(name, asked, **waiting)

    async def restart_service(
        self, name: str, *, idempotency_key: str = "", **waiting: Unpack[WaitingOptions]
    ) -> OperationResult:
        """Restart the service `name`; see `OperationRequest` and `operate`."""
        return await self.operate(name, OperationRequest(OperationKind.RESTART, idempotency_key), **waiting)

    async def delete(
        self,
        name: str,
        *,
        force: bool = False,
        abandon: bool = False,
        idempotency_key: str = "",
        **waiting: Unpack[WaitingOptions],
    ) -> OperationResult:
        """Stop and forget the service `name`; see `OperationRequest` and `operate`."""
        asked = OperationRequest(OperationKind.DELETE, idempotency_key, force=force, abandon=abandon)
        return await self.operate(name, asked, **waiting)


def _listed(service: Service) -> Listed:
    return service if isinstance(service, BaseService) else service.view()
