"""A real npm server over stdio: @modelcontextprotocol/server-everything."""

import os
from pathlib import Path

import pytest
from tests.support.downstream import open_pool

from ostler.model.servers import ServerEntry

pytestmark = [pytest.mark.anyio, pytest.mark.realtime, pytest.mark.npm]

PROGRAM = Path(__file__).parents[2] / ".npm-tools" / "node_modules" / ".bin" / "mcp-server-everything"


@pytest.fixture
def everything() -> ServerEntry:
    if not PROGRAM.exists():
        reason = "server-everything is not installed under .npm-tools; `python tests/run.py` installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return ServerEntry(name="everything", transport="stdio", command=str(PROGRAM), args=("stdio",))


async def test_server_everything(tmp_path: Path, everything: ServerEntry) -> None:
    steps: list[float] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        steps.append(done)

    async with open_pool(tmp_path, everything) as pool:
        snapshot = await pool.wait_until_connected("everything", 60)
        assert snapshot.tools >= 5
        assert "echo" in [tool.name for tool in pool.list_tools("everything")]
        assert "hello" in (await pool.call_tool("everything/echo", {"message": "hello"})).text
        long = next(tool for tool in pool.list_tools("everything") if "long" in tool.name.lower())
        answer = await pool.call_tool(long.qualified, {"duration": 1, "steps": 4}, progress=progress)
        assert not answer.is_error
        assert steps
        structured = next(tool for tool in pool.list_tools("everything") if tool.output_schema)
        assert structured.output_schema
        wrong = await pool.call_tool("everything/echo", {})
        assert wrong.is_error
