"""The restart policy: bring back what failed, with backoff, and give up in a crash loop."""

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta

import anyio

from ostler.engine.instance import ServiceInstance
from ostler.engine.runtime import Runtime
from ostler.model.durations import format_duration
from ostler.model.errors import OperationError
from ostler.model.manifest import RestartPolicySpec
from ostler.model.records import OperationKind
from ostler.model.states import HealthStatus, ServiceState, Transition

CRASH_LOOP = "crash-loop"


@dataclass(slots=True)
class _Trouble:
    """What an instance has been through: times of its restarts, and the retry that is planned."""

    restarts: deque[float] = field(default_factory=deque[float])
    retry: anyio.CancelScope | None = None
    hurry: anyio.Event = field(default_factory=anyio.Event)


class RestartKeeper:
    """Decides after each change of an instance whether and when it is restarted."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._troubles: dict[str, _Trouble] = {}

    def forget(self, instance: ServiceInstance) -> None:
        """Drop a planned retry and the history: a person took over."""
        trouble = self._troubles.pop(instance.id, None)
        instance.next_retry_at = None
        if trouble is not None and trouble.retry is not None:
            trouble.retry.cancel()

    def hurry(self, instance: ServiceInstance) -> None:
        """The server that drives `instance` is back: a planned retry need not wait any longer."""
        trouble = self._troubles.get(instance.id)
        if trouble is not None and trouble.retry is not None:
            trouble.hurry.set()

    def consider(self, instance: ServiceInstance) -> None:
        """Plan a restart when the policy of `instance` asks for one in the state that it is in now."""
        policy = instance.service_class.config.restart
        if policy.policy == "never" or not instance.is_wanted or instance.removed or self._runtime.task_group is None:
            return
        unhealthy = instance.state is ServiceState.RUNNING and instance.health is HealthStatus.UNHEALTHY
        gone = instance.state is ServiceState.STOPPED and policy.policy == "always" and instance.operation is None
        broken = instance.state is ServiceState.FAILED and instance.status.reason != CRASH_LOOP
        if not (unhealthy or gone or broken):
            return
        operation = instance.operation
        if broken and operation is not None and operation.reason in ("created", "requested"):
            return  # a person's own start or stop failed and told them; the policy is for what ran
        trouble = self._troubles.setdefault(instance.id, _Trouble())
        if trouble.retry is not None:
            if broken:  # it was unhealthy when the retry was planned, and has failed since
                instance.report(Transition.RETRY_SCHEDULED, reason="restart-policy")
            return
        now = anyio.current_time()
        while trouble.restarts and trouble.restarts[0] < now - policy.window:
            trouble.restarts.popleft()
        if len(trouble.restarts) >= policy.max_restarts:
            self._give_up(instance, policy, len(trouble.restarts))
            return
        delay = self.delay(policy, len(trouble.restarts))
        trouble.restarts.append(now + delay)
        trouble.retry = anyio.CancelScope()
        trouble.hurry = anyio.Event()
        self._runtime.task_group.start_soon(self._retry_after, instance, trouble, delay, unhealthy)

    def delay(self, policy: RestartPolicySpec, restarts: int) -> float:
        """Return the seconds to wait before the next restart, after `restarts` of them within the window."""
        backoff = policy.backoff
        base = min(backoff.initial * backoff.multiplier ** min(restarts, 64), backoff.max)
        return base * (1 + backoff.jitter * (2 * self._runtime.random.random() - 1))

    def _give_up(self, instance: ServiceInstance, policy: RestartPolicySpec, restarts: int) -> None:
        error = OperationError(
            f"service {instance.name!r} was restarted {restarts} times within {format_duration(policy.window)} and "
            f"failed again: {instance.view().error or instance.evidence or 'unhealthy'}",
            service=instance.name,
            next_actions=(
                f"service_events {instance.name} shows what happened",
                f"service_start {instance.name} after mending it",
            ),
        )
        if instance.state is ServiceState.STOPPED:
            instance.note(error.summary)
            return
        if instance.state is not ServiceState.FAILED:
            instance.report(Transition.FAILED, reason=CRASH_LOOP, error=error)
        else:
            instance.report(Transition.RETRY_SCHEDULED)
            instance.report(Transition.FAILED, reason=CRASH_LOOP, error=error)

    async def _retry_after(self, instance: ServiceInstance, trouble: _Trouble, delay: float, unhealthy: bool) -> None:
        scope = trouble.retry
        assert scope is not None
        with scope:
            await instance.wait_idle()
            if not instance.is_wanted or instance.removed:
                trouble.retry = None
                return
            instance.next_retry_at = self._runtime.clock.now() + timedelta(seconds=delay)
            if instance.state in (ServiceState.FAILED, ServiceState.STOPPED):
                instance.report(Transition.RETRY_SCHEDULED, reason="restart-policy")
            why = "unhealthy" if unhealthy else "failed"
            instance.note(f"{why}: restarting in {format_duration(round(delay, 1))}")
            with anyio.move_on_after(delay):
                await trouble.hurry.wait()
            instance.next_retry_at = None
            trouble.retry = None
            recovered = unhealthy and instance.health is not HealthStatus.UNHEALTHY
            if instance.is_wanted and not instance.removed and not recovered:
                instance.request(OperationKind.RESTART, reason=f"restart policy: {why}")
