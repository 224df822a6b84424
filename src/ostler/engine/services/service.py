"""What every service is: the `Service` protocol, and `BaseService`, whose one value changes only by the table."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct
from msgspec.structs import replace

from ostler.engine.clock import SystemClock
from ostler.engine.protocols import Clock, StateChangeCallback
from ostler.engine.services.listeners import Listener
from ostler.engine.services.views import ServiceFacts, ServiceView
from ostler.engine.waiting import Watched
from ostler.model.errors import OperationError, OstlerError
from ostler.model.json import JsonMapping, JsonObject
from ostler.model.states import DesiredState, HealthStatus, Reachability, ServiceState, Transition, next_state

logger = logging.getLogger(__name__)


class ServiceStatus(Struct, frozen=True):
    """The one value that says how a service is. `error` stays until the next success."""

    state: ServiceState
    health: HealthStatus
    reachability: Reachability
    since: datetime
    health_at: datetime | None = None
    reachability_at: datetime | None = None
    error: BaseException | None = None
    error_at: datetime | None = None
    reason: str = ""


@runtime_checkable
class Service(ServiceFacts, Protocol):
    """Anything in the registry. Properties never block; start, stop and restart raise OstlerError when they fail."""

    @property
    def last_error(self) -> BaseException | None: ...
    @property
    def dependencies(self) -> Sequence[str]: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def restart(self) -> None: ...
    def view(self) -> ServiceView: ...
    def on_state_change(self, callback: StateChangeCallback) -> Callable[[], None]: ...


@runtime_checkable
class HealthChecker(Protocol):
    """A service whose health can be checked."""

    async def check_health(self) -> HealthStatus:
        """Check now and return the verdict; a check that cannot be made leaves the health as it was."""
        ...


@runtime_checkable
class ServiceDataProvider(Protocol):
    """A service with facts of its own."""

    def service_data(self) -> JsonObject:
        """Return facts of the service's type, masked, for service_get."""
        ...


@runtime_checkable
class Disabled(Protocol):
    """A service that its configuration may disable."""

    @property
    def way_to_enable(self) -> str:
        """Return what to change before it may be started; empty when it is not disabled."""
        ...


def way_to_enable(service: object) -> str:
    """Return what to change before `service` may be started; empty when nothing disables it."""
    return service.way_to_enable if isinstance(service, Disabled) else ""


def not_deletable(service: Service) -> OperationError:
    """Return the refusal to delete a configured service."""
    return OperationError(
        f"service {service.name!r} is a configured {service.service_type}; it cannot be deleted here",
        service=service.name,
        next_actions=("remove it from its file (mcp.json or services/)", f"or service_stop {service.name}"),
    )


@runtime_checkable
class StateUpdater(Protocol):
    """A service whose state others may report, such as a dependency that went away."""

    def report(self, transition: Transition, *, reason: str = "", error: BaseException | None = None) -> None:
        """Report a fact; the transition table decides what follows."""
        ...


_SUCCESSES = (Transition.STARTED, Transition.STOPPED, Transition.CONNECTED, Transition.ADOPTED)
_FORGET_HEALTH = (
    Transition.START_REQUESTED,
    Transition.START_FAILED,
    Transition.STOPPED,
    Transition.STOP_FAILED,
    Transition.STOP_NOT_SENT,
    Transition.FOUND_STOPPED,
    Transition.ADOPTED,
    Transition.HELD,
)
"""After these, what was known of the health says nothing any more."""


