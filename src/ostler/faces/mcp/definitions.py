"""One tool of Ostler's own: what it is called, takes, gives, may do, and who answers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Generic, TypeVar

from mcp_types import Tool, ToolAnnotations

from ostler.engine.protocols import Clock, Progress
from ostler.faces.mcp.answers import Answer
from ostler.faces.mcp.call_log import CallLog
from ostler.faces.mcp.schemas import Args, input_schema
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.json import JsonObject

ArgsT = TypeVar("ArgsT", bound=Args)

MAX_WAIT = 45.0
"""Seconds that service_wait waits at most: common clients give a call up after 60."""

MAX_OPERATION_WAIT = 50.0
"""Seconds that a create, start, stop, restart or delete is waited for at most."""


class Effect(Enum):
    """What a tool may do, as clients' hints: (read only, destructive, idempotent, open world)."""

    READS = (True, False, True, False)
    WRITES = (False, False, True, False)
    """Changes Ostler's own files or registry."""
    ADDS = (False, False, False, True)
    """Makes something new through downstream tools."""
    RUNS = (False, False, True, True)
    """Starts something through downstream tools; again is harmless."""
    STOPS = (False, True, True, True)
    """Ends something through downstream tools; again is harmless."""
    REMOVES = (False, True, True, False)
    ANYTHING = (False, True, False, True)
    """Whatever the downstream tool does."""

    def annotations(self) -> ToolAnnotations:
        """Return the hints; those that mean nothing for a reading tool are left out."""
        reads, destroys, idempotent, is_open = self.value
        if reads:
            return ToolAnnotations(read_only_hint=True, open_world_hint=is_open)
        return ToolAnnotations(
            read_only_hint=False, destructive_hint=destroys, idempotent_hint=idempotent, open_world_hint=is_open
        )


@dataclass(frozen=True, slots=True)
class Call:
    """The facts of one call beside its arguments.

    Attributes:
        progress: send progress to the client; drops it when the client asked for none. Never blocks on the client.
        clock: wall time.
        client: the name that the client gives itself; empty when it gives none.
        log: remembers the calls of downstream tools.
    """

    progress: Progress
    clock: Clock
    client: str
    log: CallLog

    def now(self) -> datetime:
        """Return the current time, UTC."""
        return self.clock.now()


@dataclass(frozen=True, slots=True)
class ToolDefinition(Generic[ArgsT]):
    """A tool.

    Attributes:
        name: as clients call it.
        title: for people.
        description: one or two sentences to an agent.
        args: the arguments' model.
        output: the JSON Schema of the structured answer.
        effect: what it may do.
        handler: answers a call; raises OstlerError.
        core: whether the small toolset has it.
    """

    name: str
    title: str
    description: str
    args: type[ArgsT]
    output: JsonObject
    effect: Effect
    handler: Callable[[ApplicationLike, ArgsT, Call], Awaitable[Answer]]
    core: bool = False

    def tool(self) -> Tool:
        """Return it as tools/list shows it."""
        return Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=input_schema(self.args),
            output_schema=self.output,
            annotations=self.effect.annotations(),
        )
