"""Tool calls over stdio that go past the SDK's session: what they say, and what their answers give."""

import math
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from opentelemetry import trace
from tests.support.downstream import open_pool

from ostler.model.downstream_errors import BadResponseError, ToolRejectedError
from ostler.model.json import JsonObject
from ostler.model.servers import ServerEntry

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

SERVER = """
import json, sys

def say(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)

for line in sys.stdin:
    asked = json.loads(line)
    if asked["method"] == "initialize":
        info = {"name": "s", "version": "1"}
        version = asked["params"]["protocolVersion"]
        say(id=asked["id"], result={"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info})
    elif asked["method"] == "tools/list":
        say(id=asked["id"], result={"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]})
    elif asked["method"] == "tools/call":
        token = asked["params"].get("_meta", {}).get("progressToken")
        for done in (1, 10 ** 400, float("inf"), "many", True):
            say(method="notifications/progress", params={"progressToken": token, "progress": done})
        if "refuse" in asked["params"]["arguments"]:
            say(id=asked["id"], error={"code": -32602, "message": "no"})
            continue
        content = {"content": [{"type": "text", "text": line}]}
        wrong = {"content": [{"type": "unheard-of"}]} if "wrong" in asked["params"]["arguments"] else content
        say(id=str(asked["id"]), result={"resultType": "input_required", "inputRequests": {}, **wrong})
    elif "id" in asked:
        say(id=asked["id"], error={"code": -32601, "message": "unknown"})
"""
ENTRY = ServerEntry.model_validate(
    {"name": "s", "transport": "stdio", "command": sys.executable, "args": ("-S", "-c", SERVER)}
)


class Follower:
    """Stands for a provider of traces, which hears of calls from the SDK alone."""

    def __getattr__(self, name: str) -> Any:
        return getattr(trace.NoOpTracerProvider(), name)


async def test_a_call_past_the_sdk_is_what_the_sdk_sends_and_gives_what_it_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    providers = {"direct": trace.ProxyTracerProvider(), "sdk": Follower()}
    async with open_pool(tmp_path, ENTRY) as pool:

        async def sent(way: str, args: JsonObject) -> tuple[int, JsonObject]:
            """Return the number of a call and the call without it."""
            monkeypatch.setattr(trace, "get_tracer_provider", lambda: providers[way])
            reported: list[tuple[float, float | None, str | None]] = []

            async def progress(done: float, total: float | None, message: str | None) -> None:
                reported.append((done, total, message))

            message: Any = (await pool.call_tool("s/echo", args, progress=progress)).value
            assert reported == [(1.0, None, None)]
            meta = message["params"].pop("_meta")  # with a trace's id if a test before has registered a provider
            assert meta["progressToken"] == message["id"]
            return message.pop("id"), message

        args: JsonObject = {"some": ["é", None, {"x": None}], "more": {"1": 1.5}}
        (number, direct), (sdks_number, of_sdk) = await sent("direct", args), await sent("sdk", args)
        assert direct == of_sdk
        assert number > 1_000_000 > sdks_number
        (number, direct), (_, of_sdk) = await sent("direct", {"x": math.inf}), await sent("sdk", {"x": math.inf})
        assert direct == of_sdk
        assert number < 1_000_000, "what is not JSON is for the SDK"
        for args, kind in (({"refuse": 1}, ToolRejectedError), ({"wrong": 1}, BadResponseError)):
            with pytest.raises(kind) as past:
                await sent("direct", args)
            with pytest.raises(kind) as through:
                await sent("sdk", args)
            assert str(past.value) == str(through.value)


async def test_who_is_slow_to_take_progress_holds_up_neither_the_call_nor_the_end_of_the_connection(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(20):
        async with open_pool(tmp_path, ENTRY) as pool:

            async def progress(*_: object) -> None:
                await anyio.sleep_forever()

            assert (await pool.call_tool("s/echo", {}, progress=progress)).text


async def test_calls_that_are_made_together_get_each_its_own_answer(tmp_path: Path) -> None:
    echoed: dict[int, int] = {}
    async with open_pool(tmp_path, ENTRY) as pool:

        async def echo(number: int) -> None:
            message: Any = (await pool.call_tool("s/echo", {"number": number})).value
            echoed[number] = message["params"]["arguments"]["number"]

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for number in range(100):
                    tasks.start_soon(echo, number)
    assert echoed == {number: number for number in range(100)}
