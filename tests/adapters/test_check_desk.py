"""Which follower makes which health check, and which of its answers count; in virtual time."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest

from ostler.adapters.replicas.check_desk import FIRST_DOUBT, LOOK, OVERDUE, STALE, CheckDesk
from ostler.adapters.replicas.check_form import MAX_LINE, AskedCall, GivenAnswer, server_digest
from ostler.engine.protocols import RemoteAnswer
from ostler.model.records import PlannedCall
from ostler.model.servers import OAuthClient, ServerEntry, ServerOptions
from ostler.rules.answers.responses import normalise

pytestmark = [pytest.mark.anyio, pytest.mark.virtual]

CALL = PlannedCall("healthCheck", "w/check", {"name": "web"}, 5.0)
WELL = normalise([{"type": "text", "text": "it is well"}], {"state": "running"}, duration=0.1)
OF_A = RemoteAnswer(WELL, "a")
IDS = [f"service-{number}" for number in range(300)]


@dataclass
class Followers:
    """A desk and those who work for it.

    Attributes:
        leases: who has one.
        asked: what each was asked for.
        answer: what a follower answers to a call; None: nothing.
    """

    desk: CheckDesk
    leases: set[str]
    asked: list[tuple[str, AskedCall]] = field(default_factory=list[tuple[str, AskedCall]])
    answer: Callable[[str, AskedCall], GivenAnswer | None] = lambda _, asked: GivenAnswer(asked.number, WELL)
    late: float = 0.0

    @asynccontextmanager
    async def working(self, *names: str) -> AsyncGenerator[None]:
        """Let followers work within the block."""
        async with anyio.create_task_group() as tasks:
            for name in names:
                self.leases.add(name)
                tasks.start_soon(self._work, name)
            await anyio.sleep(0.001)
            yield
            tasks.cancel_scope.cancel()

    async def _work(self, name: str) -> None:
        with self.desk.answers(name) as take:
            async with aclosing(self.desk.calls(name)) as parts:
                async for part in parts:
                    for line in part.splitlines():
                        asked = AskedCall.read(line)
                        self.asked.append((name, asked))
                        await anyio.sleep(self.late)
                        if (given := self.answer(name, asked)) is not None:
                            take(given.line())

    async def shares(self) -> dict[str, str]:
        """Ask about every service; return who was asked, no one for what is the holder's."""
        found: dict[str, str] = {}
        for service in IDS:
            self.asked.clear()
            await self.desk.ask(service, CALL)
            found[service] = self.asked[0][0] if self.asked else ""
        return found


@asynccontextmanager
async def followers(digest: str = "d") -> AsyncGenerator[Followers]:
    leases: set[str] = set()
    desk = CheckDesk(lambda _: digest, leases.__contains__)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(desk.run)
        yield Followers(desk, leases)
        tasks.cancel_scope.cancel()


async def test_every_server_has_its_share_and_only_that_of_one_that_comes_or_goes_moves() -> None:
    async with followers() as made:
        assert set((await made.shares()).values()) == {""}
        async with made.working("a", "b"):
            both = await made.shares()
            assert all(list(both.values()).count(name) > len(IDS) / 5 for name in ("", "a", "b"))
            made.leases.discard("b")
            without = await made.shares()
            assert {name for name in IDS if without[name] != both[name]} == {n for n in IDS if both[n] == "b"}
            made.leases.add("b")
            assert await made.shares() == both
        assert set((await made.shares()).values()) == {""}


async def service_of_a(made: Followers) -> str:
    return next(name for name, who in (await made.shares()).items() if who == "a")


