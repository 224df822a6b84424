"""The event log: cursors, filters, retention of all and of each service, and what is told about what is gone."""

import gc
import math
import sys
import zlib
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.world import World, manifest

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.events.history import AllEvents
from ostler.engine.events.log import EventLog
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.manager import ServiceManager
from ostler.engine.services.views import CreateRequest
from ostler.model.events import Event, EventKind

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Ticking:
    """A clock that goes on by some microseconds each time."""

    def __init__(self) -> None:
        self.count = 0

    def now(self) -> datetime:
        self.count += 1
        return NOW + timedelta(microseconds=7 * self.count)

    def elapsed(self) -> float:
        return self.count * 7e-6


def log(max_per_service: int = 50, max_events: int = 10_000) -> EventLog:
    return EventLog(Ticking(), max_per_service=max_per_service, max_events=max_events)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(list(EventKind)), st.text(max_size=5)), max_size=150),
    st.integers(1, 40),
    st.integers(1, 60),
    st.integers(0, 150),
)
def test_reading_gives_what_a_plain_list_would(
    facts: list[tuple[str, EventKind, str]], per_service: int, overall: int, since: int
) -> None:
    events = log(max_per_service=per_service, max_events=overall)
    kept: list[Event] = [
        events.append(kind, service, text, {"n": number, "text": text})
        for number, (service, kind, text) in enumerate(facts)
    ]
    page = events.read(since=since, limit=1000)
    expected = [event for event in kept[-overall:] if event.cursor > since] if since <= len(kept) else kept[-overall:]
    assert list(page.events) == expected
    assert page.next_cursor == len(kept)
    assert page.dropped == (since > len(kept) or since < max(0, len(kept) - overall))
    for service in "abc":
        own = _of_one_life([event for event in kept if event.service == service], overall)
        page = events.read(service=service, limit=1000)
        if page.events or own[-1:] != kept[-1:]:
            assert list(page.events) in (own[-per_service:], [])
            assert page.dropped == (len(page.events) < len(own)) or not page.events


@given(
    st.lists(st.integers(1, 3), min_size=100, max_size=300),
    st.integers(1, 120),
    st.integers(1, 30),
    st.integers(0, 320),
)
def test_events_of_all_services_are_those_of_a_plain_list(
    steps: list[int], limit: int, unpacked: int, since: int
) -> None:
    """Whether packed or not, with gaps between their cursors or without."""
    held, kept, cursor = AllEvents(limit, unpacked=unpacked), list[Event](), 0
    for step in steps:
        cursor += step
        at = NOW + timedelta(microseconds=7 * cursor)
        kept.append(Event(cursor, at, EventKind.WARNING, f"s{cursor % 3}", f"é{cursor}", {"n": cursor}))
        dropped = kept.pop(0).cursor if len(kept) > limit else 0
        assert held.add(kept[-1]) == dropped
    assert len(held) == len(kept)
    assert list(held.after(since)) == [event for event in kept if event.cursor > since]
    assert list(held.newest_first()) == kept[::-1]


@pytest.mark.parametrize("odd", [None, math.inf, "\ud83d", 1 << 70, 1e300, [True, {"": 0.1}]])
def test_what_writers_of_json_lose_or_refuse_is_kept_by_packed_events(odd: object) -> None:
    held = AllEvents(1_000, unpacked=0)
    kept = [Event(cursor, NOW, EventKind.WARNING, "s", "text", {"odd": odd}) for cursor in range(1, 129)]
    for event in kept:
        held.add(event)
    assert list(held.after(0)) == kept


@pytest.mark.parametrize("services", [4, 1_000])
def test_older_events_are_held_packed(services: int) -> None:
    events = log()
    gc.collect()
    others = {id(value) for value in gc.get_objects() if isinstance(value, Event)}
    for number in range(5_000):
        name = f"s{number * services // 5_000}"  # each service in its turn, as when many are started
        events.append(EventKind.TOOL_CALLED, name, f"attempt {number}", {"tool": "a/b", "seconds": number})
    assert sum(isinstance(value, Event) and id(value) not in others for value in gc.get_objects()) < 1_400
    latest = events.read(kinds=[EventKind.TOOL_CALLED], limit=2, newest=True)
    assert [event.message for event in latest.events] == ["attempt 4998", "attempt 4999"]
    assert not latest.truncated
    assert [event.message for event in events.read(since=7, limit=2).events] == ["attempt 7", "attempt 8"]
    last = events.read(service=f"s{services - 1}", limit=2, newest=True)
    assert [event.cursor for event in last.events] == [4_999, 5_000]
    first = events.read(service="s0", limit=2)
    assert [event.message for event in first.events] == [
        f"attempt {max(0, 5_000 // services - 50) + at}" for at in (0, 1)
    ]


def _of_one_life(events: list[Event], overall: int) -> list[Event]:
    """Leave out what a deleted service of the name did, if the log forgot it before the name was used again."""
    begins = 0
    for number, (event, following) in enumerate(pairwise(events), 1):
        if event.kind is EventKind.SERVICE_DELETED and following.cursor > event.cursor + overall:
            begins = number
    return events[begins:]


