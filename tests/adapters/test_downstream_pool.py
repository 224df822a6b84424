"""The pool: tools lists, progress, concurrency, lifecycle of servers, and built-in ones."""

import json
from collections.abc import AsyncGenerator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import mcp_types as types
import pytest
from mcp.server import Server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp.shared.exceptions import MCPError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from tests.support.downstream import http_entry, http_program, is_running, open_pool, stdio_entry
from tests.support.web import serving

from ostler.adapters.downstream.pool import DownstreamPool, builtin_entry
from ostler.adapters.downstream.service import McpServerService
from ostler.adapters.downstream.slots import CallSlots, TimeLimit
from ostler.engine.protocols import ToolInfo
from ostler.model.downstream_errors import (
    ConnectionLostError,
    Delivery,
    DownstreamError,
    ServerUnavailableError,
    ToolRejectedError,
    ToolTimeoutError,
)
from ostler.model.errors import AlreadyExistsError, NotFoundError
from ostler.model.servers import ServerEntry
from ostler.model.states import HealthStatus

pytestmark = pytest.mark.anyio
realtime = pytest.mark.realtime


def clock_server(bus: InMemorySubscriptionBus, tools: list[str]) -> Server[Any]:
    """An in-process server with the tools named, each of which sleeps for the seconds it is given."""

    async def list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[types.Tool(name=name, input_schema={"type": "object"}) for name in tools])

    async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        await anyio.sleep((params.arguments or {}).get("seconds", 0))
        return types.CallToolResult(content=[types.TextContent(text=f"{params.name} slept")])

    return Server("clock", on_list_tools=list_tools, on_call_tool=call_tool, on_subscriptions_listen=ListenHandler(bus))


async def until(pool: DownstreamPool, tool: str, present: bool = True) -> None:
    with anyio.fail_after(60):
        while (pool.find_tool(tool) is not None) is not present:
            await anyio.sleep(0.01)


async def test_a_built_in_server_works_in_virtual_time(tmp_path: Path) -> None:
    bus, tools = InMemorySubscriptionBus(), ["nap"]
    async with open_pool(tmp_path, builtin={"clock": clock_server(bus, tools)}) as pool:
        answer = await pool.call_tool("clock/nap", {"seconds": 0.3}, timeout=5)
        assert answer.text == "nap slept"
        assert answer.duration >= 0.3
        with pytest.raises(ToolTimeoutError):
            await pool.call_tool("clock/nap", {"seconds": 20}, timeout=0.3)
        await anyio.sleep(0.1)  # the subscription stands
        tools.append("doze")
        await bus.publish(ToolsListChanged())
        await until(pool, "clock/doze")
        assert pool.snapshot("clock").transport == "builtin"


async def test_a_server_can_be_stopped_at_each_moment_of_its_connecting(tmp_path: Path) -> None:
    async with open_pool(tmp_path, builtin={"clock": clock_server(InMemorySubscriptionBus(), ["nap"])}) as pool:
        for moment in range(30):
            pool.connect("clock")
            for _ in range(moment):
                await anyio.lowlevel.checkpoint()
            await pool.disconnect("clock")
            assert pool.snapshot("clock").state == "stopped", moment


async def test_a_built_in_server_can_be_stopped_and_its_calls_end(tmp_path: Path) -> None:
    async with open_pool(tmp_path, builtin={"clock": clock_server(InMemorySubscriptionBus(), ["nap"])}) as pool:
        await pool.wait_until_connected("clock", 60)
        caught: list[DownstreamError] = []

        async def call() -> None:
            try:
                await pool.call_tool("clock/nap", {"seconds": 20}, timeout=25)
            except DownstreamError as error:
                caught.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await anyio.sleep(0.2)
            await pool.disconnect("clock")
        assert isinstance(caught[0], ConnectionLostError)
        assert "stopped by request" in str(caught[0])
        assert pool.server_status("clock").reason == "stopped by request"
        with pytest.raises(ServerUnavailableError, match="is stopped"):
            await pool.call_tool("clock/nap", {})
        pool.connect("clock")
        assert (await pool.call_tool("clock/nap", {})).text == "nap slept"


