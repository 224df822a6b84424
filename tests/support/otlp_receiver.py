"""An OTLP receiver over HTTP: what OpenTelemetry's exporters send, read by its own protobuf messages."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Received:
    """What has come in.

    Attributes:
        spans: (attributes of the resource, span), in order of arrival.
        metrics: the metrics' messages by name; the last one of each.
        headers: of the last request.
    """

    spans: list[tuple[dict[str, Any], Any]] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def until(self, condition: Callable[[], object], timeout: float = 30.0) -> None:
        """Wait for `condition`."""
        with self.arrived:
            assert self.arrived.wait_for(condition, timeout), [span.name for _, span in self.spans]

    def named(self, name: str) -> list[Any]:
        """Return the spans of a name."""
        return [span for _, span in self.spans if span.name == name]

    def take(self, path: str, body: bytes) -> None:
        """Read a request."""
        with self.arrived:
            if path == "/v1/traces":
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    facts = facts_of(resource.resource)
                    self.spans += [(facts, span) for scope in resource.scope_spans for span in scope.spans]
            elif path == "/v1/metrics":
                for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                    self.metrics |= {one.name: one for scope in resource.scope_metrics for one in scope.metrics}
            self.arrived.notify_all()


def facts_of(item: Any) -> dict[str, Any]:
    """Return the attributes of a resource, a span or a point."""
    return {fact.key: getattr(fact.value, fact.value.WhichOneof("value")) for fact in item.attributes}


@contextmanager
def otlp_receiver() -> Generator[tuple[str, Received]]:
    """Serve on a free port; gives the base address, and what has come in."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.headers = dict(self.headers)
            received.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (as its base says)
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
            thread.join()
