"""The one health scheduler: a heap of due times, phases spread, bounded concurrency, a slow check delays nobody."""

import heapq
import itertools
import logging
import random
from collections import defaultdict
from datetime import timedelta

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from ostler.engine.instance import ServiceInstance
from ostler.engine.protocols import Clock

logger = logging.getLogger(__name__)

CONCURRENCY = 128
"""Checks under way at once over all servers."""

CONCURRENCY_PER_SERVER = 8
"""Checks under way at once on one downstream server; a hanging server holds no more than these."""


class HealthScheduler:
    """Checks every watched instance at its class's interval, from one task."""

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        *,
        concurrency: int = CONCURRENCY,
        per_server: int = CONCURRENCY_PER_SERVER,
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._concurrency = concurrency
        self._per_server = per_server
        self._heap: list[tuple[float, int, ServiceInstance, int]] = []
        self._epochs: dict[str, int] = {}
        self._counter = itertools.count()
        self._wake = anyio.Event()
        self.lateness: list[float] | None = None
        """Seconds between due and begun of each check, when somebody measures."""

    def __repr__(self) -> str:
        return f"HealthScheduler({len(self._epochs)} watched)"

    def watch(self, instance: ServiceInstance, *, spread: bool = False) -> None:
        """Begin (or begin anew) checking `instance`: after its initial delay, then at its interval.

        Args:
            instance: what to check; it is dropped by itself when it is not up any more.
            spread: put the first check at a random point of the interval, for many at once after a restart.
        """
        if not instance.checks_health:
            return
        settings = instance.service_class.config.health
        delay = settings.initial_delay + (self._rng.random() * settings.interval if spread else 0.0)
        epoch = self._epochs.get(instance.id, 0) + 1
        self._epochs[instance.id] = epoch
        self._push(instance, anyio.current_time() + delay, epoch)

    def forget(self, instance: ServiceInstance) -> None:
        """Stop checking `instance`."""
        self._epochs.pop(instance.id, None)
        instance.next_check_at = None

    async def run(self) -> None:
        """Check until cancelled."""
        limit = anyio.CapacityLimiter(self._concurrency)
        per_server: dict[str, anyio.CapacityLimiter] = defaultdict(lambda: anyio.CapacityLimiter(self._per_server))
        async with anyio.create_task_group() as group:
            while True:
                self._dispatch_due(group, limit, per_server)
                self._wake = anyio.Event()
                delay = self._heap[0][0] - anyio.current_time() if self._heap else None
                if delay is None:
                    await self._wake.wait()
                elif delay > 0:
                    with anyio.move_on_after(delay):
                        await self._wake.wait()
                else:
                    await anyio.lowlevel.checkpoint()

    def _dispatch_due(
        self, group: TaskGroup, limit: anyio.CapacityLimiter, per_server: dict[str, anyio.CapacityLimiter]
    ) -> None:
        now = anyio.current_time()
        while self._heap and self._heap[0][0] <= now:
            due, _, instance, epoch = heapq.heappop(self._heap)
            if self._epochs.get(instance.id) != epoch:
                continue
            if instance.removed or not instance.state.is_up:
                self.forget(instance)
                continue
            if self.lateness is not None:
                self.lateness.append(now - due)
            group.start_soon(self._check, instance, due, epoch, limit, per_server[_server(instance)])

    async def _check(
        self,
        instance: ServiceInstance,
        due: float,
        epoch: int,
        limit: anyio.CapacityLimiter,
        server_limit: anyio.CapacityLimiter,
    ) -> None:
        instance.next_check_at = None
        try:
            async with server_limit, limit:
                if self._epochs.get(instance.id) == epoch:
                    await instance.lifecycle.check_health()
        except Exception:  # boundary: a bug in one check must not end health checking
            logger.exception("health check of %r failed unexpectedly", instance.name)
        if self._epochs.get(instance.id) != epoch:
            return
        if instance.removed or not instance.state.is_up:
            self.forget(instance)
            return
        interval = instance.service_class.config.health.interval
        missed = max(int((anyio.current_time() - due) // interval), 0)
        self._push(instance, due + (missed + 1) * interval, epoch)

    def _push(self, instance: ServiceInstance, due: float, epoch: int) -> None:
        heapq.heappush(self._heap, (due, next(self._counter), instance, epoch))
        delay = max(due - anyio.current_time(), 0.0)
        instance.next_check_at = self._clock.now() + timedelta(seconds=delay)
        if self._heap[0][2] is instance:
            self._wake.set()


def _server(instance: ServiceInstance) -> str:
    tools = instance.service_class.tools
    call = tools.health_check or tools.status or tools.start
    return call.server