@pytest.mark.virtual
async def test_a_server_that_failed_for_long_is_back_in_service_within_seconds(tmp_path: Path) -> None:
    server = clock_server(InMemorySubscriptionBus(), ["nap"])
    healthy = server.get_request_handler("tools/list")
    assert healthy is not None

    async def refuse(ctx: Any, params: Any) -> types.ListToolsResult:
        raise MCPError(-32603, "the database is away")

    server.add_request_handler("tools/list", types.PaginatedRequestParams, refuse)
    async with open_pool(tmp_path, builtin={"clock": server}) as pool:
        await anyio.sleep(58)
        assert "the database is away" in pool.server_status("clock").reason
        assert 12 < pool.snapshot("clock").attempts < 30
        server.add_request_handler("tools/list", healthy.params_type, healthy.handler)
        with anyio.fail_after(5):
            await pool.wait_until_connected("clock", 5)


@pytest.mark.virtual
async def test_a_program_that_never_answers_is_started_less_and_less_often(tmp_path: Path) -> None:
    async with open_pool(tmp_path, ServerEntry(name="gone", transport="stdio", command="no-such-program-here")) as pool:
        await anyio.sleep(45)
        early = pool.snapshot("gone").attempts
        assert early > 10
        while pool.snapshot("gone").attempts <= 21 or (pause := pool.snapshot("gone").next_attempt_in) is None:
            await anyio.sleep(0.5)
        assert pause > 15


@pytest.mark.virtual
@pytest.mark.parametrize("is_refusal", [False, True])
async def test_a_server_that_answered_a_call_meanwhile_is_alive_though_it_answers_no_probe(
    tmp_path: Path, is_refusal: bool
) -> None:
    tools = ["nap", "fail"]
    server = clock_server(InMemorySubscriptionBus(), tools)
    listing = server.get_request_handler("tools/list")
    calling = server.get_request_handler("tools/call")
    assert listing is not None
    assert calling is not None
    asked = anyio.Event()

    async def list_slowly(ctx: Any, params: Any) -> Any:
        asked.set()
        await anyio.sleep(20)
        return await listing.handler(ctx, params)

    async def call(ctx: Any, params: Any) -> Any:
        if params.name == "fail":
            return types.CallToolResult(content=[], is_error=True)
        answer = await calling.handler(ctx, params)
        if is_refusal:
            raise MCPError(types.INVALID_PARAMS, "no")
        return answer

    server.add_request_handler("tools/call", calling.params_type, call)
    async with open_pool(tmp_path, builtin={"clock": server}) as pool:
        await pool.wait_until_connected("clock", 60)
        server.add_request_handler("tools/list", listing.params_type, list_slowly)
        assert (await pool.call_tool("clock/fail", {})).is_silent  # so it is asked whether it is of use
        await asked.wait()
        with pytest.raises(ToolRejectedError) if is_refusal else nullcontext():
            await pool.call_tool("clock/nap", {"seconds": 3})
        await anyio.sleep(10)
        assert pool.snapshot("clock").connected


async def test_the_callers_cancellation_ends_the_call(tmp_path: Path) -> None:
    async with open_pool(tmp_path, builtin={"clock": clock_server(InMemorySubscriptionBus(), ["nap"])}) as pool:
        with anyio.move_on_after(0.2) as scope:
            await pool.call_tool("clock/nap", {"seconds": 20}, timeout=25)
        assert scope.cancelled_caught
        assert (await pool.call_tool("clock/nap", {})).text == "nap slept"


@realtime
async def test_progress_and_paged_tools_lists_and_environment(tmp_path: Path) -> None:
    steps: list[tuple[float, float | None, str | None]] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        steps.append((done, total, message))

    entry = stdio_entry("s", "--page-size", 5, env={"OWN": "yes"}, ostler={"inheritEnv": ["PYTEST_CURRENT_TEST"]})
    entry = entry.model_copy(update={"unset": ("HOME",)})
    async with open_pool(tmp_path, entry) as pool:
        answer = await pool.call_tool("s/progress", {"steps": 3}, progress=progress)
        assert answer.text == "done"
        assert steps == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]
        assert pool.snapshot("s").tools == len(pool.list_tools("s")) == 28
        names = ["OWN", "PYTEST_CURRENT_TEST", "PYTEST_VERSION", "PATH", "HOME"]
        seen = (await pool.call_tool("s/environment", {"names": names})).value
        assert seen["OWN"] == "yes"
        assert seen["PYTEST_CURRENT_TEST"]
        assert seen["PATH"]
        assert seen["PYTEST_VERSION"] is None
        assert seen["HOME"] is None


