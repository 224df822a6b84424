"""Log records as JSON, one object a line, with the ids of the operation and the trace that they belong to.

The keys of the trace are those of OpenTelemetry's "trace context in non-OTLP log formats", the others its attributes.
"""

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

from ostler.adapters.telemetry.scopes import current_scope
from ostler.model.moments import format_brief

if TYPE_CHECKING:
    from ostler.model.json import JsonObject


class JsonFormatter(logging.Formatter):
    """Formats records as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        at = datetime.fromtimestamp(record.created, UTC)
        line: JsonObject = {
            "timestamp": format_brief(at),
            "severity": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        scope = current_scope()
        if scope is not None:
            if scope.operation:
                line |= {"ostler.operation.id": scope.operation, "ostler.service.name": scope.service}
            span = get_current_span().get_span_context()
            if span.is_valid:
                line["trace_id"] = format_trace_id(span.trace_id)
                line["span_id"] = format_span_id(span.span_id)
                line["trace_flags"] = f"{span.trace_flags:02x}"
        if record.exc_info and record.exc_info[0] is not None:
            line |= {
                "exception.type": record.exc_info[0].__name__,
                "exception.message": str(record.exc_info[1]),
                "exception.stacktrace": self.formatException(record.exc_info),
            }
        return json.dumps(line, ensure_ascii=False, default=str)
