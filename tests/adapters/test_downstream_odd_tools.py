"""Tools lists that do not follow the protocol: what is odd is marked, and the server's other tools work."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.support.canned_server import DISCOVERY
from tests.support.downstream import canned_entry, canned_http, http_entry, open_pool

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

GOOD = {"name": "good", "inputSchema": {"type": "object", "properties": {}}}
CALLS = {"good": {"content": [{"type": "text", "text": "fine"}]}, "odd": {"content": [{"type": "text", "text": "so"}]}}


ODD_TOOLS = [
    ({"inputSchema": {}}, 'no "type": "object"'),
    ({}, "inputSchema is missing"),
    ({"inputSchema": None}, "inputSchema is missing"),
    ({"inputSchema": True}, "inputSchema is true"),
    ({"inputSchema": []}, "inputSchema is a list"),
    ({"inputSchema": {"type": "array", "items": {}}}, 'of type "array"'),
    ({"inputSchema": {"type": ["object", "null"]}}, 'no "type": "object"'),
    ({"inputSchema": {"type": "object", "required": "name"}}, "'required' of its inputSchema"),
    ({"inputSchema": {"type": "object", "properties": [1]}}, "'properties' of its inputSchema"),
    ({"inputSchema": {"type": "object"}, "outputSchema": [{"type": "object"}]}, "outputSchema"),
    (
        {"inputSchema": {"type": "object"}, "outputSchema": {"type": "array"}},
        "its outputSchema does not follow the protocol (type",
    ),
    ({"inputSchema": {"type": "object"}, "annotations": "none"}, "annotations"),
    ({"inputSchema": {"type": "object"}, "description": ["a", "b"]}, "description"),
    ({"inputSchema": {"type": "object"}, "icons": {"src": 1}, "title": 3}, "icons"),
]


@pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])
async def test_an_odd_tool_is_marked_and_works_and_so_do_the_others(tmp_path: Path, era: str) -> None:
    tools = [{**odd, "name": f"odd{number}"} for number, (odd, _) in enumerate(ODD_TOOLS)]
    answers: dict[str, Any] = {
        "tools/list": {"tools": [GOOD, *tools, {"description": "nameless"}, "text"]},
        "tools/call": CALLS | {tool["name"]: CALLS["odd"] for tool in tools},
    }
    if era == "2026-07-28":
        answers["server/discover"] = DISCOVERY
        answers["tools/call"] = {
            name: {**result, "resultType": "complete"} for name, result in answers["tools/call"].items()
        }
    async with open_pool(tmp_path, canned_entry(tmp_path, answers)) as pool:
        assert (await pool.call_tool("s/good", {})).text == "fine"
        snapshot = pool.snapshot("s")
        assert snapshot.protocol_version == era
        assert snapshot.tools == len(tools) + 1
        assert snapshot.left_out == (
            f"tool {len(tools) + 2} of its list has no name and was left out",
            f"tool {len(tools) + 3} of its list has no name and was left out",
        )
        good = pool.find_tool("s/good")
        assert good is not None
        assert good.note == ""
        for tool, (_, words) in zip(tools, ODD_TOOLS, strict=True):
            info = pool.find_tool(f"s/{tool['name']}")
            assert info is not None, tool
            assert info.input_schema["type"] == "object"
            assert (words in info.note) is not (era == "2026-07-28" and "protocol (type" in words), (tool, info.note)
            assert (await pool.call_tool(info.qualified, {})).text == "so"


async def test_an_odd_tool_over_http_does_not_cost_its_server(tmp_path: Path) -> None:
    odd = {"name": "odd", "inputSchema": {}}
    with canned_http(tmp_path, {"tools/list": {"tools": [GOOD, odd]}, "tools/call": CALLS}) as port:
        async with open_pool(tmp_path, http_entry("h", port)) as pool:
            assert (await pool.call_tool("h/good", {})).text == "fine"
            info = pool.find_tool("h/odd")
            assert info is not None
            assert "inputSchema" in info.note


async def test_a_structured_answer_that_is_not_an_object_arrives_as_it_came(tmp_path: Path) -> None:
    tool = {**GOOD, "outputSchema": {"type": "array"}}
    answers = {"tools/list": {"tools": [tool]}, "tools/call": {"good": {"structuredContent": [{"id": 1}, {"id": 2}]}}}
    async with open_pool(tmp_path, canned_entry(tmp_path, answers)) as pool:
        assert (await pool.call_tool("s/good", {})).value == [{"id": 1}, {"id": 2}]


async def test_a_handshake_that_breaks_the_protocol_says_where(tmp_path: Path) -> None:
    answers = {"initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}}
    async with open_pool(tmp_path, canned_entry(tmp_path, answers)) as pool:
        with anyio.fail_after(60):
            while not pool.snapshot("s").reason:
                await anyio.sleep(0.01)
        assert "its answer to the handshake does not follow the protocol: serverInfo" in pool.snapshot("s").reason
