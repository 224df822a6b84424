"""OpenTelemetry's SDK with the exporters that are wanted; its variables say the rest: sampler, headers, intervals."""

import importlib
import logging
import os
import sys
import uuid
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread
from msgspec import Struct
from opentelemetry import metrics, trace

from ostler.adapters.extras import how_to_install
from ostler.adapters.telemetry.silent import Scrape
from ostler.adapters.telemetry.wanted import CONSOLE, OTLP, PROMETHEUS, Wanted
from ostler.model.web_addresses import is_local

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_CLOSE_TIMEOUT: Final = 3.0
"""Seconds for the last export; a receiver that is away must not hold the server up."""

_DEFAULT: Final = "http://localhost:4318"
"""Where OTLP over HTTP goes if nothing says where."""

_MISSING: Final = "telemetry is configured, and a package that it needs is missing"

logger = logging.getLogger(__name__)


class Exports(Struct):
    """What was set up.

    Attributes:
        scrape: returns the metrics for Prometheus.
        findings: what could not be set up, in words.
        closing: what to call at the end, in threads.
    """

    scrape: Callable[[], Scrape] | None
    findings: list[str]
    closing: list[Callable[[], object]]


@asynccontextmanager
async def exporting(wanted: Wanted, *, version: str) -> AsyncGenerator[Exports]:
    """Set OpenTelemetry up for this process; what cannot be set up is a finding, and no reason not to serve."""
    exports = Exports(None, [], [])
    with _noted(exports):
        _set_up(wanted, version, exports)
    try:
        yield exports
    finally:
        with anyio.CancelScope(shield=True):
            for close in exports.closing:
                with anyio.move_on_after(_CLOSE_TIMEOUT) as limit:
                    await anyio.to_thread.run_sync(close, abandon_on_cancel=True)
                if limit.cancelled_caught:
                    logger.warning("the last telemetry was not exported within %g s", _CLOSE_TIMEOUT)


def _set_up(wanted: Wanted, version: str, exports: Exports) -> None:
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 (only of the extra)
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    own = {"service.name": "ostler", "service.version": version, "service.instance.id": str(uuid.uuid4())}
    resource = Resource.create(own).merge(OTELResourceDetector().detect())
    if spans := _made([partial(_span_exporter, name, wanted) for name in wanted.traces], exports):
        with _noted(exports):
            tracing = TracerProvider(resource=resource, shutdown_on_exit=False)
            for exporter in spans:
                tracing.add_span_processor(BatchSpanProcessor(exporter))
            trace.set_tracer_provider(tracing)
            exports.closing.append(tracing.shutdown)
    if readers := _made([partial(_reader, name, wanted, exports) for name in wanted.metrics], exports):
        with _noted(exports):
            metering = MeterProvider(readers, resource, shutdown_on_exit=False)
            metrics.set_meter_provider(metering)
            exports.closing.append(metering.shutdown)


@contextmanager
def _noted(exports: Exports) -> Generator[None]:
    """Let a missing package and a wrong variable end the block, and be findings."""
    try:
        yield
    except ImportError as error:
        exports.findings.append(f"{_MISSING} ({error}). Next: {how_to_install('telemetry')}")
    except ValueError as error:
        exports.findings.append(f"telemetry cannot be set up: {' '.join(str(error).split())}")


def _made(parts: Sequence[Callable[[], Any]], exports: Exports) -> list[Any]:
    """Return what `parts` make; what cannot be made is a finding."""
    made: list[Any] = []
    for make in parts:
        with _noted(exports):
            made.append(make())
    return made


def _span_exporter(name: str, wanted: Wanted) -> Any:
    if name == CONSOLE:
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter  # noqa: PLC0415

        return ConsoleSpanExporter(out=sys.stderr)
    made = _otlp("TRACES", "trace_exporter", "OTLPSpanExporter")
    return made(**_endpoint(wanted, "TRACES", "v1/traces"), **_past_proxies(wanted, "TRACES"))


def _reader(name: str, wanted: Wanted, exports: Exports) -> Any:
    if name == PROMETHEUS:
        from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415
        from prometheus_client import CollectorRegistry, ProcessCollector  # noqa: PLC0415

        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        exports.scrape = partial(_scrape, registry)
        return PrometheusMetricReader(registry=registry)
    from opentelemetry.sdk.metrics.export import (  # noqa: PLC0415
        ConsoleMetricExporter,
        PeriodicExportingMetricReader,
    )

    if name == CONSOLE:
        return PeriodicExportingMetricReader(ConsoleMetricExporter(out=sys.stderr))
    made = _otlp("METRICS", "metric_exporter", "OTLPMetricExporter")
    return PeriodicExportingMetricReader(
        made(**_endpoint(wanted, "METRICS", "v1/metrics"), **_past_proxies(wanted, "METRICS"))
    )


def _otlp(signal: str, module: str, name: str) -> Callable[..., Any]:
    """Return the class of an OTLP exporter, by the protocol that the variables choose: HTTP, unless they say gRPC."""
    protocol = _protocol(signal)
    if protocol not in ("http/protobuf", "grpc"):
        raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}; known are 'http/protobuf' and 'grpc'")
    form = "grpc" if protocol == "grpc" else "http"
    try:
        found = importlib.import_module(f"opentelemetry.exporter.{OTLP}.proto.{form}.{module}")
    except ImportError as error:
        if form == "grpc":
            raise ValueError("OTLP over gRPC needs the package opentelemetry-exporter-otlp-proto-grpc") from error
        raise
    return getattr(found, name)


def _endpoint(wanted: Wanted, signal: str, path: str) -> dict[str, str]:
    """Return where to send, if the settings say it: over HTTP each kind of data has a path of its own."""
    if not wanted.endpoint:
        return {}
    base = wanted.endpoint.rstrip("/")
    return {"endpoint": base if _protocol(signal) == "grpc" else f"{base}/{path}"}


def _past_proxies(wanted: Wanted, signal: str) -> dict[str, Any]:
    """Return what keeps HTTP_PROXY and the like from being asked for a receiver on this machine."""
    if not is_local(wanted.endpoint or _variable(signal, "ENDPOINT") or _DEFAULT):
        return {}
    if _protocol(signal) == "grpc":
        return {"channel_options": (("grpc.enable_http_proxy", 0),)}
    session = importlib.import_module("requests").Session()
    session.trust_env = False
    return {"session": session}


def _protocol(signal: str) -> str:
    return _variable(signal, "PROTOCOL") or "http/protobuf"


def _variable(signal: str, name: str) -> str:
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_{name}")
    return own or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}", "")


def _scrape(registry: "CollectorRegistry") -> Scrape:
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest  # noqa: PLC0415

    return Scrape(CONTENT_TYPE_LATEST, generate_latest(registry))