class BaseService:
    """State, health, last error, listeners and waiting; subclasses supply start, stop and restart.

    Attributes:
        name: the name in the registry; it never changes.
        on_touch: called with the name whenever what `view` shows may have changed; None: no one follows it.
    """

    on_touch: Callable[[str], None] | None = None

    def __init__(
        self,
        name: str,
        service_type: str,
        *,
        dependencies: Sequence[str] = (),
        clock: Clock | None = None,
        state: ServiceState = ServiceState.UNKNOWN,
    ) -> None:
        self.name = name
        self._service_type = service_type
        self._dependencies = tuple(dependencies)
        self._clock: Clock = clock or SystemClock()
        now = self._clock.now()
        self._created_at = now
        self._updated_at = now
        self._status = Watched(ServiceStatus(state, HealthStatus.UNKNOWN, Reachability.UNKNOWN, since=now))
        self._followers: tuple[StateChangeCallback, ...] = ()
        self._changes: list[tuple[ServiceStatus, ServiceStatus]] = []
        self._delivering = False
        self.is_replaced = False
        """When it is taken out of the registry: another one takes its name at once, so nothing was deleted."""

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.name!r} {self._status.value.state.value}/{self._status.value.health.value}>"
        )

    @property
    def service_type(self) -> str:
        """The kind of service."""
        return self._service_type

    @property
    def updated_at(self) -> datetime:
        """When it changed last."""
        return self._updated_at

    @property
    def dependencies(self) -> tuple[str, ...]:
        """Names of the services that must run first."""
        return self._dependencies

    @property
    def status(self) -> ServiceStatus:
        """The whole status value."""
        return self._status.value

    @property
    def state(self) -> ServiceState:
        """The lifecycle state."""
        return self._status.value.state

    @property
    def health(self) -> HealthStatus:
        """The health."""
        return self._status.value.health

    @property
    def reachability(self) -> Reachability:
        """Whether the server that drives this service can be asked."""
        return self._status.value.reachability

    @property
    def reason(self) -> str:
        """A short code for the cause of the state; empty if there is nothing to add."""
        return self._status.value.reason

    @property
    def last_error(self) -> BaseException | None:
        """The last failure, kept until the next success."""
        return self._status.value.error

    async def start(self) -> None:
        """Start the service; returns when it is up. Raises OstlerError when it cannot be."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Stop the service; returns when it is down. Raises OstlerError when it cannot be."""
        raise NotImplementedError

    async def restart(self) -> None:
        """Stop the service if it is up, and start it."""
        if self.state.is_up:
            await self.stop()
        await self.start()

    def on_state_change(self, callback: StateChangeCallback) -> Callable[[], None]:
        """Call `callback(name, old, new, health, error)` for each change of state or health, in their order.

        It is called from its own thread, so it may take its time, and even hang: nothing waits for it. What it
        raises is logged. Of more than 10,000 changes that wait for it, the oldest are dropped.

        Returns a function that ends the subscription.
        """
        listener = Listener(callback)
        unfollow = self.follow(listener.notify)

        def unsubscribe() -> None:
            unfollow()
            listener.close()

        return unsubscribe

    def follow(self, callback: StateChangeCallback) -> Callable[[], None]:
        """As `on_state_change`, called at once in the event loop: for the engine, whose calls return at once."""
        self._followers = (*self._followers, callback)

        def unfollow() -> None:
            self._followers = tuple(other for other in self._followers if other is not callback)

        return unfollow

    async def wait_until(self, predicate: Callable[[ServiceStatus], bool]) -> ServiceStatus:
        """Return the first status for which `predicate` holds (now or after a change)."""
        return await self._status.wait_until(predicate)

    def report(self, transition: Transition, *, reason: str = "", error: BaseException | None = None) -> None:
        """Move the state by the table. An error is kept until a transition that means success.

        Raises:
            IllegalTransitionError: the table has no such change; a bug.
        """
        old = self._status.value
        state = next_state(self.name, old.state, transition)
        now = self._clock.now()
        failed, failed_at = old.error, old.error_at
        if error is not None:
            failed, failed_at = _kept(error), now
        elif transition in _SUCCESSES or (transition is Transition.FOUND_STOPPED and reason != "gone"):
            failed, failed_at = None, None
        health, health_at = old.health, old.health_at
        if transition in _FORGET_HEALTH:
            health, health_at = HealthStatus.UNKNOWN, None
        elif transition is Transition.FAILED and health is not HealthStatus.UNKNOWN:
            health, health_at = HealthStatus.UNHEALTHY, now
        self._replace_status(
            replace(
                old,
                state=state,
                reason=reason,
                since=now if state is not old.state else old.since,
                error=failed,
                error_at=failed_at,
                health=health,
                health_at=health_at,
            ),
            now,
        )

    def set_health(self, health: HealthStatus, *, error: BaseException | None = None) -> None:
        """Report what a health check found; the time is kept."""
        now = self._clock.now()
        new = replace(self._status.value, health=health, health_at=now)
        if error is not None:
            new = replace(new, error=_kept(error), error_at=now)
        elif health is HealthStatus.HEALTHY and self._status.value.health is HealthStatus.UNHEALTHY:
            new = replace(new, error=None, error_at=None)
        self._replace_status(new, now)

    def set_error(self, error: BaseException | None) -> None:
        """Keep what went wrong, or forget it; state and health stay, so no callback is called."""
        now = self._clock.now()
        self._replace_status(
            replace(self._status.value, error=error and _kept(error), error_at=None if error is None else now), now
        )

    def take_reason(self, reason: str) -> None:
        """Keep why an earlier run of the server left the state as it is; nothing has changed by that."""
        self._status.replace(replace(self._status.value, reason=reason))
        self._touch()

    def take_health(self, health: HealthStatus) -> None:
        """Keep what an earlier run of the server knew of the health; nothing has changed by that."""
        self._status.replace(replace(self._status.value, health=health))
        self._touch()

    def set_reachability(self, reachability: Reachability) -> None:
        """Report whether the driving server can be asked."""
        if reachability is not self._status.value.reachability:
            now = self._clock.now()
            self._replace_status(replace(self._status.value, reachability=reachability, reachability_at=now), now)

    @property
    def class_name(self) -> str:
        """The class that it was made from; empty if there is none."""
        return ""

    @property
    def owner(self) -> str:
        """The owner; empty if there is none."""
        return ""

    @property
    def labels(self) -> JsonMapping:
        """Names and values of its user."""
        return {}

    @property
    def error(self) -> str | None:
        """The last failure in words, kept until the next success; None when there is none."""
        return error_text(self._status.value.error)

    @property
    def health_failures(self) -> int:
        """Health checks that have failed in a row."""
        return 0

    @property
    def failure_threshold(self) -> int:
        """Health checks that have to fail in a row until it is unhealthy."""
        return 1

    def view(self) -> ServiceView:
        """Return a snapshot for lists, status and resources."""
        return ServiceView(**self._shown())

    def _shown(self) -> dict[str, Any]:
        """Return the fields of a snapshot; subclasses add theirs."""
        status = self._status.value
        return {
            "id": self.name,
            "name": self.name,
            "service_type": self._service_type,
            "class_name": "",
            "persist": False,
            "state": status.state,
            "health": status.health,
            "reachability": status.reachability,
            "desired": DesiredState.STOPPED if status.state is ServiceState.STOPPED else DesiredState.RUNNING,
            "state_since": status.since,
            "created_at": self._created_at,
            "updated_at": self._updated_at,
            "error": self.error,
            "error_at": status.error_at,
            "reason": status.reason,
            "dependencies": tuple(self.dependencies),
            "checked_at": status.health_at,
            "reachability_at": status.reachability_at,
            "service_data": self.service_data(),
        }

    def service_data(self) -> JsonObject:
        """Return facts of the service's type; none by default."""
        return {}

    def _replace_status(self, new: ServiceStatus, now: datetime) -> None:
        """Change to `new`. Whatever is dated by the change has the same `now`: a copy takes 48 bytes a service."""
        old = self._status.value
        self._status.replace(new)
        self._updated_at = now
        self._touch()
        self._changes.append((old, new))
        if self._delivering:  # a follower caused this change: it is delivered after the one under way
            return
        self._delivering = True
        try:
            while self._changes:
                self._deliver(*self._changes.pop(0))
        finally:
            self._delivering = False

    def _touch(self) -> None:
        if self.on_touch is not None:
            self.on_touch(self.name)

    def _deliver(self, old: ServiceStatus, new: ServiceStatus) -> None:
        self._status_changed(old, new)
        if old.state is new.state and old.health is new.health:
            return
        for callback in self._followers:
            try:
                callback(self.name, old.state.value, new.state.value, new.health.value, new.error)
            except Exception:  # boundary: a follower's fault must not disturb the service
                logger.exception("follower of service %r failed", self.name)

    def _status_changed(self, old: ServiceStatus, new: ServiceStatus) -> None:
        """Hook for subclasses, called for every change before the followers."""


def _kept(error: BaseException) -> BaseException:
    """Return `error` as a status keeps it: what is added to the raised one later is not about this change."""
    return error.fresh() if isinstance(error, OstlerError) else error


def error_text(error: BaseException | None) -> str | None:
    """Return an error in words, or None."""
    if error is None:
        return None
    if isinstance(error, OstlerError):
        return str(error)
    return str(error) or type(error).__name__
