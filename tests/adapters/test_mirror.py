"""What is published and taken in: the same at both ends, whole batches in order, and bounded at the sender."""

from contextlib import aclosing

import anyio
import pytest
from tests.support.ledger_app import ledger
from tests.support.world import BASIC, EPOCH, World, manifest

from ostler.adapters.replicas import change_log
from ostler.adapters.replicas.change_log import ChangeLog
from ostler.adapters.replicas.mirror import Mirror
from ostler.adapters.replicas.publisher import LEASE, LEASE_SEEN, OVERDUE, Publisher
from ostler.adapters.replicas.wire_form import Kind, ShownClass, class_line, findings_line, line
from ostler.engine.classes.catalogue import ClassCatalogue
from ostler.engine.clock import LoopClock
from ostler.engine.services.views import CreateRequest
from ostler.model.errors import Finding, OstlerError

SNAPSHOT = b"".join(
    (
        line(Kind.SNAPSHOT, {"run": "r", "number": 4}),
        line(
            Kind.LOG,
            {"droppedUntil": 0, "lastCursor": 0, "ended": {}, "maxEvents": 10, "maxPerService": 5},
        ),
        line(Kind.BEAT, {"now": "2026-01-01T00:00:00+00:00", "access": "a"}),
        line(Kind.WHOLE, 5),
    )
)


def test_a_mirror_is_whole_once_it_has_what_happened_during_its_snapshot() -> None:
    mirror = Mirror()
    for cut in range(1, len(SNAPSHOT)):  # however the parts arrive
        mirror.connected()
        mirror.read(SNAPSHOT[:cut])
        mirror.read(SNAPSHOT[cut:])
        assert (mirror.run, mirror.number, mirror.is_whole) == ("r", 4, False)
    mirror.read(b"N5!\n")
    assert (mirror.number, mirror.wanted, mirror.is_whole, mirror.access) == (5, 5, True, "a")


@pytest.mark.parametrize("wrong", [b"N7\n", b"N5\n", b"?1\n", b'X"a"\nN6\n', b"P1{}\nN6\n", b"L3\n", b"Hx\nN6\n"])
def test_what_lacks_something_or_is_not_understood_is_refused(wrong: bytes) -> None:
    mirror = Mirror()
    mirror.read(SNAPSHOT + b"N5\n")
    with pytest.raises((ValueError, OstlerError)):
        mirror.read(wrong)


def test_classes_come_and_go_and_what_is_wrong_with_their_files_stays() -> None:
    entries = [manifest(BASIC.replace("name: basic", f"name: {name}")) for name in ("a", "b")]
    held = ClassCatalogue()
    held.replace(entries)
    a, b = (class_line(ShownClass.of(entry, held)) for entry in entries)
    mirror = Mirror()
    mirror.read(SNAPSHOT + a + findings_line((Finding("is broken", "x.yaml"),)) + b"N5\n" + b + b"N6\n")
    assert [entry.name for entry in mirror.classes.get_all()] == ["a", "b"]
    mirror.read(line(Kind.CLASS_GONE, "a") + b"N7\n")
    assert [entry.name for entry in mirror.classes.get_all()] == ["b"]
    assert mirror.classes.findings == (Finding("is broken", "x.yaml"),)
    mirror.read(findings_line(()) + b"N8\n")
    assert (mirror.classes.findings, mirror.classes.availability("b").available) == ((), True)


def test_a_log_keeps_so_many_bytes_however_many_read_it() -> None:
    log = ChangeLog(most=100)
    for _ in range(50):
        log.append(b"x" * 9 + b"\n")
    assert log.after(50) == (b"", 50)
    assert log.after(49) == (b"x" * 9 + b"\nN50\n", 50)
    assert log.after(0) is log.after(40) is log.after(51) is None  # begin again, with a snapshot
    log.append(b"y" * 500)
    assert log.after(50) == (b"y" * 500 + b"N51\n", 51)