@realtime
@pytest.mark.parametrize("options", [(), ("--sdk",)], ids=["2025-11-25", "2026-07-28"])
async def test_tools_lists_follow_the_server(tmp_path: Path, options: tuple[str, ...]) -> None:
    changes: list[str] = []
    async with open_pool(tmp_path, stdio_entry("s", *options)) as pool:
        unsubscribe = pool.on_change(changes.append)
        await pool.wait_until_connected("s", 60)
        await anyio.sleep(0.1)
        await pool.call_tool("s/add_tool", {"name": "fresh"})
        await until(pool, "s/fresh")
        await pool.call_tool("s/remove_tool", {"name": "fresh"})
        await until(pool, "s/fresh", present=False)
        await pool.call_tool("s/add_tool_silently", {"name": "quiet"})
        assert (await pool.call_tool("s/quiet", {})).text == "called quiet"
        assert changes.count("s") >= 4
        unsubscribe()


@realtime
async def test_calls_to_one_server_are_limited_and_those_to_another_are_not_held_up(tmp_path: Path) -> None:
    async with open_pool(tmp_path, stdio_entry("a", ostler={"concurrency": 2}), stdio_entry("b")) as pool:
        for name in pool.names():
            await pool.wait_until_connected(name, 60)
        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(pool.call_tool, "a/hang", {})
            await pool.call_tool("b/echo", {"text": "quick"})
            with pytest.raises(ToolTimeoutError, match="2 calls to server 'a' under way") as caught:
                await pool.call_tool("a/echo", {"text": "x"}, timeout=0.05)
            assert caught.value.delivery is Delivery.NOT_SENT
            tasks.cancel_scope.cancel()
        assert (await pool.call_tool("a/peak", {})).value["peak"] == 2


async def test_calls_to_a_built_in_server_do_not_wait_for_starts_that_take_long() -> None:
    slots = CallSlots(builtin_entry("process"))
    limit = TimeLimit(1, anyio.current_time() + 1)
    for number in range(500):
        await slots.take(ToolInfo("process", f"start{number}", "", {}), limit)


@realtime
async def test_calls_that_may_change_something_are_limited_on_their_own(tmp_path: Path) -> None:
    async with open_pool(tmp_path, stdio_entry("a", ostler={"writeConcurrency": 1})) as pool:
        await pool.wait_until_connected("a", 60)
        async with anyio.create_task_group() as tasks:
            for _ in range(20):  # more than all calls that may be under way: those who wait do not keep readers away
                tasks.start_soon(pool.call_tool, "a/hang", {})
            await anyio.wait_all_tasks_blocked()
            assert (await pool.call_tool("a/echo", {"text": "read"}, timeout=10)).text == "read"
            with pytest.raises(ToolTimeoutError, match="1 call that may change something to server 'a'") as caught:
                await pool.call_tool("a/start", {"name": "x"}, timeout=0.05)
            assert caught.value.delivery is Delivery.NOT_SENT
            assert "raise 'writeConcurrency' under 'ostler' of 'a' in mcp.json (1)" in caught.value.next_actions
            await pool.apply({"a": stdio_entry("a", ostler={"writeConcurrency": 30})})  # in force at once
            assert (await pool.call_tool("a/start", {"name": "x"}, timeout=10)).value["state"] == "running"
            tasks.cancel_scope.cancel()