async def test_an_answer_that_does_not_come_or_comes_late_counts_for_nothing() -> None:
    async with followers() as made, made.working("a"):
        service = await service_of_a(made)
        made.answer = lambda _, asked: None
        began = anyio.current_time()
        assert await made.desk.ask(service, CALL) is None
        assert anyio.current_time() - began == pytest.approx(CALL.timeout + OVERDUE)
        (_, given_up) = made.asked[-1]
        made.asked.clear()
        assert await made.desk.ask(service, CALL) is None
        assert made.asked == []  # it is not asked about this server for a while
        await anyio.sleep(FIRST_DOUBT)
        made.answer = lambda _, asked: GivenAnswer(given_up.number, WELL)  # at last, and to another question
        assert await made.desk.ask(service, CALL) is None
        await anyio.sleep(2 * FIRST_DOUBT)
        made.answer = lambda _, asked: GivenAnswer(asked.number, WELL)
        made.late = STALE + WELL.duration + 0.1  # it was paused with the answer in its hands
        assert await made.desk.ask(service, CALL) is None
        await anyio.sleep(4 * FIRST_DOUBT)
        made.late = 0.0
        assert await made.desk.ask(service, CALL) == OF_A
        assert made.desk.counts["unanswered"] == 3


@pytest.mark.parametrize("loses", ["lease", "connection"])
async def test_what_a_follower_is_asked_for_is_given_up_with_its_lease_or_its_connection(loses: str) -> None:
    answers: list[RemoteAnswer | None] = []
    async with followers() as made, anyio.create_task_group() as tasks, made.working("a"):
        service = await service_of_a(made)
        made.answer = lambda _, asked: None
        began = anyio.current_time()

        async def ask() -> None:
            answers.append(await made.desk.ask(service, CALL))
            assert anyio.current_time() - began <= 0.1 + 2 * LOOK

        tasks.start_soon(ask)
        await anyio.sleep(0.1)
        if loses == "lease":
            made.leases.discard("a")
            await anyio.sleep(2 * LOOK)
            assert answers == [None]  # the connection is still open
    assert answers == [None]


