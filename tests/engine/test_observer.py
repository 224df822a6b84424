"""What an observer of the engine sees: where each operation was asked for, how it ended, and how late checks are."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import anyio
import pytest
from tests.support.world import Fail, Hang, Slow, World, manifest, running, until

from ostler.engine.services.views import CreateRequest
from ostler.model.errors import OstlerError
from ostler.model.records import OperationOutcome, OperationRecord
from ostler.model.states import ServiceState

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

_who: ContextVar[str] = ContextVar("who asks", default="no one")


@dataclass
class Witness:
    """An observer that remembers."""

    begun: list[tuple[object, str, str]] = field(default_factory=list)
    ended: list[tuple[str, OperationOutcome | None, str]] = field(default_factory=list)
    joined_at: list[object] = field(default_factory=list)
    late: dict[str, list[float]] = field(default_factory=dict)
    inside: int = 0

    def asked(self) -> object:
        return _who.get()

    def joined(self, origin: object) -> None:
        self.joined_at.append(origin)

    @contextmanager
    def operation(self, origin: object, record: Callable[[], OperationRecord]) -> Generator[None]:
        began = record()
        self.begun.append((origin, began.kind.value, began.reason))
        self.inside += 1
        yield
        self.inside -= 1
        ended = record()
        assert (ended.id, ended.finished_at is None) == (began.id, ended.outcome is None)
        self.ended.append((ended.kind.value, ended.outcome, ended.error_code))

    @contextmanager
    def check(self, service: str, late: float) -> Generator[None]:
        self.late.setdefault(service, []).append(late)
        self.inside += 1
        yield
        self.inside -= 1


async def test_every_operation_is_seen_with_where_it_was_asked_for_and_how_it_ended() -> None:
    world, witness = World(), Witness()
    async with running(world, observer=witness) as manager:
        _who.set("alice")
        await manager.create(CreateRequest("basic", "db"))
        _who.set("bob")
        await manager.stop_service("db")
        world.always["w/start"] = Fail("no space")
        _who.set("carol")
        with pytest.raises(OstlerError, match="no space"):
            await manager.start_service("db")
        assert witness.begun == [
            ("alice", "start", "created"),
            ("bob", "stop", "requested"),
            ("carol", "start", "requested"),
        ]
        assert witness.ended == [
            ("start", OperationOutcome.SUCCEEDED, ""),
            ("stop", OperationOutcome.SUCCEEDED, ""),
            ("start", OperationOutcome.FAILED, "tool_failed"),
        ]
        assert witness.inside == 0


async def test_a_request_that_joins_an_operation_names_it() -> None:
    world, witness = World(always={"w/start": Slow(5)}), Witness()
    async with running(world, observer=witness) as manager:
        await manager.create(CreateRequest("basic", "db", start=False))

        async def start(who: str) -> None:
            _who.set(who)
            await manager.start_service("db")

        async with anyio.create_task_group() as group:
            group.start_soon(start, "alice")
            await until(lambda: manager.view("db").state is ServiceState.STARTING)
            group.start_soon(start, "bob")
        assert witness.joined_at == ["alice"]
        assert [origin for origin, _, _ in witness.begun] == ["alice"]


async def test_a_restart_by_policy_is_an_operation_too_and_checks_say_how_late_they_are() -> None:
    world, witness = World(), Witness()
    async with running(world, manifest(restartPolicy="on-failure"), observer=witness) as manager:
        await manager.create(CreateRequest("basic", "db"))
        await until(lambda: len(witness.late.get("db", ())) >= 2)
        assert all(0 <= late < 1 for late in witness.late["db"])
        world.resources.clear()
        await until(lambda: any(kind == "restart" for kind, _, _ in witness.ended))
        assert ("restart", OperationOutcome.SUCCEEDED, "") in witness.ended
        assert [reason for _, kind, reason in witness.begun if kind == "restart"] == ["restart policy: failed"]


async def test_an_operation_that_the_next_run_goes_on_with_has_no_outcome() -> None:
    world, witness = World(always={"w/start": Hang()}), Witness()
    async with running(world, observer=witness, shutdown_timeout=1.0) as manager:
        await manager.create(CreateRequest("basic", "db"), wait=False)
        await until(lambda: witness.inside)
    assert [ended[:2] for ended in witness.ended] == [("start", None)]
