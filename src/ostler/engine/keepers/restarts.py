"""The restart policy: bring back what failed, with backoff, and give up in a crash loop."""

from collections import deque
from contextlib import suppress
from datetime import timedelta

import anyio
import anyio.lowlevel
from msgspec import Struct, field

from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.instances.reasons import CRASH_LOOP, POLICY_REASON
from ostler.engine.instances.runtime import Runtime
from ostler.model.durations import format_duration
from ostler.model.errors import OperationError, OstlerError, StoreError
from ostler.model.policies import RestartPolicySpec
from ostler.model.records import OperationKind
from ostler.model.states import HealthStatus, ServiceState, Transition

RESTART_POLICY = "restart-policy"
"""Reason of a service that waits for its next restart."""

_PERSONAL = ("created", "requested")
"""Reasons of operations that a person waits for and hears the result of."""


class _Trouble(Struct):
    """What an instance has been through: times of its restarts, and the retry that is planned."""

    restarts: deque[float] = field(default_factory=deque[float])
    retry: anyio.CancelScope | None = None
    is_for_health: bool = False
    hurry: anyio.Event = field(default_factory=anyio.Event)
    well_since: float | None = None


class RestartKeeper:
    """Decides after each change of an instance whether and when it is restarted."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._troubles: dict[str, _Trouble] = {}

    def forget(self, instance: ServiceInstance) -> None:
        """Drop a planned retry and the history: a person took over."""
        self._drop_retry(instance, self._troubles.pop(instance.id, None))

    def driver_is_back(self, instance: ServiceInstance) -> None:
        """The server that drives `instance` is back: a planned retry need not wait, and the pauses start over."""
        trouble = self._troubles.get(instance.id)
        if trouble is not None:
            trouble.restarts.clear()
            trouble.hurry.set()

    def consider(self, instance: ServiceInstance) -> None:
        """Plan a restart when the policy of `instance` asks for one in the state that it is in now."""
        policy = instance.service_class.config.restart
        if policy.policy == "never" or instance.vitals.removed or self._runtime.task_group is None:
            return
        if self._is_well(instance):
            self._note_well(instance)
            return
        reason = self._reason(instance, policy)
        if not reason:
            return
        trouble = self._troubles.setdefault(instance.id, _Trouble())
        if trouble.retry is not None:
            if instance.state is ServiceState.FAILED:  # it was unhealthy when the retry was planned; failed since
                trouble.is_for_health = False
                instance.report(Transition.RETRY_SCHEDULED, reason=RESTART_POLICY)
                self._runtime.task_group.start_soon(self._record, instance)
            return
        now = anyio.current_time()
        self._forget_old(trouble, policy, now)
        if len(trouble.restarts) >= policy.max_restarts:
            self._give_up(instance, policy, len(trouble.restarts))
            return
        delay = self.delay(policy, len(trouble.restarts))
        trouble.restarts.append(now + delay)
        trouble.retry = scope = anyio.CancelScope()
        trouble.is_for_health = reason == "unhealthy"
        trouble.hurry = anyio.Event()
        self._runtime.task_group.start_soon(self._retry_after, instance, trouble, scope, delay, reason)

    def delay(self, policy: RestartPolicySpec, restarts: int) -> float:
        """Return the seconds to wait before the next restart, after `restarts` of them; jitter makes it shorter."""
        return policy.pause(restarts) * (1 - policy.backoff.jitter * self._runtime.random.random())

    @staticmethod
    def _is_well(instance: ServiceInstance) -> bool:
        return instance.state.is_up and instance.health is not HealthStatus.UNHEALTHY

    def _note_well(self, instance: ServiceInstance) -> None:
        trouble = self._troubles.get(instance.id)
        if trouble is None:
            return
        if trouble.well_since is None:
            trouble.well_since = anyio.current_time()
        if trouble.is_for_health and instance.health is HealthStatus.HEALTHY:
            self._drop_retry(instance, trouble)
            instance.note("healthy again: the planned restart is not needed")

    @staticmethod
    def _reason(instance: ServiceInstance, policy: RestartPolicySpec) -> str:
        """Return why `instance` has to be restarted, or nothing."""
        if not instance.is_wanted or instance.has_completed:
            return ""
        operation = instance.operation
        match instance.state:
            case ServiceState.RUNNING if instance.health is HealthStatus.UNHEALTHY:
                return "unhealthy"
            case ServiceState.FAILED if instance.status.reason != CRASH_LOOP:
                # whoever asked for a start or stop that failed got the error; the policy is for what ran
                return "" if operation is not None and operation.reason in _PERSONAL else "failed"
            case ServiceState.RETRYING if operation is None:
                return "failed"  # its retry was dropped for a request that came to nothing
            case ServiceState.STOPPED if policy.policy == "always":
                is_going_on = operation is not None and operation.kind is not OperationKind.VERIFY
                return "" if is_going_on else "found stopped"
            case _:
                return ""

    @staticmethod
    def _forget_old(trouble: _Trouble, policy: RestartPolicySpec, now: float) -> None:
        """Forget restarts that are outside of the window, and all of them after a stable period."""
        well_since, trouble.well_since = trouble.well_since, None
        if well_since is not None and now - well_since >= (policy.reset_after or policy.window):
            trouble.restarts.clear()
        while trouble.restarts and trouble.restarts[0] < now - policy.window:
            trouble.restarts.popleft()

    def _give_up(self, instance: ServiceInstance, policy: RestartPolicySpec, restarts: int) -> None:
        error = OperationError(
            f"service {instance.name!r} was restarted {restarts} times within {format_duration(policy.window)} and "
            f"failed again: {instance.view().error or instance.vitals.evidence or 'unhealthy'}",
            service=instance.name,
            next_actions=(
                f"service_events {instance.name} shows what happened",
                f"service_start {instance.name} after fixing it",
            ),
        )
        instance.report(Transition.FAILED, reason=CRASH_LOOP, error=error)

    def _drop_retry(self, instance: ServiceInstance, trouble: _Trouble | None) -> None:
        instance.set_vitals(next_retry_at=None)
        if trouble is not None and trouble.retry is not None:
            trouble.retry.cancel()
            trouble.retry = None

    async def _retry_after(
        self, instance: ServiceInstance, trouble: _Trouble, scope: anyio.CancelScope, delay: float, reason: str
    ) -> None:
        with scope:
            await anyio.lowlevel.checkpoint_if_cancelled()  # it may have been dropped before this began
            await instance.wait_idle()
            if not instance.is_wanted or instance.vitals.removed:
                trouble.retry = None
                return
            instance.set_vitals(next_retry_at=self._runtime.clock.now() + timedelta(seconds=delay))
            if instance.state in (ServiceState.FAILED, ServiceState.STOPPED):
                instance.report(Transition.RETRY_SCHEDULED, reason=RESTART_POLICY)
                await self._record(instance)
            policy = instance.service_class.config.restart
            instance.note(
                f"{reason}: restarting in {format_duration(round(delay, 1))} (restart {len(trouble.restarts)} of at "
                f"most {policy.max_restarts} within {format_duration(policy.window)})"
            )
            came_back = await self._pause(instance, trouble, delay)
            instance.set_vitals(next_retry_at=None)
            if came_back:
                with suppress(OstlerError):
                    await instance.request(OperationKind.VERIFY, reason="it was seen running again").wait()
            trouble.retry = None
            if instance.is_wanted and not instance.vitals.removed and not self._is_well(instance):
                instance.request(OperationKind.RESTART, reason=f"{POLICY_REASON}: {reason}")

    @staticmethod
    async def _record(instance: ServiceInstance) -> None:
        """Make the planned restart durable: it outlives the server."""
        if instance.vitals.removed or instance.state is not ServiceState.RETRYING:
            return
        try:
            await instance.commit()
        except StoreError as error:
            instance.note(f"the planned restart could not be recorded: {error.summary}")

    async def _pause(self, instance: ServiceInstance, trouble: _Trouble, delay: float) -> bool:
        """Wait out the backoff; True if a check meanwhile shows that the service is running again."""
        ends = anyio.current_time() + delay
        interval = instance.service_class.config.health_rules.interval
        while (left := ends - anyio.current_time()) > 0 and not trouble.hurry.is_set():
            with anyio.move_on_after(min(left, interval)):
                await trouble.hurry.wait()
            if ends - anyio.current_time() <= 0 or trouble.hurry.is_set():
                break
            if instance.state is ServiceState.RETRYING and await self._is_alive(instance):
                return True
        return False

    @staticmethod
    async def _is_alive(instance: ServiceInstance) -> bool:
        try:
            return bool(await instance.is_alive())
        except OstlerError:
            return False
