"""Services that no one uses are stopped after the time that their `idleStop` says."""

from collections.abc import Callable, Sequence

import anyio
from msgspec import Struct

from ostler.engine.dependencies.graph import DependencyGraph
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.instances.reasons import IDLE
from ostler.engine.instances.runtime import Runtime
from ostler.engine.protocols import ActivityMeter
from ostler.model.durations import format_duration
from ostler.model.events import EventKind
from ostler.model.policies import IdleStopSpec
from ostler.model.records import OperationKind
from ostler.model.states import ServiceState

LOOK_SECONDS = 2.0
"""Between two looks at services that have an `idleStop`."""

SPAN_SECONDS = 10.0
"""Over how long CPU use is averaged, so that the answer to a health check is not taken for use."""


class _Seen(Struct, frozen=True):
    """Since when the CPU use of a service is averaged, what it had used then, and when it was used last."""

    at: float
    cpu_seconds: float
    used_at: float


class IdleKeeper:
    """Looks at all services with an `idleStop` from one task.

    Args:
        runtime: the engine's surroundings.
        instances: returns the services.
        graph: knows who needs a service.
        meter: says what services do.
    """

    def __init__(
        self,
        runtime: Runtime,
        instances: Callable[[], Sequence[ServiceInstance]],
        graph: DependencyGraph,
        meter: ActivityMeter,
    ) -> None:
        self._runtime = runtime
        self._instances = instances
        self._graph = graph
        self._meter = meter
        self._seen: dict[str, _Seen] = {}

    async def run(self) -> None:
        """Keep looking until cancelled."""
        while True:
            await anyio.sleep(LOOK_SECONDS)
            watched = [one for one in self._instances() if one.service_class.config.idle_stop and _is_at_rest(one)]
            if watched:
                await self._look(watched)
            else:
                self._seen.clear()

    async def _look(self, watched: Sequence[ServiceInstance]) -> None:
        found = await self._meter.activity([instance.name for instance in watched])
        now, seen = anyio.current_time(), dict[str, _Seen]()
        for instance in watched:
            activity, last = found.get(instance.name), self._seen.get(instance.id)
            if activity is None or not _is_at_rest(instance):
                continue  # what cannot be seen is not known to be idle
            idle = instance.service_class.config.idle_stop
            assert idle is not None
            is_used = (idle.connections and activity.connections > 0) or self._is_needed(instance)
            if last is None or is_used:
                seen[instance.id] = _Seen(now, activity.cpu_seconds, now)
                continue
            if now - last.at < min(SPAN_SECONDS, idle.after):
                seen[instance.id] = last
                continue
            percent = 100 * (activity.cpu_seconds - last.cpu_seconds) / (now - last.at)
            used_at = now if percent > idle.cpu_percent else last.used_at
            seen[instance.id] = _Seen(now, activity.cpu_seconds, used_at)
            if now - used_at >= idle.after:
                self._stop(instance, idle)
        self._seen = seen

    def _stop(self, instance: ServiceInstance, idle: IdleStopSpec) -> None:
        why = f"not used for {format_duration(idle.after)} ({'no connection, ' if idle.connections else ''}no CPU)"
        self._runtime.events.append(
            EventKind.WARNING,
            instance.name,
            f"{why}: stopping; a start, an up or a wait starts it again",
        )
        instance.request(OperationKind.STOP, reason=IDLE)

    def _is_needed(self, instance: ServiceInstance) -> bool:
        return any(service.state is not ServiceState.STOPPED for service in self._graph.dependents(instance.name))


def _is_at_rest(instance: ServiceInstance) -> bool:
    return instance.state is ServiceState.RUNNING and instance.operation is None
