"""Which request or operation the running code belongs to, so that traces and logs can name it.

A context variable is copied into each task that is started, and some tasks outlive what started them: a restart that
is planned during an operation comes hours later. So each scope knows whether it is still open, and a closed one is
linked to, not continued.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from msgspec import Struct
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.span import TraceState


class Scope(Struct, eq=False):
    """A client's request or an operation.

    Attributes:
        operation: the operation's id; empty for a request.
        service: whose operation it is.
        is_open: whether it is still under way.
    """

    operation: str = ""
    service: str = ""
    is_open: bool = True


_current: ContextVar[Scope | None] = ContextVar("request or operation", default=None)


@contextmanager
def entered(scope: Scope) -> Generator[None]:
    """Let the block, and what it starts, belong to `scope`, which is closed after it."""
    token = _current.set(scope)
    try:
        yield
    finally:
        scope.is_open = False
        _current.reset(token)


def current_scope() -> Scope | None:
    """Return the request or operation that the running code belongs to, while that is under way."""
    scope = _current.get()
    return scope if scope is not None and scope.is_open else None


class Origin(Struct, eq=False):
    """Where an operation was asked for.

    Attributes:
        context: what it continues; None begins a trace.
        linked: what led to it, and is over.
        span: the operation's, from its begin.
    """

    context: Context | None = None
    linked: SpanContext | None = None
    span: Span | None = None

    @classmethod
    def here(cls) -> "Origin":
        """Return the one of the running code."""
        span = get_current_span().get_span_context()
        if not span.is_valid:
            return cls()
        return cls(context=get_current()) if current_scope() is not None else cls(linked=span)


@contextmanager
def untraced(trace_id: int) -> Generator[None]:
    """Let no span of the block be sampled, here and in the servers that it calls."""
    context = SpanContext(trace_id, trace_id & 0xFFFFFFFFFFFFFFFF or 1, False, TraceFlags(0), TraceState())
    token = attach(set_span_in_context(NonRecordingSpan(context), Context()))
    try:
        yield
    finally:
        detach(token)
