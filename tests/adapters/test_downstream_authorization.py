"""Downstream servers behind OAuth: the SDK's own protected server over real HTTP; tokens missing, refused, fixed."""

import json
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp.server.auth.provider import AccessToken
from tests.support.downstream import http_entry, open_pool
from tests.support.protected_server import ISSUER, Guard, protected_server

from ostler.adapters.config.paths import Paths
from ostler.adapters.downstream.authorization import Challenge, challenge_of, token_source
from ostler.adapters.downstream.pool import DownstreamPool
from ostler.adapters.downstream.service import McpServerService
from ostler.faces.assembly import open_application
from ostler.model.downstream_errors import Delivery, ServerUnavailableError
from ostler.model.servers import ServerEntry

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]


def entry(port: int, token: str = "") -> ServerEntry:
    return http_entry("vault", port, headers={"Authorization": f"Bearer {token}"} if token else {})


async def refusal(pool: DownstreamPool) -> ServerUnavailableError:
    with pytest.raises(ServerUnavailableError) as caught:
        await pool.call_tool("vault/echo", {"text": "x"})
    assert caught.value.delivery is Delivery.NOT_SENT
    return caught.value


def assert_says_what_to_do(text: str) -> None:
    assert "HTTP 401, invalid_token: Authentication required" in text
    assert f"it takes tokens of {ISSUER}/; its scopes are tools" in text
    assert """set "headers": {"Authorization": "Bearer ${TOKEN}"} of 'vault' in mcp.json""" in text
    assert "service_start vault tries again" in text


async def test_without_a_token_every_answer_says_what_to_do(tmp_path: Path) -> None:
    async with protected_server(Guard()) as guard, open_pool(tmp_path, entry(guard.port)) as pool:
        service = McpServerService(pool, "vault")
        assert_says_what_to_do(str(await refusal(pool)))
        assert service.state == "auth_required"
        assert service.health == "unhealthy"
        assert_says_what_to_do(str(service.view().error))
        with pytest.raises(ServerUnavailableError) as caught:
            await service.start()
        assert_says_what_to_do(str(caught.value))
        with pytest.raises(ServerUnavailableError) as caught:
            await service.restart()
        assert_says_what_to_do(str(caught.value))
        await service.stop()
        assert service.state == "stopped"


async def test_a_token_of_the_wrong_kind_is_told_apart(tmp_path: Path) -> None:
    guard = Guard({"poor-token": []})
    async with protected_server(guard), open_pool(tmp_path, entry(guard.port, "poor-token")) as pool:
        text = str(await refusal(pool))
        assert "HTTP 403, insufficient_scope: Required scope: tools" in text
        assert pool.snapshot("vault").state == "auth_required"
        assert "poor-token" not in text


async def test_a_token_that_loses_its_scope_later(tmp_path: Path) -> None:
    guard = Guard({"a-token": ["tools"]})
    async with protected_server(guard), open_pool(tmp_path, entry(guard.port, "a-token")) as pool:
        service = McpServerService(pool, "vault")
        await service.wait_until(lambda status: status.state == "connected")
        guard.tokens = {"a-token": ["reading"]}
        assert "HTTP 403, insufficient_scope" in str(await refusal(pool))
        await service.wait_until(lambda status: status.state == "auth_required")
        guard.tokens = {"a-token": ["reading", "tools"]}
        await pool.wait_until_connected("vault", 60)
        assert (await pool.call_tool("vault/echo", {"text": "again"})).text == "again"


async def test_a_token_that_is_refused_later_and_fixed(tmp_path: Path) -> None:
    guard = Guard({"first-token": ["tools"]})
    async with protected_server(guard), open_pool(tmp_path, entry(guard.port, "first-token")) as pool:
        service = McpServerService(pool, "vault")
        assert (await pool.call_tool("vault/echo", {"text": "in"})).text == "in"
        assert service.state == "connected"
        guard.tokens = {"second-token": ["tools"]}
        text = str(await refusal(pool))  # the call that meets the refusal says it
        assert "HTTP 401" in text
        assert "'vault' in mcp.json" in text
        await service.wait_until(lambda status: ISSUER in status.reason)
        assert service.state == "auth_required"
        assert_says_what_to_do(str(await refusal(pool)))  # and every one after it
        pool.update(entry(guard.port, "second-token"))
        await pool.wait_until_connected("vault", 60)
        assert (await pool.call_tool("vault/echo", {"text": "again"})).text == "again"
        assert service.state == "connected"
        assert service.last_error is None


