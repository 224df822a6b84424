"""The engine's observer: a span, measurements and log lines of each operation, and how late health checks are."""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from random import Random
from typing import TYPE_CHECKING, Final

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer, get_current_span, set_span_in_context

from ostler.adapters.telemetry.instruments import Instruments
from ostler.adapters.telemetry.scopes import Origin, Scope, current_scope, entered, untraced
from ostler.engine.instances.reasons import POLICY_REASON
from ostler.model.records import OperationKind, OperationOutcome, OperationRecord

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

LOGGED: Final = "ostler.operations"
"""The logger that each operation's end goes to."""

CHECK_SPAN: Final = "health_check"

_DESCRIPTION: Final = 500
"""Characters of an error that a span carries."""

logger = logging.getLogger(LOGGED)


class OperationObserver:
    """Implements the engine's `Observer`."""

    def __init__(self, tracer: Tracer, instruments: Instruments, *, checks: bool) -> None:
        """Make it.

        Args:
            tracer: makes the spans.
            instruments: take the measurements.
            checks: trace scheduled health checks as well; they are many.
        """
        self._tracer = tracer
        self._instruments = instruments
        self._checks = checks
        self._random = Random()  # noqa: S311 (ids of traces that no one sees)

    def __repr__(self) -> str:
        return f"OperationObserver(checks={self._checks})"

    def asked(self) -> object:
        """Return the trace that the running code belongs to."""
        return Origin.here()

    def joined(self, origin: object) -> None:
        """Link the request that joins an operation to that operation's span."""
        if isinstance(origin, Origin) and origin.span is not None and current_scope() is not None:
            get_current_span().add_link(origin.span.get_span_context())

    @contextmanager
    def operation(self, origin: object, record: Callable[[], OperationRecord]) -> Generator[None]:
        """Surround an operation with its span, whose parent is the request that asked for it."""
        origin = origin if isinstance(origin, Origin) else Origin()
        began, since = record(), time.perf_counter()
        context = origin.context or Context()
        span = origin.span = self._tracer.start_span(
            f"{began.kind.value} {began.class_name}",
            context,
            SpanKind.INTERNAL,
            {
                "ostler.operation.id": began.id,
                "ostler.operation.kind": began.kind.value,
                "ostler.operation.reason": began.reason,
                "ostler.service.name": began.service_name,
                "ostler.service.class": began.class_name,
            },
            [] if origin.linked is None else [Link(origin.linked)],
        )
        kind: dict[str, AttributeValue] = {"ostler.operation.kind": began.kind.value}
        self._instruments.under_way.add(1, kind)
        token = attach(set_span_in_context(span, context))
        try:
            with entered(Scope(began.id, began.service_name)):
                try:
                    yield
                finally:
                    self._end(span, record(), time.perf_counter() - since)
        finally:
            detach(token)
            self._instruments.under_way.add(-1, kind)

    def check(self, service: str, late: float) -> AbstractContextManager[None]:
        """Measure how late a health check is, and leave it out of traces unless it is asked for."""
        self._instruments.lateness.record(max(late, 0.0))
        if not self._checks:
            return untraced(self._random.getrandbits(128) or 1)
        return self._traced_check(service)

    @contextmanager
    def _traced_check(self, service: str) -> Generator[None]:
        attributes: dict[str, AttributeValue] = {"ostler.service.name": service}
        with self._tracer.start_as_current_span(CHECK_SPAN, Context(), SpanKind.INTERNAL, attributes):
            yield

    def _end(self, span: Span, ended: OperationRecord, seconds: float) -> None:
        outcome = "interrupted" if ended.outcome is None else ended.outcome.value
        facts: dict[str, AttributeValue] = {
            "ostler.operation.outcome": outcome,
            "ostler.service.class": ended.class_name,
        }
        failed = ended.outcome is OperationOutcome.FAILED
        if ended.kind is OperationKind.RESTART:
            cause = "policy" if ended.reason.startswith(POLICY_REASON) else "request"
            self._instruments.restarts.add(1, {**facts, "ostler.restart.cause": cause})
        if failed:
            facts["error.type"] = ended.error_code or "_OTHER"
        self._instruments.operations.record(seconds, {**facts, "ostler.operation.kind": ended.kind.value})
        span.set_attributes(facts)
        if failed:
            span.set_status(StatusCode.ERROR, ended.error[:_DESCRIPTION])
        span.end()
        level = logging.WARNING if failed else logging.INFO
        logger.log(
            level, "%s of %s %s%s", ended.kind.value, ended.service_name, outcome, f": {ended.error}" if failed else ""
        )
