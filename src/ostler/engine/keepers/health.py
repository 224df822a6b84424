"""The one health scheduler: a heap of due times, phases spread, bounded concurrency, a slow check delays no one."""

import heapq
import itertools
import logging
import math
import random
import zlib
from collections import defaultdict
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import timedelta

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from msgspec import Struct

from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.protocols import Clock, Observer, RemoteChecks

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
"""Fraction of an interval by which rounding may move a due time."""


class _Limits(Struct, frozen=True):
    """How many may check at the same time."""

    overall: anyio.CapacityLimiter
    per_server: Mapping[str, anyio.CapacityLimiter]


class _Group(Struct, eq=False):
    """Instances whose checks share a call, and are due together at times that depend on it."""

    key: str
    interval: float
    server: str
    members: dict[str, tuple[ServiceInstance, int]] = {}
    is_under_way: bool = False

    def next_due(self, now: float) -> float:
        """Return the group's first point of time after `now`."""
        phase = zlib.crc32(self.key.encode()) / 2**32 * self.interval
        return (math.floor((now - phase) / self.interval + _SLACK) + 1) * self.interval + phase


class HealthScheduler:
    """Checks every watched instance at its class's interval, from one task.

    Instances whose checks share a call (`batch`) are checked together by one task; the others are spread over their
    interval, so that services that were started together are not checked together forever.
    """

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        *,
        concurrency: int,
        observer: Observer | None,
    ) -> None:
        self.others: RemoteChecks | None = None
        """Servers that may ask for this one whether services are well."""
        self._clock = clock
        self._observer = observer
        self._rng = rng
        self._concurrency = concurrency
        self._heap: list[tuple[float, int, ServiceInstance | _Group, int]] = []
        self._epochs: dict[str, int] = {}
        """Which of its watches is the current one, by instance; a number is never used again."""
        self._bunched: set[str] = set()
        """Ids of instances whose first check was not put at a point of its own yet."""
        self._groups: dict[tuple[str, float], _Group] = {}
        self._counter = itertools.count()
        self._wake = anyio.Event()

    def __repr__(self) -> str:
        return f"HealthScheduler({len(self._epochs)} watched)"

    def watch(self, instance: ServiceInstance, *, spread: bool = False) -> None:
        """Begin checking `instance` (again): when its initial delay is over, then at its interval.

        Args:
            instance: what to check; it is dropped automatically when it is no longer up.
            spread: put the first check at a random point of the interval, for many at once after a restart.
        """
        if not instance.checks_health:
            return
        settings = instance.service_class.config.health
        delay = self._initial_delay(instance) + (self._rng.random() * settings.interval if spread else 0.0)
        epoch = self._epochs[instance.id] = next(self._counter)
        if not spread:
            self._bunched.add(instance.id)
        due = anyio.current_time() + delay
        self._push(instance, due, epoch)
        self._show_next(instance, due)

    def _initial_delay(self, instance: ServiceInstance) -> float:
        """Return what is left of the initial delay, which counts from the start, maybe in an earlier run of Ostler."""
        delay, came_up = instance.service_class.config.health_rules.initial_delay, instance.record.outputs_at
        if not delay or came_up is None:
            return delay
        return min(delay, max(0.0, delay - (self._clock.now() - came_up).total_seconds()))

    def hasten(self, instance: ServiceInstance, within: float) -> None:
        """Move the next check of `instance` to a random time within that many seconds.

        What is checked together with others is left to their round.
        """
        if instance.id not in self._epochs or instance.health_check.shared_key() is not None:
            return
        epoch = self._epochs[instance.id] = next(self._counter)
        self._bunched.add(instance.id)
        due = anyio.current_time() + self._rng.random() * within
        self._push(instance, due, epoch)
        self._show_next(instance, due)

    def forget(self, instance: ServiceInstance) -> None:
        """Stop checking `instance`."""
        self._epochs.pop(instance.id, None)
        self._bunched.discard(instance.id)
        instance.set_vitals(next_check_at=None)

    async def run(self) -> None:
        """Check until cancelled."""
        servers: dict[str, anyio.CapacityLimiter] = defaultdict(lambda: anyio.CapacityLimiter(CONCURRENCY_PER_SERVER))
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

    def _dispatch_due(self, tasks: TaskGroup, limits: _Limits) -> None:
        now = anyio.current_time()
        for _ in range(_DISPATCHED_AT_ONCE):
            if not self._heap or self._heap[0][0] > now:
                return
            due, _, target, epoch = heapq.heappop(self._heap)
            if isinstance(target, _Group):
                self._dispatch_group(target, due, tasks, limits)
            elif self._epochs.get(target.id) == epoch and not self._drop_when_down(target):
                target.set_vitals(next_check_at=None)
                tasks.start_soon(self._check, target, due, epoch, limits)

    def _dispatch_group(self, group: _Group, due: float, tasks: TaskGroup, limits: _Limits) -> None:
        if not group.members:
            self._groups.pop((group.key, group.interval), None)
            return
        self._push(group, group.next_due(anyio.current_time()), 0)
        if not group.is_under_way:  # else the server is slower than the interval: this round is left out
            group.is_under_way = True
            tasks.start_soon(self._check_together, group, due, limits)

    async def _check(self, instance: ServiceInstance, due: float, epoch: int, limits: _Limits) -> None:
        async with limits.per_server[_server(instance)], limits.overall:
            if self._epochs.get(instance.id) == epoch:
                await self._check_one(instance, due, late=anyio.current_time() - due)
        self._check_again(instance, due, epoch)

    async def _check_together(self, group: _Group, due: float, limits: _Limits) -> None:
        """Check the members of a group: the first one's check makes the call, the others find its answer there."""
        try:
            async with limits.per_server[group.server], limits.overall:
                begun = anyio.current_time()
                for position, (instance, epoch) in enumerate(list(group.members.values()), 1):
                    if self._epochs.get(instance.id) != epoch or self._drop_when_down(instance):
                        del group.members[instance.id]
                        continue
                    await self._check_one(instance, begun, late=begun - due)
                    self._check_again(instance, due, epoch, group)
                    if position % _JUDGED_AT_ONCE == 0:
                        await anyio.lowlevel.checkpoint()
        finally:
            group.is_under_way = False

    async def _check_one(self, instance: ServiceInstance, not_before: float, *, late: float) -> None:
        """Check `instance`, `late` seconds after it was due, limits included."""
        try:
            with nullcontext() if self._observer is None else self._observer.check(instance.name, late):
                await instance.health_check.run(not_before=not_before, others=self.others)
        except Exception:  # boundary: a bug in one check must not end health checking
            logger.exception("health check of %r failed unexpectedly", instance.name)

    def _check_again(self, instance: ServiceInstance, due: float, epoch: int, group: _Group | None = None) -> None:
        """Schedule the next check, in the group that the instance belongs to now or on its own."""
        if self._epochs.get(instance.id) != epoch or self._drop_when_down(instance):
            if group is not None:
                group.members.pop(instance.id, None)
            return
        interval = instance.service_class.config.health_rules.interval
        now = anyio.current_time()
        key = instance.health_check.shared_key()
        if group is not None and key != group.key:
            group.members.pop(instance.id, None)
        if key is not None:
            next_due = self._join(instance, key, interval, epoch, now)
        else:
            if instance.id in self._bunched:
                next_due = now + interval * (0.5 + self._rng.random() / 2)
            else:
                next_due = due + (max(int((now - due) // interval), 0) + 1) * interval
            self._push(instance, next_due, epoch)
        self._bunched.discard(instance.id)
        self._show_next(instance, next_due)

    def _join(self, instance: ServiceInstance, key: str, interval: float, epoch: int, now: float) -> float:
        """Put the instance into the group of `key`; return when that is due next."""
        group = self._groups.get((key, interval))
        if group is None:
            group = self._groups[key, interval] = _Group(key, interval, _server(instance))
            self._push(group, group.next_due(now), 0)
        group.members[instance.id] = instance, epoch
        return group.next_due(now)

    def _drop_when_down(self, instance: ServiceInstance) -> bool:
        if instance.vitals.removed or not instance.state.is_up:
            self.forget(instance)
            return True
        return False

    def _show_next(self, instance: ServiceInstance, due: float) -> None:
        left = max(due - anyio.current_time(), 0.0)
        instance.set_vitals(next_check_at=self._clock.now() + timedelta(seconds=left))

    def _push(self, target: ServiceInstance | _Group, due: float, epoch: int) -> None:
        heapq.heappush(self._heap, (due, next(self._counter), target, epoch))
        if self._heap[0][2] is target:
            self._wake.set()


def _server(instance: ServiceInstance) -> str:
    tools = instance.service_class.tools
    call = tools.health_check or tools.status or tools.start
    return call.server