class HoldingGuard(Guard):
    """It holds back the answer to one request after it has decided on it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = self.holds_at = 0
        self.held, self.goes_on = anyio.Event(), anyio.Event()

    async def verify_token(self, token: str) -> AccessToken | None:
        self.asked += 1
        found = await super().verify_token(token)
        if self.asked == self.holds_at:
            self.held.set()
            await self.goes_on.wait()
        return found


async def test_a_token_that_becomes_good_is_found_by_starting_also_while_an_attempt_is_being_refused(
    tmp_path: Path,
) -> None:
    guard = HoldingGuard()
    async with protected_server(guard), open_pool(tmp_path, entry(guard.port, "late-token")) as pool:
        service = McpServerService(pool, "vault")
        await service.wait_until(lambda status: status.state == "auth_required")
        guard.holds_at = guard.asked * 2  # the last request of the next attempt
        await guard.held.wait()
        guard.tokens["late-token"] = ["tools"]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(service.start)
            await service.wait_until(lambda status: status.state == "starting")
            guard.goes_on.set()
        assert service.state == "connected"


async def test_the_edited_file_brings_the_server_back(tmp_path: Path, state_dir: Path) -> None:
    paths = Paths(tmp_path / "config", state_dir)
    paths.config_dir.mkdir()

    def write(port: int, **more: Any) -> None:
        server = {"url": f"http://127.0.0.1:{port}/mcp", **more}
        paths.mcp_json.write_text(json.dumps({"mcpServers": {"vault": server}}))

    async with protected_server(Guard({"good-token": ["tools"]})) as guard:
        write(guard.port)
        with anyio.fail_after(30):
            async with open_application(paths) as app:
                service = app.manager.registry.get("vault")
                assert isinstance(service, McpServerService)
                await service.wait_until(lambda status: status.state == "auth_required")
                write(guard.port, headers={"Authorization": "Bearer good-token"})
                await service.wait_until(lambda status: status.state == "connected")
                assert (await app.pool.call_tool("vault/echo", {"text": "hi"})).text == "hi"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", Challenge(401)),
        ("Basic realm=x", Challenge(401)),
        ('Bearer realm="a, b", scope="read write"', Challenge(401, scope="read write")),
        (r'Bearer error="invalid_token", error_description="say \"please\"',
         Challenge(401, "invalid_token")),
        (r'Bearer error_description="say \"please\"", error=invalid_token',
         Challenge(401, "invalid_token", 'say "please"')),
        ('Bearer RESOURCE_METADATA="https://a.example/m"', Challenge(401, metadata_url="https://a.example/m")),
    ],
)  # fmt: skip
async def test_challenges_are_read_as_they_are_written(header: str, expected: Challenge) -> None:
    headers = {"www-authenticate": header} if header else {}
    assert challenge_of(httpx2.Response(401, headers=headers)) == expected


async def test_no_address_elsewhere_is_asked_for_metadata() -> None:
    async with protected_server(Guard()) as guard:
        metadata = f"http://127.0.0.1:{guard.port}/.well-known/oauth-protected-resource/mcp"
        assert ISSUER in await token_source(Challenge(401, metadata_url=metadata), f"http://127.0.0.1:{guard.port}/mcp")
        elsewhere = f"http://localhost:{guard.port}/mcp"
        assert await token_source(Challenge(401, metadata_url=metadata), elsewhere) == ""
        gone = metadata + "/nothing-here"
        assert await token_source(Challenge(401, metadata_url=gone), f"http://127.0.0.1:{guard.port}/mcp") == ""
