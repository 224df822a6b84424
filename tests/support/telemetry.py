"""OpenTelemetry's own SDK with exporters in memory: what a test's spans and metrics are read from."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult


class NewestSpans(SpanExporter):
    """Keeps the newest finished spans: the tests that follow in this process make more, which no one reads."""

    def __init__(self) -> None:
        self.spans: deque[ReadableSpan] = deque(maxlen=1_000)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


@dataclass
class Recorder:
    """What was emitted."""

    exporter: NewestSpans = field(default_factory=NewestSpans)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def spans(self, name: str = "") -> list[ReadableSpan]:
        """Return the finished spans, of one name or all."""
        return [span for span in list(self.exporter.spans) if name in ("", span.name)]

    def span(self, name: str, **facts: Any) -> ReadableSpan:
        """Return the one span of a name, with these attributes (`__` for the dot)."""
        wanted = {key.replace("__", "."): value for key, value in facts.items()}
        found = [span for span in self.spans(name) if wanted.items() <= dict(span.attributes or {}).items()]
        assert len(found) == 1, (name, [(span.name, dict(span.attributes or {})) for span in self.spans()])
        return found[0]

    def points(self, name: str) -> list[tuple[Mapping[str, Any], Any]]:
        """Return (attributes, value) of a metric's points; the value of a histogram is how many there are."""
        return [
            (dict(point.attributes or {}), point.count if hasattr(point, "count") else point.value)
            for metric in self.metrics()
            if metric.name == name
            for point in metric.data.data_points
        ]

    def metrics(self) -> Iterator[Any]:
        """Return every metric as it is now."""
        data = self.reader.get_metrics_data()
        if data is None:
            return
        for resource in data.resource_metrics:
            for scope in resource.scope_metrics:
                yield from scope.metrics


def record_telemetry() -> Recorder:
    """Set OpenTelemetry up for this process, which is possible once; whatever runs in it is recorded from now on."""
    recorder = Recorder()
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(SimpleSpanProcessor(recorder.exporter))
    trace.set_tracer_provider(tracing)
    metrics.set_meter_provider(MeterProvider([recorder.reader], shutdown_on_exit=False))
    return recorder
