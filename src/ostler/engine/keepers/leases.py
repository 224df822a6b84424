"""Leases: a service with a TTL is warned of before its end, then stopped by its pinned plan.

A lease runs by a clock that no one sets and that also runs while the machine sleeps. When the wall clock is set, the
end that is shown and stored moves with it, so that the remaining time stays the same.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TypeAlias

import anyio
from msgspec import Struct

from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.instances.runtime import Runtime
from ostler.model.durations import format_duration
from ostler.model.errors import ArgumentError, StoreError
from ostler.model.events import EventKind
from ostler.model.records import OperationKind

WARNING_SHARE = 0.1
"""The warning comes when this share of the lease is left, at most `WARNING_MAX` seconds before its end."""

WARNING_MAX = 300.0

LEASE_EXPIRED = "lease expired"
"""Reason of the stop operation."""

_CHECK_EVERY = 5.0
"""Seconds after which the clocks are read again in any case: one may have been set, or the machine slept."""

_CLOCK_STEP = 1.0
"""Seconds by which the wall clock must have moved on its own to count as set."""

_HELD_STEP = 60.0
_HELD_SHARE = 0.1
"""A lease that is held is set back when this share of it has passed, or so many seconds: few changes are stored."""

IsHeld: TypeAlias = Callable[[ServiceInstance], bool]
"""Whether the lease of a service is held at the moment."""

_RETRY_FIRST = 5.0
_RETRY_MAX = 300.0


class _Lease(Struct):
    """What was done about one instance's lease.

    Attributes:
        instance: whose it is.
        ends: the end, by the wall clock, that the rest is about.
        due: the same by `Clock.elapsed`.
        is_moved: the end moved, with the wall clock or as it was held, which is not stored yet.
        was_held: whether it did not run at the last look.
    """

    instance: ServiceInstance
    ends: datetime | None = None
    due: float = 0.0
    is_moved: bool = False
    was_held: bool = False
    is_warned: bool = False
    is_expired: bool = False
    attempts: int = 0
    next_attempt: float = 0.0


class LeaseKeeper:
    """Looks at every lease from one task."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._leases: dict[str, _Lease] = {}
        self._wake = anyio.Event()
        self._holders: Callable[[], IsHeld] = _nobody
        self._is_held = _nobody()

    def hold_where(self, holders: Callable[[], IsHeld]) -> None:
        """Pause the lease of a service while a client holds it, as the function that `holders` returns reports.

        `holders` is called once for each look at all leases.
        """
        self._holders = holders

    def look(self) -> None:
        """Look now whether leases are held: who holds them may be gone a moment later."""
        self._wake.set()

    def watch(self, instance: ServiceInstance) -> None:
        """Keep the lease of `instance`, when it has one."""
        if instance.record.lease_expires_at is not None:
            self._leases.setdefault(instance.id, _Lease(instance))
            self._wake.set()

    def forget(self, instance: ServiceInstance) -> None:
        """Drop a service that is gone."""
        self._leases.pop(instance.id, None)

    async def run(self) -> None:
        """Keep the leases until cancelled."""
        while True:
            self._wake = anyio.Event()
            leases = list(self._leases.values())
            self._is_held = self._holders()
            pause = min((self._keep(lease) for lease in leases), default=None)
            for lease in leases:
                if lease.is_moved:
                    lease.is_moved = False
                    with suppress(StoreError):  # it is stored with the next change
                        await lease.instance.commit()
            with anyio.move_on_after(None if pause is None else min(max(pause, 0.05), _CHECK_EVERY)):
                await self._wake.wait()

    async def renew(self, instance: ServiceInstance, lease: float | None) -> None:
        """Let the lease end `lease` seconds from now (None: its own length again); durable when this returns.

        Raises:
            ArgumentError: the length is not positive, or there is none.
        """
        length = instance.record.lease if lease is None else lease
        if length is None:
            raise ArgumentError(
                ["lease is required: the service has none yet"],
                service=instance.name,
                next_actions=("give a duration, such as 2h",),
            )
        if length <= 0:
            raise ArgumentError(["lease must be longer than 0s"], service=instance.name)
        self._let_end_in(instance, length)
        await instance.commit()
        self._runtime.events.append(
            EventKind.LEASE_RENEWED,
            instance.name,
            f"lease renewed for {format_duration(length)}",
            {"expiresAt": _text(instance.record.lease_expires_at)},
        )
        self.watch(instance)
        self._wake.set()

    def begin_again(self, instance: ServiceInstance) -> None:
        """Someone starts a service whose lease is over: it has its length again (durable with the start)."""
        ends, length = instance.record.lease_expires_at, instance.record.lease
        if ends is not None and length is not None and ends <= self._runtime.clock.now():
            self._let_end_in(instance, length)
            self._wake.set()

    def _let_end_in(self, instance: ServiceInstance, length: float) -> None:
        instance.set_record(lease=length, lease_expires_at=self._runtime.clock.now() + timedelta(seconds=length))

    def _keep(self, lease: _Lease) -> float:
        """Do what is due for one lease; return the seconds until something may be."""
        instance, ends = lease.instance, lease.instance.record.lease_expires_at
        if ends is None or instance.vitals.removed:
            return _CHECK_EVERY
        left = self._left(lease, ends)
        if not (instance.state.is_up or instance.is_wanted or (lease.is_expired and instance.record.has_leftover)):
            return _CHECK_EVERY
        if not lease.is_expired and self._is_due_again(lease, left):
            self._let_end_in(instance, instance.record.lease or 0.0)
            lease.is_moved = True
            left = self._left(lease, instance.record.lease_expires_at or ends)
        if left <= 0:
            return self._expire(lease)
        warn_before = min((instance.record.lease or 0.0) * WARNING_SHARE, WARNING_MAX)
        if left > warn_before:
            return left - warn_before
        if not lease.is_warned:
            lease.is_warned = True
            self._runtime.events.append(
                EventKind.LEASE_EXPIRING,
                instance.name,
                f"lease ends in {format_duration(round(left, 1))}; the service is stopped then, unless it is renewed",
                {"expiresAt": _text(instance.record.lease_expires_at)},
            )
        return left

    def _is_due_again(self, lease: _Lease, left: float) -> bool:
        """Whether a lease is set back: it is held and has run for a while, or it was held until now."""
        was_held, lease.was_held = lease.was_held, self._is_held(lease.instance)
        length = lease.instance.record.lease or 0.0
        return left < length - min(_HELD_STEP, length * _HELD_SHARE) if lease.was_held else was_held

    def _left(self, lease: _Lease, ends: datetime) -> float:
        """Return the seconds left of a lease that ends at `ends`, which moves with a wall clock that was set."""
        now, elapsed = self._runtime.clock.now(), self._runtime.clock.elapsed()
        shown = (ends - now).total_seconds()
        if lease.ends != ends:
            lease.ends, lease.due = ends, elapsed + shown
            lease.is_warned, lease.is_expired, lease.attempts = False, False, 0
        left = lease.due - elapsed
        if abs(shown - left) > _CLOCK_STEP:
            lease.ends = now + timedelta(seconds=left)
            lease.instance.set_record(lease_expires_at=lease.ends)
            lease.is_moved = True
        return left

    def _expire(self, lease: _Lease) -> float:
        """Stop the service; when that fails, again after a growing pause."""
        instance, now = lease.instance, anyio.current_time()
        if not lease.is_expired:
            lease.is_expired, lease.next_attempt = True, now
            self._runtime.events.append(EventKind.LEASE_EXPIRED, instance.name, "lease ended; stopping")
        operation = instance.operation
        if operation is not None and operation.kind.takes_down:
            return _CHECK_EVERY
        if now >= lease.next_attempt:
            instance.request(OperationKind.STOP, reason=LEASE_EXPIRED)
            lease.next_attempt = now + min(_RETRY_FIRST * 2**lease.attempts, _RETRY_MAX)
            lease.attempts = min(lease.attempts + 1, 16)
        return lease.next_attempt - now


def _nobody() -> IsHeld:
    """No one holds a lease."""
    return lambda _: False


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds")
