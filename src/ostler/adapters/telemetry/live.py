"""What follows an application: the parts of this package over one tracer and one meter."""

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Final

from opentelemetry import metrics, trace

from ostler.adapters.downstream.pool import DownstreamPool
from ostler.adapters.telemetry.call_spans import ObservedTools
from ostler.adapters.telemetry.commits import ObservedStore
from ostler.adapters.telemetry.gauges import Gauges, follow_sessions
from ostler.adapters.telemetry.instruments import Instruments
from ostler.adapters.telemetry.operation_spans import OperationObserver
from ostler.adapters.telemetry.requests import RequestMeasurement
from ostler.adapters.telemetry.silent import Telemetry
from ostler.adapters.telemetry.wanted import Wanted, is_set_up
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import Store, ToolProvider
from ostler.model.events import EventKind

if TYPE_CHECKING:
    from ostler.adapters.telemetry.exporting import Exports

logger = logging.getLogger(__name__)

SCOPE: Final = "ostler"
"""The name of the instrumentation scope of all that Ostler itself emits."""


class LiveTelemetry(Telemetry):
    """Follows everything."""

    def __init__(
        self, wanted: Wanted, *, version: str, tools: frozenset[str], system: str, exports: "Exports | None" = None
    ) -> None:
        self._tracer = trace.get_tracer(SCOPE, version)
        self._meter = metrics.get_meter(SCOPE, version)
        self._instruments = Instruments.of(self._meter)
        self._system = system
        self._closing: list[Callable[[], None]] = []
        checks = wanted.checks or not is_set_up(trace.get_tracer_provider())  # else there is nothing to keep out
        self.observer = OperationObserver(self._tracer, self._instruments, checks=checks)
        self.middleware = (RequestMeasurement(self._instruments.served, tools),)
        self._findings = wanted.unknown
        if exports is not None:
            self._findings = (*wanted.unknown, *exports.findings)
            self.scrape = exports.scrape

    def tools(self, pool: DownstreamPool) -> ToolProvider:
        """Return the pool with a span and a measurement of each call."""
        return ObservedTools(pool, self._tracer, self._instruments)

    def store(self, store: Store) -> Store:
        """Return the store with a measurement of each commit."""
        return ObservedStore(store, self._instruments.commits, system=self._system)

    def follow(self, manager: ServiceManager, pool: DownstreamPool) -> None:
        """Show what there is in the gauges, and measure connections, until `close`; report what cannot be done."""
        for finding in self._findings:
            logger.warning("%s", finding)
            manager.events.append(EventKind.WARNING, message=finding)
        gauges = Gauges(self._meter, manager, pool)
        self._closing += [gauges.close, follow_sessions(pool, self._instruments.sessions)]

    def close(self) -> None:
        """Follow nothing any more."""
        while self._closing:
            self._closing.pop()()


@asynccontextmanager
async def open_live(
    wanted: Wanted, *, version: str, tools: frozenset[str], system: str = "sqlite"
) -> AsyncGenerator[Telemetry]:
    """Set up the exporters that are wanted, and follow an application; see `switch.open_telemetry`."""
    async with _exports(wanted, version) as exports:
        telemetry = LiveTelemetry(wanted, version=version, tools=tools, system=system, exports=exports)
        try:
            yield telemetry
        finally:
            telemetry.close()


def _exports(wanted: Wanted, version: str) -> AbstractAsyncContextManager["Exports | None"]:
    if not (wanted.traces or wanted.metrics):
        return nullcontext()
    from ostler.adapters.telemetry.exporting import exporting  # noqa: PLC0415 (loads OpenTelemetry's SDK)

    return exporting(wanted, version=version)
