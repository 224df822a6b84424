"""Calls of a command line that go past the SDK: answered as over it, and left to it if they are anything but plain."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp import Client
from tests.support.ledger_app import LedgerApplication, StoppedClock, ledger, let_no_one_follow_calls
from tests.support.world import Slow, World, until

from ostler.faces.daemon.plain_calls import PlainCalls
from ostler.faces.daemon.streams import OutgoingMessages
from ostler.faces.mcp.server import build_server
from ostler.faces.mcp.toolbox import ComingServices, Toolbox

pytestmark = pytest.mark.anyio

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "ostler-cli", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
ASKING = META | {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}}
CREATE = {"serviceClassName": "basic", "name": "one"}


def request(key: int, tool: str, args: Any, meta: Any = META, **changes: Any) -> bytes:
    params = {"name": tool, "arguments": args, "_meta": meta}
    return (
        json.dumps({"jsonrpc": "2.0", "id": key, "method": "tools/call", "params": params} | changes).encode() + b"\n"
    )


@pytest.fixture(autouse=True)
def no_one_follows_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    let_no_one_follow_calls(monkeypatch)


class Pipes:
    def __init__(self, reading: MemoryObjectReceiveStream[bytes], writing: MemoryObjectSendStream[bytes]) -> None:
        self._reading = reading
        self.send = writing.send

    async def receive(self, _size: int) -> bytes:
        return await self._reading.receive()


class CommandLine:
    def __init__(self, ours: MemoryObjectSendStream[bytes], answers: MemoryObjectReceiveStream[bytes]) -> None:
        self.ours = ours
        self._answers = answers
        self.unread: list[bytes | None] = []

    async def hear(self) -> dict[str, Any]:
        return json.loads(await self._answers.receive())


@asynccontextmanager
async def command_line(app: LedgerApplication) -> AsyncGenerator[CommandLine]:
    ours, theirs = anyio.create_memory_object_stream[bytes](10)
    answers_in, answers = anyio.create_memory_object_stream[bytes](100)
    stream: Any = Pipes(theirs, answers_in)
    line = CommandLine(ours, answers)
    calls = PlainCalls(stream, b"", Toolbox(app, StoppedClock(), "full"))

    async def serve() -> None:
        outgoing = OutgoingMessages()
        async with anyio.create_task_group() as writing:
            writing.start_soon(outgoing.drain, stream)
            line.unread.append(await calls.answer(outgoing))
            outgoing.close()

    with ours, theirs, answers_in, answers:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            yield line
            ours.close()
    assert len(line.unread) == 1


async def test_calls_are_answered_one_after_the_other_as_over_the_sdk() -> None:
    world = World()
    async with (
        ledger(world) as app,
        command_line(app) as line,
        Client(build_server(app, clock=StoppedClock())) as client,
    ):
        await line.ours.send(request(1, "service_create", CREATE, META | {"progressToken": 7}))
        while (heard := await line.hear()).get("method") == "notifications/progress":
            assert heard["params"]["progressToken"] == 7
        assert (heard["id"], heard["result"]["structuredContent"]["service"]["state"]) == (1, "running")
        for key, (tool, args) in enumerate(
            [("service_get", {"name": "one"}), ("service_stop", {"name": "none"}), ("service_get", {"nme": "one"})]
        ):
            both = request(key, tool, args) * 2
            await line.ours.send(both[:20])
            await line.ours.send(both[20:])
            over = (await client.call_tool(tool, args)).model_dump(mode="json", by_alias=True, exclude_none=True)
            over.pop("_meta", None)
            for _ in range(2):
                assert await line.hear() == {"jsonrpc": "2.0", "id": key, "result": over}


@pytest.mark.parametrize(
    "sent",
    [
        request(1, "service_get", CREATE, method="tools/list"),
        request(1, "class_check", {}),
        request(1, "service_get", {"name": "\ud800"}),
        request(1, "service_get", CREATE, META | {"io.modelcontextprotocol/protocolVersion": "2025-11-25"}),
        request(1, "service_create", CREATE, ASKING),
        b"no JSON\n",
    ],
)
async def test_what_is_not_plain_is_left_to_the_sdk_with_what_comes_behind_it(sent: bytes) -> None:
    async with ledger(World()) as app, command_line(app) as line:
        await line.ours.send(request(0, "service_list", {}) + sent + b"rest")
        assert (await line.hear())["id"] == 0
        await until(lambda: bool(line.unread))
        assert line.unread == [sent + b"rest"]


async def test_what_a_person_may_have_to_confirm_is_left_to_the_sdk() -> None:
    sent = request(1, "service_stop", {"name": "one"}, ASKING)
    async with ledger(World()) as app, command_line(app) as line:
        app.confirmed.add("ostler/service_stop")
        await line.ours.send(sent)
        await until(lambda: bool(line.unread))
        assert line.unread == [sent]


@pytest.mark.virtual
async def test_the_end_of_the_client_ends_the_waiting_but_not_the_start() -> None:
    world = World()
    world.faults["w/start"].append(Slow(20))
    async with ledger(world) as app:
        async with command_line(app) as line:
            await line.ours.send(request(1, "service_create", CREATE))
            await until(lambda: app.manager.registry.find("one") is not None)
            line.ours.close()
            await until(lambda: bool(line.unread))
        assert line.unread == [None]
        service = app.manager.registry.find("one")
        assert service is not None
        assert service.state.value == "starting"
        await until(lambda: service.state.value == "running")


async def test_a_fault_of_ostler_is_answered_as_a_failure_of_the_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: object) -> str:
        raise ZeroDivisionError

    async with ledger(World()) as app, command_line(app) as line:
        with monkeypatch.context() as patch:
            patch.setattr(ComingServices, "wait", fault)
            await line.ours.send(request(1, "service_list", {}))
            heard = (await line.hear())["result"]
        assert (heard["isError"], heard["structuredContent"]["error"]["code"]) == (True, "internal")
        assert "internal error in service_list (" in heard["content"][0]["text"]
        await line.ours.send(request(2, "service_list", {}))
        assert not (await line.hear())["result"]["isError"]
