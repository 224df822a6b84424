"""What every instance shares: the seams to the world and the manager's task group."""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from anyio.abc import TaskGroup

from ostler.engine.events.log import EventLog
from ostler.engine.instances.shared_calls import BatchCalls
from ostler.engine.protocols import Clock, Store, ToolCaller, ToolDirectory
from ostler.model.json import JsonObject, JsonValue

if TYPE_CHECKING:
    from ostler.engine.instances.instance import ServiceInstance
    from ostler.engine.instances.operations import Operation


def new_id() -> str:
    """Return a short random id, unique in practice (64 bits)."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class DependencyFacts:
    """What templates see of an instance's dependencies.

    Attributes:
        names: by alias, as `dependencies.*`.
        secrets: the texts in it that must not be shown: they are secrets of the dependencies.
    """

    names: JsonObject = field(default_factory=dict[str, JsonValue])
    secrets: frozenset[str] = frozenset()


async def _no_dependencies(_instance: "ServiceInstance", _operation: "Operation") -> DependencyFacts:
    return DependencyFacts()


def _no_facts(_instance: "ServiceInstance") -> DependencyFacts:
    return DependencyFacts()


def _ignore(_instance: "ServiceInstance") -> None:
    return None


@dataclass(slots=True)
class Runtime:
    """The engine's surroundings, injected.

    Attributes:
        caller: calls downstream tools.
        tools: knows which tools there are; None when the caller cannot tell (library use).
        store: durable memory.
        events: the event log.
        clock: wall time.
        environment: what templates may see as `env.*`.
        batches: shares the calls that look for many services at once.
        task_group: owns every controller task; set while the manager runs.
        await_dependencies: returns when an instance's dependencies allow its start, with what templates see of them.
        instance_changed: told after each change of an instance's state or health.
        instance_removed: told after an instance was deleted.
        operation_ended: told when an operation of an instance is over and none is under way.
        dependency_facts: what templates see of the dependencies of an instance that was not started in this run.
        watch_health: (re)schedules health checks of an instance.
    """

    caller: ToolCaller
    store: Store
    events: EventLog
    clock: Clock
    tools: ToolDirectory | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    make_id: Callable[[], str] = new_id
    random: Random = field(default_factory=Random)
    batches: BatchCalls = field(default_factory=BatchCalls)
    task_group: TaskGroup | None = None
    await_dependencies: Callable[["ServiceInstance", "Operation"], Awaitable[DependencyFacts]] = _no_dependencies
    instance_changed: Callable[["ServiceInstance"], None] = _ignore
    instance_removed: Callable[["ServiceInstance"], None] = _ignore
    operation_ended: Callable[["ServiceInstance"], None] = _ignore
    dependency_facts: Callable[["ServiceInstance"], DependencyFacts] = _no_facts
    watch_health: Callable[["ServiceInstance"], None] = _ignore