def test_who_is_behind_is_given_no_more_than_a_part_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_log, "PART", 25)
    log = ChangeLog()
    for _ in range(5):
        log.append(b"x" * 9 + b"\n")
    numbers = [0]
    while numbers[-1] < log.last:
        found = log.after(numbers[-1])
        assert found is not None
        numbers.append(found[1])
    assert numbers == [0, 2, 4, 5]


@pytest.mark.anyio
@pytest.mark.virtual
async def test_an_answer_waits_for_a_follower_that_stays_behind_for_no_longer_than_its_lease() -> None:
    log, measured = ChangeLog(), [False]
    async with ledger(World(), manifest()) as app, anyio.create_task_group() as tasks:
        publisher = Publisher(
            app.manager, app.pool, LoopClock(EPOCH), log=log,
            is_measured=lambda _: measured[0], access=lambda: "a", is_holder=lambda: True,
        )  # fmt: skip
        kept: list[bool] = []
        answers_until = 0.0

        async def acknowledge() -> None:
            nonlocal answers_until
            first = log.last
            while True:
                newest, asked_at = log.last, anyio.current_time()
                await anyio.sleep(0.2)
                kept.append(publisher.acknowledge("slow", publisher.run_id, newest))
                if publisher.acknowledge("behind", publisher.run_id, first):
                    answers_until = asked_at + LEASE

        async with aclosing(publisher.feed("slow", "", 0)) as slow, aclosing(publisher.feed("behind", "", 0)) as behind:
            await anext(slow)
            await anext(behind)
            tasks.start_soon(acknowledge)
            await anyio.sleep(1.1)
            await app.manager.create(CreateRequest("basic", "db"))
            with anyio.fail_after(OVERDUE + LEASE_SEEN):
                await publisher.settle()
            assert answers_until <= anyio.current_time()
            for number in range(40):  # faster than anyone acknowledges
                await app.manager.create(CreateRequest("basic", f"s{number}"))
                tasks.start_soon(publisher.settle)
                await anyio.sleep(0.05)
            assert all(kept)
            assert answers_until <= anyio.current_time()
            assert publisher.acknowledge("behind", publisher.run_id, log.last)
            await app.manager.create(CreateRequest("basic", "last"))
            tasks.start_soon(publisher.settle)
            await anyio.sleep(OVERDUE + 0.1)
            known = log.last
            measured.clear()  # so that nothing can be published any more
            await app.manager.create(CreateRequest("basic", "unpublished"))
            tasks.start_soon(publisher.settle)
            await anyio.sleep(0.1)
            assert not publisher.acknowledge("behind", publisher.run_id, known)
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_follower_that_does_not_keep_up_begins_again_and_costs_no_more_than_the_log() -> None:
    log = ChangeLog(most=20_000)
    async with ledger(World(), manifest()) as app, anyio.create_task_group() as tasks:
        publisher = Publisher(
            app.manager, app.pool, LoopClock(EPOCH), log=log,
            is_measured=lambda _: False, access=lambda: "a", is_holder=lambda: True,
        )  # fmt: skip
        tasks.start_soon(publisher.run)
        slow, quick = Mirror(), Mirror()

        async def follow() -> None:
            async with aclosing(publisher.feed("quick", "", 0)) as parts:
                async for part in parts:
                    quick.read(part)
                    publisher.acknowledge("quick", quick.run, quick.number)

        async with aclosing(publisher.feed("slow", "", 0)) as stuck:
            slow.read(await anext(stuck))
            tasks.start_soon(follow)
            for number in range(20):
                await app.manager.create(CreateRequest("basic", f"s{number}"))
                await publisher.settle()
            with pytest.raises(StopAsyncIteration):
                await anext(stuck)
        async with aclosing(publisher.feed("slow", slow.run, slow.number)) as again:
            async for part in again:
                slow.read(part)
                if slow.is_whole:
                    break
        assert [each.view() for each in slow.registry.get_all()] == [
            each.view() for each in app.manager.registry.get_all()
        ]
        assert slow.events.read(limit=1000) == app.manager.events.read(limit=1000)
        tasks.cancel_scope.cancel()
