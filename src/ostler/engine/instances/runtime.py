"""What every instance shares: the seams to the world and the manager's task group."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from msgspec import Struct

from ostler.engine.call_context import EngineTasks
from ostler.engine.events.log import EventLog
from ostler.engine.instances.handles import Handles
from ostler.engine.instances.shared_calls import BatchCalls
from ostler.engine.protocols import Clock, Foresight, HeldStore, Observer, Store, ToolCaller, ToolDirectory
from ostler.model.json import JsonObject


def new_id() -> str:
    """Return a short random id, unique in practice (64 bits)."""
    return secrets.token_hex(8)


class DependencyFacts(Struct, frozen=True):
    """What templates see of an instance's dependencies.

    Attributes:
        names: by alias, as `dependencies.*`.
        secrets: the texts in it that must not be shown: they are secrets of the dependencies.
    """

    names: JsonObject = {}
    secrets: frozenset[str] = frozenset()


@dataclass(eq=False, repr=False)
class Runtime:
    """What the services of one manager share, and what acts upon them: the world outside, and what there is once.

    Attributes:
        caller: calls downstream tools.
        store: durable memory.
        clock: wall time.
        events: the event log.
        tools: knows which tools exist; None if the caller cannot list them (library use).
        environment: what templates may see as `env.*`.
        mark: the mark of everything that this Ostler starts; empty if nothing could be found by it.
        random: spreads times.
        make_id: makes ids, each unique forever.
        observer: follows what is done, for traces and metrics.
        foresight: predicts the failure of some calls.
        batches: shares the calls that look for many services at once.
        handles: knows who was last given which identifier.
        task_group: owns every controller task; None while the manager does not run.
        confirm_hold: raises StoreError if another process may have taken the store over: then nothing may be sent.
    """

    caller: ToolCaller
    store: Store
    clock: Clock
    events: EventLog
    tools: ToolDirectory | None
    environment: Mapping[str, str]
    mark: str
    random: Random
    make_id: Callable[[], str]
    observer: Observer | None
    foresight: Foresight
    batches: BatchCalls = field(default_factory=BatchCalls, init=False)
    handles: Handles = field(default_factory=Handles, init=False)
    task_group: EngineTasks | None = field(default=None, init=False)
    confirm_hold: Callable[[], None] = field(init=False)

    def __post_init__(self) -> None:
        self.confirm_hold = self.store.confirm if isinstance(self.store, HeldStore) else _hold_is_certain


def _hold_is_certain() -> None:
    """No other process can take this store over."""