async def test_one_service_that_does_not_answer_costs_the_others_nothing() -> None:
    async with followers() as made, made.working("a"):
        shares = await made.shares()
        silent, other, *_ = (name for name, who in shares.items() if who == "a")
        made.answer = lambda _, asked: None if asked.args else GivenAnswer(asked.number, WELL)
        plain = PlannedCall("healthCheck", "w/check", {}, 5.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(made.desk.ask, silent, CALL)
            await anyio.sleep(1)
            assert await made.desk.ask(other, plain) == OF_A
        assert await made.desk.ask(other, plain) == OF_A


async def test_many_calls_that_fail_together_count_as_one() -> None:
    async with followers() as made, made.working("a"):
        service = await service_of_a(made)
        made.answer = lambda _, asked: GivenAnswer(asked.number, why="it cannot be reached")
        made.late = 1.0
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(made.desk.ask, service, CALL)
                await anyio.sleep(0.01)
        await anyio.sleep(FIRST_DOUBT)
        made.answer, made.late = (lambda _, asked: GivenAnswer(asked.number, WELL)), 0.0
        assert await made.desk.ask(service, CALL) == OF_A


async def test_a_follower_that_sees_something_else_is_asked_less_and_less() -> None:
    async with followers() as made, made.working("a"):
        service = await service_of_a(made)
        for pause in (FIRST_DOUBT, 2 * FIRST_DOUBT, 4 * FIRST_DOUBT):
            assert await made.desk.ask(service, CALL) == OF_A
            made.desk.doubt(OF_A, CALL)
            await anyio.sleep(pause - 0.1)
            assert await made.desk.ask(service, CALL) is None
            await anyio.sleep(0.2)
        made.answer = lambda _, asked: GivenAnswer(asked.number, why="settings")
        for _ in range(3):  # these may be corrected at any time
            assert await made.desk.ask(service, CALL) is None
            await anyio.sleep(4 * FIRST_DOUBT + 0.1)
        assert made.desk.counts["refused"] == 3


async def test_the_one_that_gave_an_answer_is_doubted_and_not_the_one_that_has_the_service_by_then() -> None:
    async with followers() as made, made.working("a", "b"):
        shares = await made.shares()
        made.leases.discard("b")
        moved = next(name for name, who in (await made.shares()).items() if who == "a" and shares[name] == "b")
        assert await made.desk.ask(moved, CALL) == OF_A
        made.leases.add("b")  # and has the service again
        made.desk.doubt(OF_A, CALL)
        assert set((await made.shares()).values()) == {"", "b"}
        made.desk.doubt(RemoteAnswer(WELL, "gone"), CALL)


@pytest.mark.parametrize("digest", ["", "d"])
async def test_what_no_one_else_should_call_or_is_too_long_is_not_asked_of_anyone(digest: str) -> None:
    async with followers(digest) as made, made.working("a", "b"):
        long = PlannedCall("healthCheck", "w/check", {"text": "x" * (MAX_LINE if digest else 1)}, 5.0)
        for service in IDS:
            assert await made.desk.ask(service, long) is None
        assert made.asked == []


def test_answers_come_over_as_they_were() -> None:
    for response in (
        WELL,
        normalise([], None, is_error=True, duration=1.5),
        normalise([{"type": "text", "text": '{"a": [1, null, "ü"]}'}, {"type": "image", "data": "x"}], duration=0.0),
    ):
        again = GivenAnswer.read(GivenAnswer(7, response).line(), "w/check").response
        assert again is not None
        assert (again.value, again.content, again.is_error) == (response.value, response.content, response.is_error)
    assert GivenAnswer.read(GivenAnswer(7, None, "no").line(), "w/check") == GivenAnswer(7, None, "no")
    assert GivenAnswer.read(GivenAnswer(7, normalise([], "x" * MAX_LINE)).line(), "w/check").response is None


BASE = ServerEntry(name="w", transport="http", url="https://tools.example.com/mcp", headers={"Authorization": "s1"})


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://tools.example.com/other"},
        {"headers": {"Authorization": "s2"}},
        {"options": ServerOptions(deny_tools=("check",))},
        {"options": ServerOptions(protocol="2025")},
        {"transport": "sse"},
    ],
)
def test_servers_are_the_same_only_with_the_same_entry(change: dict[str, object]) -> None:
    assert server_digest(BASE, b"k") == server_digest(BASE.model_copy(), b"k") != ""
    assert server_digest(BASE.model_copy(update=change), b"k") != server_digest(BASE, b"k")
    assert server_digest(BASE, b"another") != server_digest(BASE, b"k")


@pytest.mark.parametrize(
    "entry",
    [
        ServerEntry(name="w", transport="stdio", command="x"),
        ServerEntry(name="w", transport="builtin"),
        BASE.model_copy(update={"headers_helper": "print-headers"}),
        BASE.model_copy(update={"oauth": OAuthClient(client_id="x")}),
        BASE.model_copy(update={"references": ("${secret:env:X}",)}),
        BASE.model_copy(update={"options": ServerOptions(concurrency=16)}),
        BASE.model_copy(update={"options": ServerOptions(shared_checks=False)}),
    ],
)
def test_what_depends_on_more_than_its_entry_is_for_the_holder_alone(entry: ServerEntry) -> None:
    assert server_digest(entry, b"k") == ""


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True), ("localhost", True), ("[::1]", True), ("app.localhost", True), ("0.0.0.0", True),
        ("169.254.1.1", True), ("host.docker.internal", True), ("tools", False), ("10.0.0.7", False),
    ],
)  # fmt: skip
def test_an_address_that_is_another_machine_on_each_is_the_same_only_on_this_one(
    monkeypatch: pytest.MonkeyPatch, host: str, is_local: bool
) -> None:
    entry = BASE.model_copy(update={"url": f"http://{host}:9000/mcp"})
    here = server_digest(entry, b"k")
    monkeypatch.setattr("ostler.adapters.replicas.check_form._network", lambda: "another machine")
    assert (server_digest(entry, b"k") != here) is is_local
