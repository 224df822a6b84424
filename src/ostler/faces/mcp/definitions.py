"""What the handler of a tool gets: the application, its arguments, and the facts of the call."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct, field

from ostler.adapters.serving.arguments import Args
from ostler.adapters.serving.asking import Person
from ostler.adapters.serving.table import ToolDefinition
from ostler.engine.protocols import Clock, Progress
from ostler.engine.services.views import WaitingOptions
from ostler.faces.mcp.call_log import CallLog
from ostler.faces.mcp.surface import ApplicationLike

ArgsT = TypeVar("ArgsT", bound=Args)

MAX_WAIT = 45.0
"""Seconds that service_wait waits at most: common clients give a call up after 60."""

MAX_OPERATION_WAIT = 50.0
"""Seconds that a create, start, stop, restart or delete is waited for at most."""


class Call(Struct, frozen=True):
    """The facts of one call besides its arguments.

    Attributes:
        progress: send progress to the client; drops it when the client asked for none. Never blocks on the client.
        clock: wall time.
        client: the name that the client gives itself; empty when it gives none.
        log: remembers the calls of downstream tools.
        tools: the tools that the caller can call, so that no answer names another.
        person: can be asked, before anything is changed: a handler may run from the start again.
        is_cancelled: whether the client has cancelled the call, as opposed to being gone.
    """

    progress: Progress
    clock: Clock
    client: str
    log: CallLog
    tools: frozenset[str]
    person: Person
    is_cancelled: Callable[[], bool] = field(default=lambda: False)

    def waiting(self, wait: bool) -> WaitingOptions:
        """Return how an operation is waited for in this call, if the caller wants to wait at all."""
        return {"wait": wait, "timeout": MAX_OPERATION_WAIT, "progress": self.progress, "to_end": True}

    def now(self) -> datetime:
        """Return the current time, UTC."""
        return self.clock.now()


Tool: TypeAlias = ToolDefinition[ApplicationLike, ArgsT, Call]
"""One tool of Ostler's own."""

AnyTool: TypeAlias = ToolDefinition[ApplicationLike, Any, Call]
"""A tool of Ostler's own, whatever it takes."""
