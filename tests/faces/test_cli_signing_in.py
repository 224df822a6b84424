"""`ostler servers login` and `logout` as a person runs them: a real authorization server and a scripted browser."""

import json
import os
import sys
from pathlib import Path

import anyio
import httpx2
import pytest
from processes.bridge_client import clean_place
from processes.command_line import CommandLine
from tests.support.oauth_server import AuthorizationServer, oauth_server

from ostler.adapters.config.paths import Paths
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.cli.session import ExitStatus

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

BROWSER = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=60).read()"


async def ostler(place: ServerPlace, *arguments: str, browser: str = "") -> tuple[int, str, str]:
    command = [sys.executable, "-m", "ostler.faces.entry", "--config", place.config_dir, "--state", place.state_dir]
    done = await anyio.run_process([*command, *arguments], check=False, env={**os.environ, "BROWSER": browser})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def test_signing_in_and_out(state_dir: Path, tmp_path: Path) -> None:
    browser = tmp_path / "browser.py"
    browser.write_text(BROWSER)
    async with oauth_server(AuthorizationServer()) as server:
        with clean_place(state_dir) as place:
            servers = {"vault": {"url": server.url}, "local": {"command": "x", "disabled": True}}
            place.paths.mcp_json.parent.mkdir(parents=True, exist_ok=True)
            place.paths.mcp_json.write_text(json.dumps({"mcpServers": servers}))
            status, _, err = await ostler(place, "call", "vault/echo", "--args-json", '{"text": "x"}')
            assert status == 1
            assert "Next: ostler servers login vault" in err
            _, out, _ = await ostler(place, "servers", "--json")
            vault = next(one for one in json.loads(out)["mcpServers"] if one["name"] == "vault")
            assert vault["state"] == "auth_required"
            assert "ostler servers login vault" in vault["reason"]
            status, out, err = await ostler(
                place, "servers", "login", "vault", browser=f"{sys.executable} {browser} %s"
            )
            assert status == 0, err
            assert f"http://127.0.0.1:{server.port}/authorize?" in out
            assert "signed in to 'vault'" in out
            assert server.issued[0] not in out + err
            status, out, err = await ostler(place, "call", "vault/echo", "--args-json", '{"text": "in"}')
            assert (status, out.strip()) == (0, "in"), err
            status, out, _ = await ostler(place, "servers", "logout", "vault")
            assert (status, out.strip()) == (0, "signed out of 'vault'")
            assert server.access == {}, "the tokens were revoked"
            status, _, err = await ostler(place, "call", "vault/echo", "--args-json", '{"text": "x"}')
            assert status == 1
            assert "ostler servers login vault" in err


async def test_signing_in_with_a_browser_elsewhere(state_dir: Path) -> None:
    """`--paste`: the person copies the address that the browser ended at, and the first time copies a wrong one."""
    with clean_place(state_dir) as place:
        async with oauth_server(AuthorizationServer()) as server:
            place.paths.mcp_json.parent.mkdir(parents=True)
            place.paths.mcp_json.write_text(json.dumps({"mcpServers": {"vault": {"url": server.url}}}))
            command = [
                sys.executable,
                "-m",
                "ostler.faces.entry",
                "--config",
                place.config_dir,
                "--state",
                place.state_dir,
            ]
            async with await anyio.open_process([*command, "servers", "login", "vault", "--paste"]) as process:
                assert process.stdin is not None
                assert process.stdout is not None
                said = b""
                while b"/authorize?" not in said or b"\n" not in said.partition(b"/authorize?")[2]:
                    said += await process.stdout.receive()
                [address] = [word for word in said.decode().split() if "/authorize?" in word]
                async with httpx2.AsyncClient(follow_redirects=False, trust_env=False) as browser:
                    ended_at = (await browser.get(address)).headers["location"]
                assert ended_at.startswith("http://localhost:8765/")
                await process.stdin.send(b"http://localhost:8765/callback?nothing=here\n")
                await process.stdin.send(f"{ended_at}\n".encode())
                async for more in process.stdout:
                    said += more
                assert process.stderr is not None
                complaints = b"".join([part async for part in process.stderr])
                assert await process.wait() == 0, complaints
            assert b"signed in to 'vault'" in said
            assert len(server.issued) == 1


def test_who_cannot_be_signed_in_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ostler = CommandLine(ServerPlace(Paths(tmp_path, tmp_path / "state")), capsys)
    servers = {"vault": {"url": "https://h.example/mcp", "headers": {"authorization": "x"}}, "local": {"command": "x"}}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": servers}))
    assert ostler.run("servers", "login", "local") == ExitStatus.FAILED
    assert "a program on this machine" in ostler.err
    assert ostler.run("servers", "login", "vaults") == ExitStatus.NOT_FOUND
    assert "it has: local, vault" in ostler.err
    assert ostler.run("servers", "login", "vault") == ExitStatus.FAILED
    assert "remove that header in mcp.json" in ostler.err
    assert ostler.run("servers", "logout", "vault") == ExitStatus.NOT_FOUND
    assert "no one is signed in to 'vault'" in ostler.err
