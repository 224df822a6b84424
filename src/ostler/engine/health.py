"""The one health scheduler: a heap of due times, phases spread, bounded concurrency, a slow check delays nobody."""

import heapq
import itertools
import logging
import math
import random
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

_DISPATCHED_AT_ONCE = 50
"""Checks begun before others may run."""

_JUDGED_AT_ONCE = 20
"""Services judged by a shared answer before others may run."""

_SLACK = 1e-6
"""Share of an interval by which a due time may be missed through rounding."""


@dataclass(frozen=True, slots=True)
class _Limits:
    """Who may check at the same time."""

    overall: anyio.CapacityLimiter
    per_server: Mapping[str, anyio.CapacityLimiter]


class HealthScheduler:
    """Checks every watched instance at its class's interval, from one task.

    Instances whose checks share a call (`batch`) are due together and are one task; the others are spread over
    their interval, so that services that were started together are not checked together for ever.
    """

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
        self._bunched: set[str] = set()
        """Ids of instances whose first check was not put at a point of its own yet."""
        self._counter = itertools.count()
        self._wake = anyio.Event()
        self.lateness: list[float] | None = None
        """Seconds between due and begun (limits included) of each check, when somebody measures."""

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
        if not spread:
            self._bunched.add(instance.id)
        self._push(instance, anyio.current_time() + delay, epoch)

    def forget(self, instance: ServiceInstance) -> None:
        """Stop checking `instance`."""
        self._epochs.pop(instance.id, None)
        self._bunched.discard(instance.id)
        instance.next_check_at = None

    async def run(self) -> None:
        """Check until cancelled."""
        servers: dict[str, anyio.CapacityLimiter] = defaultdict(lambda: anyio.CapacityLimiter(self._per_server))
        limits = _Limits(anyio.CapacityLimiter(self._concurrency), servers)
        async with anyio.create_task_group() as group:
            while True:
                self._dispatch_due(group, limits)
                self._wake = anyio.Event()
                delay = self._heap[0][0] - anyio.current_time() if self._heap else None
                if delay is None:
                    await self._wake.wait()
                elif delay > 0:
                    with anyio.move_on_after(delay):
                        await self._wake.wait()
                else:
                    await anyio.lowlevel.checkpoint()

    def _dispatch_due(self, group: TaskGroup, limits: _Limits) -> None:
        now = anyio.current_time()
        shared: dict[str, list[tuple[ServiceInstance, float, int]]] = {}
        count = 0
        while self._heap and self._heap[0][0] <= now and count < _DISPATCHED_AT_ONCE:
            due, _, instance, epoch = heapq.heappop(self._heap)
            if self._epochs.get(instance.id) != epoch:
                continue
            if instance.removed or not instance.state.is_up:
                self.forget(instance)
                continue
            instance.next_check_at = None
            key = instance.lifecycle.batch_key()
            if key is not None:
                shared.setdefault(key, []).append((instance, due, epoch))
                continue
            count += 1
            group.start_soon(self._check, instance, due, epoch, limits)
        for members in shared.values():
            group.start_soon(self._check_together, members, limits)

    async def _check(self, instance: ServiceInstance, due: float, epoch: int, limits: _Limits) -> None:
        async with limits.per_server[_server(instance)], limits.overall:
            self._note_begun(due)
            if self._epochs.get(instance.id) == epoch:
                await self._check_one(instance, None)
        self._check_again(instance, due, epoch)

    async def _check_together(self, members: Sequence[tuple[ServiceInstance, float, int]], limits: _Limits) -> None:
        """Check instances that share a call: the first one's check makes it, the others find its answer there."""
        async with limits.per_server[_server(members[0][0])], limits.overall:
            begun = anyio.current_time()
            for position, (instance, due, epoch) in enumerate(members):
                if self.lateness is not None:
                    self.lateness.append(begun - due)
                if self._epochs.get(instance.id) == epoch:
                    await self._check_one(instance, begun)
                self._check_again(instance, due, epoch)
                if position % _JUDGED_AT_ONCE == _JUDGED_AT_ONCE - 1:
                    await anyio.lowlevel.checkpoint()

    def _note_begun(self, due: float) -> None:
        if self.lateness is not None:
            self.lateness.append(anyio.current_time() - due)

    @staticmethod
    async def _check_one(instance: ServiceInstance, not_before: float | None) -> None:
        try:
            await instance.lifecycle.check_health(not_before=not_before)
        except Exception:  # boundary: a bug in one check must not end health checking
            logger.exception("health check of %r failed unexpectedly", instance.name)

    def _check_again(self, instance: ServiceInstance, due: float, epoch: int) -> None:
        if self._epochs.get(instance.id) != epoch:
            return
        if instance.removed or not instance.state.is_up:
            self.forget(instance)
            return
        interval = instance.service_class.config.health.interval
        now = anyio.current_time()
        key = instance.lifecycle.batch_key()
        if key is not None:  # all that share a call are due at the same points of time
            phase = zlib.crc32(key.encode()) / 2**32 * interval
            next_due = (math.floor((now - phase) / interval + _SLACK) + 1) * interval + phase
        elif instance.id in self._bunched:
            next_due = now + interval * (0.5 + self._rng.random() / 2)
        else:
            next_due = due + (max(int((now - due) // interval), 0) + 1) * interval
        self._bunched.discard(instance.id)
        self._push(instance, next_due, epoch)

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
