"""Leases: a service with a TTL is warned of before its end, then stopped by its pinned plan."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import anyio

from ostler.engine.instance import ServiceInstance
from ostler.engine.runtime import Runtime
from ostler.model.durations import format_duration
from ostler.model.events import EventKind
from ostler.model.records import OperationKind

WARNING_SHARE = 0.1
"""The warning comes when this share of the lease is left, at most `WARNING_MAX` seconds before its end."""

WARNING_MAX = 300.0
_CHECK_EVERY = 5.0


class LeaseKeeper:
    """Looks at every lease from one task."""

    def __init__(self, runtime: Runtime, instances: Callable[[], Sequence[ServiceInstance]]) -> None:
        self._runtime = runtime
        self._instances = instances
        self._warned: dict[str, object] = {}

    async def run(self) -> None:
        """Keep the leases until cancelled."""
        while True:
            nearest = self._keep()
            await anyio.sleep(min(max(nearest, 0.05), _CHECK_EVERY))

    async def renew(self, instance: ServiceInstance, lease: float) -> None:
        """Let the lease end `lease` seconds from now; durable when this returns."""
        ends = self._runtime.clock.now() + timedelta(seconds=lease)
        instance.set_record(lease=lease, lease_expires_at=ends)
        await instance.commit()
        self._runtime.events.append(
            EventKind.LEASE_RENEWED, instance.name, f"lease renewed until {ends.isoformat(timespec='seconds')}"
        )

    def _keep(self) -> float:
        now = self._runtime.clock.now()
        nearest = _CHECK_EVERY
        for instance in self._instances():
            ends = instance.record.lease_expires_at
            if ends is None or instance.removed or not (instance.state.is_up or instance.is_wanted):
                continue
            left = (ends - now).total_seconds()
            if left <= 0:
                self._expire(instance)
                continue
            warn_before = min((instance.record.lease or 0.0) * WARNING_SHARE, WARNING_MAX)
            if left <= warn_before and self._warned.get(instance.id) != ends:
                self._warned[instance.id] = ends
                self._runtime.events.append(
                    EventKind.LEASE_EXPIRING,
                    instance.name,
                    f"lease ends in {format_duration(round(left, 1))}; the service is stopped then",
                    {"expiresAt": ends.isoformat()},
                )
            nearest = min(nearest, left, left - warn_before if left > warn_before else left)
        return nearest

    def _expire(self, instance: ServiceInstance) -> None:
        operation = instance.operation
        if operation is not None and operation.kind in (OperationKind.STOP, OperationKind.DELETE):
            return
        self._runtime.events.append(EventKind.LEASE_EXPIRED, instance.name, "lease ended; stopping")
        instance.request(OperationKind.STOP, reason="lease expired")
