"""What every instance shares: the seams to the world and the manager's task group."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from anyio.abc import TaskGroup

from ostler.engine.events.log import EventLog
from ostler.engine.instances.handles import Handles
from ostler.engine.instances.shared_calls import BatchCalls
from ostler.engine.protocols import Clock, Foresight, Observer, Store, ToolCaller, ToolDirectory
from ostler.model.json import JsonObject, JsonValue


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


class Runtime(Protocol):
    """The engine's surroundings."""

    @property
    def caller(self) -> ToolCaller:
        """Calls downstream tools."""
        ...

    @property
    def tools(self) -> ToolDirectory | None:
        """Knows which tools exist; None if the caller cannot list them (library use)."""
        ...

    @property
    def store(self) -> Store:
        """Durable memory."""
        ...

    @property
    def foresight(self) -> Foresight:
        """Predicts the failure of some calls."""
        ...

    @property
    def confirm_hold(self) -> Callable[[], None]:
        """Raises StoreError when another process may have taken the store over: then nothing may be sent."""
        ...

    @property
    def mark(self) -> str:
        """The mark of everything that this Ostler starts; empty if nothing could be found by it."""
        ...

    @property
    def events(self) -> EventLog:
        """The event log."""
        ...

    @property
    def clock(self) -> Clock:
        """Wall time."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """What templates may see as `env.*`."""
        ...

    @property
    def make_id(self) -> Callable[[], str]:
        """Makes ids, each unique forever."""
        ...

    @property
    def random(self) -> Random:
        """Spreads times."""
        ...

    @property
    def observer(self) -> Observer | None:
        """Follows what is done, for traces and metrics."""
        ...

    @property
    def batches(self) -> BatchCalls:
        """Shares the calls that look for many services at once."""
        ...

    @property
    def handles(self) -> Handles:
        """Knows who was last given which identifier."""
        ...

    @property
    def task_group(self) -> TaskGroup | None:
        """Owns every controller task; None while the manager does not run."""
        ...