@realtime
async def test_servers_are_added_changed_left_alone_and_removed(tmp_path: Path) -> None:
    async with open_pool(tmp_path, stdio_entry("keep"), stdio_entry("change"), stdio_entry("go")) as pool:
        for name in pool.names():
            await pool.wait_until_connected(name, 60)
        before = {name: pool.snapshot(name) for name in pool.names()}
        changed = await pool.apply(
            {
                "keep": stdio_entry("keep", ostler={"denyTools": ["echo"]}),
                "change": stdio_entry("change", env={"NEW": "1"}),
                "come": stdio_entry("come"),
            }
        )
        assert changed == ["change", "come", "go", "keep"]
        assert pool.names() == ["change", "come", "keep"]
        assert not is_running(before["go"].pid or 0)
        assert pool.snapshot("keep").pid == before["keep"].pid
        assert pool.find_tool("keep/echo") is None
        seen = await pool.call_tool("change/environment", {"names": ["NEW"]})
        assert seen.value == {"NEW": "1"}
        assert (await pool.call_tool("come/echo", {"text": "hi"})).text == "hi"
        assert await pool.apply({name: pool.entry(name) for name in pool.names()}) == []
        await pool.apply({"change": pool.entry("change").model_copy(update={"disabled": True})})
        assert pool.server_status("change").reason == "disabled in mcp.json"
        with pytest.raises(AlreadyExistsError):
            pool.add(stdio_entry("change"))
        with pytest.raises(NotFoundError, match="did you mean 'change'"):
            pool.snapshot("chnage")


@realtime
async def test_a_server_is_a_service_whose_state_follows_the_connection(tmp_path: Path) -> None:
    async with open_pool(tmp_path, stdio_entry("s")) as pool:
        service = McpServerService(pool, "s")
        seen: list[str] = []
        service.follow(lambda name, old, new, health, error: seen.append(f"{old}>{new}/{health}"))
        await service.wait_until(lambda status: status.state == "connected")
        with pytest.raises(ConnectionLostError):
            await pool.call_tool("s/die", {})
        await service.wait_until(lambda status: status.state == "disconnected")
        assert "SIGKILL" in str(service.last_error)
        await service.wait_until(lambda status: status.state == "connected")
        assert service.last_error is None
        assert service.health is HealthStatus.HEALTHY
        pid = service.service_data()["pid"]
        await service.restart()
        assert service.service_data()["pid"] != pid
        await service.stop()
        assert service.state == "stopped"
        assert not is_running(pid)
        await service.start()
        assert seen[-1] == "connected>connected/healthy"
        pool.update(ServerEntry(name="s", transport="stdio", command="no-such-program"))
        with pytest.raises(ServerUnavailableError, match="was not found"):
            await service.restart()
        assert service.state == "unreachable"
        assert service.view().error is not None


@realtime
async def test_one_server_down_disturbs_no_other(tmp_path: Path) -> None:
    with http_program(tmp_path, forked=False) as (process, port):
        async with open_pool(tmp_path, stdio_entry("a"), http_entry("b", port)) as pool:
            await pool.wait_until_connected("b", 60)
            process.kill()
            process.wait()
            for _ in range(20):
                assert (await pool.call_tool("a/echo", {"text": "fine"})).text == "fine"
            with pytest.raises(ServerUnavailableError):
                await pool.call_tool("b/echo", {"text": "x"})
            assert pool.snapshot("a").connections == 1


@realtime
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
async def test_events_over_sse_may_end_their_lines_either_way(tmp_path: Path, newline: str) -> None:
    answers, coming = anyio.create_memory_object_stream[str](10)
    results: dict[str, dict[str, Any]] = {
        "initialize": {
            "protocolVersion": "2024-11-05",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "plain", "version": "1"},
        },
        "tools/list": {"tools": [{"name": "look", "inputSchema": {"type": "object"}}]},
    }

    async def events() -> AsyncGenerator[str]:
        yield f"event: endpoint{newline}data: /post{newline}{newline}"
        async for answer in coming:
            yield f"event: message{newline}data: {answer}{newline}{newline}"

    async def stream(_request: Request) -> StreamingResponse:
        return StreamingResponse(events(), media_type="text/event-stream")

    async def post(request: Request) -> Response:
        message = await request.json()
        if result := results.get(message["method"]):
            await answers.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}))
        return Response("Accepted", status_code=202)

    app = Starlette(routes=[Route("/sse", stream), Route("/post", post, methods=["POST"])])
    async with answers, coming, serving(app) as port:
        entry = http_entry("h", port, sse=True).model_copy(update={"transport": "sse"})
        async with open_pool(tmp_path, entry) as pool:
            await pool.wait_until_connected("h", 60, through_failures=False)
            assert [tool.name for tool in pool.list_tools("h")] == ["look"]
            await answers.aclose()
