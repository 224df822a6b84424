"""A static service with one owner task: it connects, stays up until something is lost, backs off, and repeats."""

import logging
from abc import abstractmethod
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import anyio
import anyio.lowlevel
from msgspec import Struct
from msgspec.structs import replace

from ostler.adapters.backoff import Backoff, Nudge
from ostler.adapters.connection_facts import ARRIVALS, way_to
from ostler.adapters.kubernetes.trouble import KubeTroubleError
from ostler.engine.protocols import Clock
from ostler.engine.services.service import BaseService, ServiceStatus
from ostler.engine.services.views import ServiceView
from ostler.model.errors import OperationError
from ostler.model.json import JsonMapping, JsonObject
from ostler.model.states import DesiredState, HealthStatus, Reachability, ServiceState, Transition
from ostler.model.statics import StaticService

logger = logging.getLogger(__name__)

BACKOFF_CAP: Final = 15.0
"""Seconds between attempts at most."""

_SETTLED: Final = frozenset(set(ServiceState) - {ServiceState.STARTING, ServiceState.STOPPING})


class World(Struct, frozen=True):
    """What all of these services share: the variables that kubeconfigs see, and wall time."""

    environment: Mapping[str, str]
    clock: Clock


class SupervisedService(BaseService):
    """State, waiting and back-off around an attempt, which subclasses supply. `run` is the owner task's body."""

    def __init__(self, definition: StaticService, world: World, *, wanted: bool | None = None) -> None:
        super().__init__(definition.name, definition.kind, clock=world.clock, state=ServiceState.STOPPED)
        self.definition: StaticService = definition
        self._world = world
        self._wanted = definition.spec.auto_start if wanted is None else wanted
        self._closing = False
        self._nudge = Nudge()
        self._scope: anyio.CancelScope | None = None
        self._backoff = Backoff(initial=0.5, cap=BACKOFF_CAP)
        self._next_attempt_at: datetime | None = None
        self._connects = 0
        self._checked = anyio.Event()
        self.ended = anyio.Event()
        self._arrive(ServiceState.STARTING if self._wanted else ServiceState.STOPPED, self._idle_reason())

    # -- what is wanted ----------------------------------------------------------------------------------------

    @property
    def is_wanted(self) -> bool:
        """Whether it is to be up."""
        return self._wanted

    async def start(self) -> None:
        """Start, and return when connected.

        Raises:
            OperationError: the attempt failed; unless the configuration is wrong, Ostler goes on trying.
        """
        self._wanted = True
        if not self.state.is_up:
            self._arrive(ServiceState.STARTING)
            self._hurry()
        await self._await_start()

    async def stop(self) -> None:
        """Stop, and return when everything is released."""
        if self._wanted or self.state is not ServiceState.STOPPED:
            self._wanted = False
            self._interrupt(ServiceState.STOPPING, "stopped by request")
            await self.wait_until(lambda status: status.state is not ServiceState.STOPPING)

    async def restart(self) -> None:
        """Release everything and start again. Raises as `start` does."""
        self._wanted = True
        self._interrupt(ServiceState.STARTING, "")
        await self._await_start()

    def close(self) -> None:
        """End for good; `ended` is set when it is over."""
        self._wanted = False
        self._closing = True
        self._interrupt(ServiceState.STOPPING, "Ostler is shutting down")

    async def _await_start(self) -> None:
        status = await self.wait_until(lambda status: status.state in _SETTLED)
        if not status.state.is_up:
            if isinstance(status.error, OperationError):
                raise status.error
            reason = status.reason or "a later request won"
            raise OperationError(
                f"{self.service_type} {self.name!r} is {status.state.value}: {reason}",
                service=self.name,
                next_actions=(f"service_start {self.name}",),
            )

    def _interrupt(self, state: ServiceState, reason: str) -> None:
        if self.state is not ServiceState.STOPPED or state is ServiceState.STARTING:
            self._arrive(state, reason)
        self._hurry()
        if self._scope is not None:
            self._scope.cancel()

    def _hurry(self) -> None:
        self._backoff.reset()
        self._nudge.give()

    async def check_health(self) -> HealthStatus:
        """Check now, and return the verdict; what cannot be checked keeps the health that it had."""
        if self._wanted and self._checks:
            checked = self._checked
            self._look_now()
            with anyio.move_on_after(2 * self.definition.spec.timeout):
                await checked.wait()
        return self.health

    def _note_check(self) -> None:
        """Wake those who wait for a check: one was made, also if the health stays what it was, or none will be."""
        self._checked.set()
        self._checked = anyio.Event()

    @property
    def _checks(self) -> bool:
        """Whether checks of the service change its health."""
        return True

    def _look_now(self) -> None:
        """Have the owner check now instead of later."""
        self._hurry()

    # -- the owner ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Own the service until `close`; never raises for what a cluster does."""
        try:
            while not self._closing:
                if not self._wanted:
                    self._arrive(ServiceState.STOPPED, self.status.reason or self._idle_reason())
                    await self._nudge.wait()
                    continue
                with anyio.CancelScope() as self._scope:
                    try:
                        await self._stay_up()
                    except Exception as error:  # boundary: a fault with one cluster must not end the others
                        logger.exception("%s %r failed unexpectedly", self.service_type, self.name)
                        await self._pause(KubeTroubleError(f"{type(error).__name__}: {error}", ServiceState.FAILED))
                self._scope = None
        finally:
            self._scope = None
            self._arrive(ServiceState.STOPPED, self.status.reason)
            self.ended.set()

    async def _stay_up(self) -> None:
        """Attempt, and attempt again, until cancelled. A subclass may hold things around it."""
        while True:
            self._next_attempt_at = None
            try:
                await self._attempt()
            except KubeTroubleError as trouble:
                await self._pause(trouble)

    @abstractmethod
    async def _attempt(self) -> None:
        """Connect, call `_connected`, and stay until something is lost.

        Raises:
            KubeTroubleError: why it is over, or did not begin.
        """

    def _connected(self) -> None:
        if self._scope is not None and self._scope.cancel_called:
            return  # a stop or restart came as this attempt succeeded: it ends with its next await
        self._connects += 1
        self._arrive(ServiceState.CONNECTED)
        self.set_reachability(Reachability.REACHABLE)

    async def _pause(self, trouble: KubeTroubleError) -> None:
        await anyio.lowlevel.checkpoint_if_cancelled()  # a stop or restart came as this attempt failed
        delay = self._backoff.next_delay()
        self._next_attempt_at = self._clock.now() + timedelta(seconds=delay)
        error = trouble.as_error(self.name, self.service_type)
        if trouble.state in (ServiceState.UNREACHABLE, ServiceState.AUTH_REQUIRED):
            self.set_reachability(Reachability.UNREACHABLE)
        elif trouble.state is ServiceState.DISCONNECTED:
            self.set_reachability(Reachability.REACHABLE)
        self._arrive(trouble.state, trouble.reason, error)
        self._lost(trouble, error)
        self._note_check()
        with anyio.move_on_after(delay):
            await self._nudge.wait()

    def _lost(self, trouble: KubeTroubleError, error: OperationError) -> None:
        """Apply what a failed attempt means for the health: by default, that the service is unhealthy."""
        del trouble
        if self.health is not HealthStatus.UNHEALTHY:
            self.set_health(HealthStatus.UNHEALTHY, error=error)

    def _arrive(self, state: ServiceState, reason: str = "", error: OperationError | None = None) -> None:
        facts = way_to(state, self.state)
        if not facts and error is not None and reason != self.status.reason:  # lost again, for another reason
            again = (Transition.START_REQUESTED, Transition.START_FAILED)
            facts = again if state is ServiceState.FAILED else (ARRIVALS[state],)
        for fact in facts:
            self.report(fact, reason=reason, error=error)

    def _idle_reason(self) -> str:
        return "" if self._wanted else "not started (autoStart is false)"

    # -- showing -----------------------------------------------------------------------------------------------

    def outputs(self) -> JsonObject:
        """Return what dependents' templates see as `dependencies.ALIAS.outputs`; none by default."""
        return {}

    @property
    def labels(self) -> JsonMapping:
        """Names and values of its user."""
        return self.definition.metadata.labels

    def view(self) -> ServiceView:
        """Return a snapshot, with what was configured and when the next attempt is due."""
        spec, labels = self.definition.spec, self.definition.metadata.labels
        return replace(
            super().view(),
            desired=DesiredState.RUNNING if self._wanted else DesiredState.STOPPED,
            auto_start=spec.auto_start,
            purpose=spec.description,
            labels=dict(labels),
            outputs=self.outputs(),
            next_retry_at=None if self.state.is_up else self._next_attempt_at,
            starts=self._connects,
            health_checks=True,
        )

    def _status_changed(self, old: ServiceStatus, new: ServiceStatus) -> None:
        del old
        if new.state is ServiceState.STOPPED:
            self._next_attempt_at = None
            self._note_check()