def test_pages_go_on_where_the_last_one_ended() -> None:
    events = log()
    for number in range(45):
        events.append(EventKind.WARNING, "a", str(number))
    seen: list[str] = []
    cursor, rounds = 0, 0
    while True:
        page = events.read(since=cursor, service="a", limit=10)
        seen += [event.message for event in page.events]
        cursor, rounds = page.next_cursor, rounds + 1
        if not page.truncated:
            break
    assert seen == [str(number) for number in range(45)]
    assert rounds == 5


def test_a_noisy_service_pushes_out_nothing_of_the_others() -> None:
    events = log(max_per_service=50, max_events=100)
    events.append(EventKind.WARNING, "quiet", "kept")
    for number in range(1000):
        events.append(EventKind.WARNING, "noisy", str(number))
    page = events.read(service="quiet")
    assert [event.message for event in page.events] == ["kept"]
    assert not page.dropped
    assert events.read(since=1).dropped
    assert len(events.read(service="noisy", limit=1000).events) == 50


def test_an_event_of_a_service_with_many_opens_none_of_the_older_ones() -> None:
    """They are kept packed. To open them for each event took 100 µs of its 115."""
    events = log(max_per_service=50)
    opened = 0

    def count(frame: object, happened: str, called: object) -> None:
        nonlocal opened
        del frame
        opened += happened == "c_call" and called is zlib.decompress

    sys.setprofile(count)
    try:
        for number in range(400):
            events.append(EventKind.WARNING, "noisy", f"attempt {number}")
    finally:
        sys.setprofile(None)
    assert opened < 400 // 8
    page = events.read(service="noisy", since=350, limit=1)
    assert (page.events[0].message, page.dropped) == ("attempt 350", False)
    assert events.read(service="noisy", since=349).dropped


def test_what_a_deleted_service_did_is_forgotten_with_its_deletion() -> None:
    events = log(max_per_service=50, max_events=100)
    for number in range(500):
        for kind in (EventKind.SERVICE_CREATED, EventKind.SERVICE_DELETED):
            events.append(kind, f"s{number}")
    assert len(events.read(service="s499").events) == 2
    assert events.read(service="s0").events == ()
    assert events.read(service="s0").dropped
    assert len(events._by_service) <= 101  # pyright: ignore[reportPrivateUsage] (the leak that it must not be)


def test_events_that_many_services_have_alike_share_what_they_say() -> None:
    events = log()
    first, again = (
        events.append(EventKind.STATE_CHANGED, name, f"{before} -> starting", {"to": "starting"})
        for name, before in (("a", "stopped"), ("b", "stopped"))
    )
    assert (again.message is first.message, again.data is first.data) == (True, True)
    other = events.append(EventKind.STATE_CHANGED, "c", first.message, {"to": "starting", "reason": "lease"})
    assert other.data == {"to": "starting", "reason": "lease"}
    assert [event.service for event in events.read().events] == ["a", "b", "c"]


@pytest.mark.anyio
async def test_a_change_and_its_event_have_one_time_not_two_that_are_alike() -> None:
    """Of each service there are a dozen of them, 48 bytes each."""
    clock = Ticking()
    store = MemoryStore()
    async with ServiceManager(World(), store, clock=clock) as manager:
        manager.classes.add(manifest())
        await manager.create(CreateRequest("basic", "one"))
        service = manager.registry.get("one")
        assert isinstance(service, ServiceInstance)
        last = {event.kind: event for event in manager.events.read(service="one").events}
        status = service.status
        assert last[EventKind.STATE_CHANGED].at is status.since
        assert last[EventKind.REACHABILITY_CHANGED].at is status.reachability_at
        (operation,) = await store.operations(service.id)
        assert last[EventKind.OPERATION_ENDED].at == operation.finished_at


def test_a_cursor_of_another_life_begins_again_and_says_so() -> None:
    events = log()
    events.append(EventKind.WARNING, "a", "one")
    page = events.read(since=99)
    assert page.dropped
    assert [event.message for event in page.events] == ["one"]
    assert page.next_cursor == 1


@pytest.mark.anyio
async def test_what_is_restored_goes_on_and_gaps_are_told() -> None:
    events = log()
    stored = [Event(cursor, NOW, EventKind.WARNING, "a", str(cursor)) for cursor in (5, 6, 9)]
    await events.restore(stored, 12)
    assert events.append(EventKind.WARNING, "a").cursor == 13
    assert events.read(since=4).dropped
    assert not events.read(since=8).dropped


@pytest.mark.anyio
async def test_a_wait_ends_with_the_first_event_that_fits() -> None:
    events = log()
    found: list[str] = []

    async def wait() -> None:
        page = await events.wait(since=0, service="b", kinds=[EventKind.WARNING], timeout=60)
        found.extend(event.message for event in page.events)

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.lowlevel.checkpoint()
        events.append(EventKind.WARNING, "a", "other service")
        events.append(EventKind.LEASE_EXPIRED, "b", "other kind")
        events.append(EventKind.WARNING, "b", "this one")
    assert found == ["this one"]
