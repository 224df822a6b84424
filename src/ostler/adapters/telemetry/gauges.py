"""What is read when metrics are collected: the services and the downstream servers as they are then."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

from ostler.adapters.downstream.pool import DownstreamPool
from ostler.adapters.downstream.snapshots import ConnectionSnapshot
from ostler.adapters.telemetry.call_spans import way_to
from ostler.adapters.telemetry.instruments import SERVERS, SERVICES
from ostler.engine.manager import ServiceManager
from ostler.model.errors import NotFoundError
from ostler.model.states import ServiceState

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue


class Gauges:
    """Shows what there is, until it is closed: an exporter's thread may ask at any time."""

    def __init__(self, meter: Meter, manager: ServiceManager, pool: DownstreamPool) -> None:
        self._manager = manager
        self._pool = pool
        self._is_open = True
        meter.create_observable_gauge(SERVICES.name, [self._services], SERVICES.unit, SERVICES.meaning)
        meter.create_observable_gauge(SERVERS.name, [self._servers], SERVERS.unit, SERVERS.meaning)

    def __repr__(self) -> str:
        return f"Gauges({self._manager!r})"

    def close(self) -> None:
        """Show nothing any more."""
        self._is_open = False

    def _services(self, options: CallbackOptions) -> Iterable[Observation]:
        del options
        if not self._is_open:
            return
        found = Counter(
            (service.state.value, service.health.value, service.service_type)
            for service in self._manager.registry.get_all()
        )
        for (state, health, kind), count in found.items():
            facts = {"ostler.service.state": state, "ostler.service.health": health, "ostler.service.type": kind}
            yield Observation(count, facts)

    def _servers(self, options: CallbackOptions) -> Iterable[Observation]:
        del options
        if not self._is_open:
            return
        for name in self._pool.names():
            try:
                state = self._pool.snapshot(name).state
            except NotFoundError:  # removed meanwhile
                continue
            yield Observation(1, {"ostler.server.name": name, "ostler.server.state": state.value})


def follow_sessions(pool: DownstreamPool, sessions: Histogram) -> Callable[[], None]:
    """Record how long each connection to a downstream server lasts; returns what ends that."""
    since: dict[str, float] = {}
    version: dict[str, str] = {}

    def changed(snapshot: ConnectionSnapshot) -> None:
        name = snapshot.name
        if snapshot.connected:
            since.setdefault(name, time.perf_counter())
            version[name] = snapshot.protocol_version
            return
        began = since.pop(name, None)
        if began is None:
            return
        facts: dict[str, AttributeValue] = {"ostler.server.name": name, "mcp.protocol.version": version.pop(name, "")}
        if snapshot.state not in (ServiceState.STOPPED, ServiceState.STOPPING):
            facts["error.type"] = snapshot.state.value
        with suppress(NotFoundError):  # its entry was removed
            facts |= way_to(pool.entry(name))
        sessions.record(time.perf_counter() - began, facts)

    for name in pool.names():
        changed(pool.snapshot(name))
    return pool.on_snapshot(changed)
