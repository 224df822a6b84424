"""Signing in to servers behind OAuth: the SDK's own authorization server over real HTTP, and a scripted browser."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyUrl
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from tests.support.downstream import http_entry
from tests.support.oauth_server import AuthorizationServer, browse, oauth_server
from tests.support.scarce_files import no_free_file
from tests.support.web import LateApp, echoing, serving

from ostler.adapters.downstream.header_helpers import run_helper
from ostler.adapters.downstream.pool import DownstreamPool
from ostler.adapters.signing_in.callback import open_callback, read_answer
from ostler.adapters.signing_in.consent import Grant
from ostler.adapters.signing_in.grants import Grants
from ostler.adapters.signing_in.login import revoke, sign_in
from ostler.adapters.signing_in.vault import Vault
from ostler.engine.clock import SystemClock
from ostler.model.downstream_errors import ServerUnavailableError
from ostler.model.errors import OperationError, StoreError
from ostler.model.servers import OAuthClient, ServerEntry

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]


async def consent(entry: ServerEntry, *scopes: str, port: int = 0) -> Grant:
    """Sign in as a person does who says yes."""
    pages: list[str] = []

    async def show(address: str) -> None:
        pages.append(await browse(address))

    with anyio.fail_after(30):
        async with open_callback(port) as callback:
            grant = await sign_in(entry, callback.url, show=show, wait=callback.wait, scopes=scopes)
    assert "You are signed in" in pages[0]
    return grant


def pool_of(folder: Path, entry: ServerEntry, grants: Grants) -> DownstreamPool:
    return DownstreamPool(
        {entry.name: entry},
        builtin={},
        log_dir=folder / "logs",
        environment=os.environ,
        clock=SystemClock(),
        grants=grants,
    )


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_a_person_signs_in_and_the_server_is_used(tmp_path: Path, transport: str) -> None:
    grants, sse = Grants(Vault(tmp_path / "secrets")), transport == "sse"
    async with oauth_server(AuthorizationServer(), sse=sse) as server:
        entry = http_entry("vault", server.port, sse=sse, transport=transport)
        async with pool_of(tmp_path, entry, grants) as pool:
            with pytest.raises(ServerUnavailableError) as caught:
                await pool.call_tool("vault/echo", {"text": "x"})
            assert "Next: ostler servers login vault;" in str(caught.value)
            await grants.keep("vault", await consent(entry))
            pool.connect("vault")
            await pool.wait_until_connected("vault", 60)
            assert (await pool.call_tool("vault/echo", {"text": "in"})).text == "in"
        assert len(server.issued) == 1
        [client] = server.clients.values()
        assert client.client_name == "Ostler"


async def test_a_token_that_ends_is_renewed_and_the_new_one_kept(tmp_path: Path) -> None:
    grants = Grants(Vault(tmp_path / "secrets"))
    async with oauth_server(AuthorizationServer(lifetime=1)) as server:
        entry = http_entry("vault", server.port)
        await grants.keep("vault", await consent(entry))
        server.lifetime = 3600
        async with pool_of(tmp_path, entry, grants) as pool:
            async with anyio.create_task_group() as tasks:  # many requests at once renew it once
                for text in ("a", "b", "c"):
                    tasks.start_soon(pool.call_tool, "vault/echo", {"text": text})
            assert len(server.issued) == 2
            kept = await grants.of(entry)
            assert kept is not None
            assert kept.tokens.access_token == server.issued[1]
            server.access.clear()  # the server forgets the token before its time
            assert (await pool.call_tool("vault/echo", {"text": "again"})).text == "again"
            assert len(server.issued) == 3


async def test_a_sign_in_that_was_revoked_is_asked_for_again(tmp_path: Path) -> None:
    grants = Grants(Vault(tmp_path / "secrets"))
    async with oauth_server(AuthorizationServer()) as server:
        entry = http_entry("vault", server.port)
        grant = await consent(entry)
        await grants.keep("vault", grant)
        assert await revoke(grant)
        async with pool_of(tmp_path, entry, grants) as pool:
            with pytest.raises(ServerUnavailableError) as caught:
                await pool.call_tool("vault/echo", {"text": "x"})
            assert "ostler servers login vault" in str(caught.value)
            assert pool.snapshot("vault").state == "auth_required"
        kept = await grants.of(entry)
        assert kept is not None
        assert kept.tokens.refresh_token is None  # it is not asked for in vain again


async def test_a_grant_is_for_one_address(tmp_path: Path) -> None:
    grants = Grants(Vault(tmp_path / "secrets"))
    async with oauth_server(AuthorizationServer()) as server:
        entry = http_entry("vault", server.port)
        await grants.keep("vault", await consent(entry))
        elsewhere = entry.model_copy(update={"url": entry.url.replace("127.0.0.1", "localhost")})
        assert await grants.of(elsewhere) is None
        assert await grants.of(entry) is not None
        assert await grants.forget("vault")
        assert await grants.of(entry) is None
        assert not await grants.forget("vault")


async def test_the_scopes_that_are_asked_for_are_granted() -> None:
    async with oauth_server(AuthorizationServer()) as server:
        entry = http_entry("vault", server.port)
        assert (await consent(entry, "tools", "more")).tokens.scope == "tools more"
        written = entry.model_copy(update={"oauth": OAuthClient(scopes=("more", "tools"))})
        assert (await consent(written)).tokens.scope == "more tools"


async def test_a_client_of_the_entry_is_used_instead_of_a_new_one() -> None:
    async with oauth_server(AuthorizationServer(registers=False)) as server:
        entry = http_entry("vault", server.port)
        async with open_callback() as callback:
            port = callback.port
        with pytest.raises(OperationError) as caught:
            await consent(entry, port=port)
        text = str(caught.value)
        assert "the sign-in to server 'vault' failed: Ostler could not register itself" in text
        assert f"""write "oauth": {{"clientId": "…", "callbackPort": {port}}} into the entry of 'vault'""" in text
        await server.register_client(
            OAuthClientInformationFull(
                client_id="mine",
                client_secret="hush-hush",
                redirect_uris=[AnyUrl(f"http://localhost:{port}/callback")],
                token_endpoint_auth_method="client_secret_post",
                scope="tools",
            )
        )
        own = entry.model_copy(update={"oauth": OAuthClient(client_id="mine", client_secret="hush-hush")})
        assert (await consent(own, port=port)).client.client_id == "mine"
        assert list(server.clients) == ["mine"]


async def test_a_person_who_says_no_is_heard() -> None:
    async with oauth_server(AuthorizationServer(denies=True)) as server:
        with pytest.raises(OperationError) as caught:
            await consent(http_entry("vault", server.port))
        assert "the sign-in was refused: access_denied: not today" in str(caught.value)


async def test_a_server_that_asks_no_one_to_sign_in_is_said_so() -> None:
    async with oauth_server(AuthorizationServer()) as server:
        entry = http_entry("vault", server.port).model_copy(update={"url": server.url.replace("/mcp", "/nowhere")})
        with pytest.raises(OperationError) as caught:
            await consent(entry)
        assert "does not ask anybody to sign in: it answered HTTP 40" in str(caught.value)


@pytest.mark.parametrize("address", ["/", "/callback", "/callback?state=x", "http://localhost:1/other?code=x"])
async def test_other_addresses_are_no_end_of_a_sign_in(address: str) -> None:
    with pytest.raises(ValueError, match="not the address"):
        read_answer(address)


class DesktopKeyring(KeyringBackend):
    """A keyring as a desktop has one; `locked` as long as its owner is away."""

    priority = 1  # pyright: ignore[reportAssignmentType]  # as the library documents it

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._check()
        if self.kept.pop((service, username), None) is None:
            raise PasswordDeleteError

    def _check(self) -> None:
        if self.locked:
            raise KeyringLocked("the keyring is locked")


def test_secrets_go_to_the_keyring_and_else_to_files_of_the_user(tmp_path: Path) -> None:
    desktop = DesktopKeyring()
    vault = Vault(tmp_path / "secrets", desktop)
    vault.set("a", "first-secret")
    assert "first-secret" in desktop.kept.values()
    assert all("first-secret" not in path.read_text() for path in (tmp_path / "secrets").iterdir())
    assert vault.get("a") == "first-secret"
    desktop.locked = True
    with pytest.raises(StoreError, match="in the keyring, which cannot be read: the keyring is locked"):
        vault.get("a")
    with pytest.raises(StoreError, match="there is no keyring in the session"):
        Vault(tmp_path / "secrets").get("a")
    vault.set("b", "second-secret")  # it must go somewhere
    [file] = [path for path in (tmp_path / "secrets").iterdir() if "second-secret" in path.read_text()]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    desktop.locked = False
    vault.set("a", "third-secret")
    assert list(desktop.kept.values()) == ["third-secret"]
    assert (vault.names(), vault.delete("a"), vault.delete("a"), desktop.kept) == (["a", "b"], True, False, {})


def test_names_that_differ_in_case_and_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    vault.set("User", "one")
    vault.set("user", "two")
    assert (vault.get("User"), vault.get("user")) == ("one", "two")
    assert not vault.delete(os.fsdecode(b"caf\xe9")), "a name as the command line may give it"
    program = (
        "import sys\nfrom pathlib import Path\nfrom ostler.adapters.signing_in.vault import Vault\n"
        "for n in range(20): Vault(Path(sys.argv[1])).set(f'{sys.argv[2]}-{n}', 'x')"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), str(number)]) for number in range(3)]
    assert [writer.wait(30) for writer in writers] == [0, 0, 0]
    assert len(vault.names()) == 62


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    vault.set("a", "x")
    [file] = tmp_path.iterdir()
    file.write_text("{")
    assert vault.get("a") is None
    vault.set("a", "y")
    assert vault.get("a") == "y"


def helper_entry(port: int, script: str, folder: Path) -> ServerEntry:
    program = folder / "helper.py"
    program.write_text(script)
    return http_entry("vault", port, headers={"X-Static": "1"}, headers_helper=f"{sys.executable} -S {program}")


async def test_headers_of_a_helper_are_sent_and_made_again_for_each_connection(tmp_path: Path) -> None:
    async with oauth_server(AuthorizationServer()) as server:
        token = tmp_path / "token"
        token.write_text((await consent(http_entry("vault", server.port))).tokens.access_token)
        script = (
            "import json, os\n"
            "assert os.environ['CLAUDE_CODE_MCP_SERVER_NAME'] == 'vault'\n"
            f"print(json.dumps({{'Authorization': 'Bearer ' + open({str(token)!r}).read()}}))"
        )
        entry = helper_entry(server.port, script, tmp_path)
        async with pool_of(tmp_path, entry, Grants(Vault(tmp_path / "secrets"))) as pool:
            assert (await pool.call_tool("vault/echo", {"text": "in"})).text == "in"
            attempts = pool.snapshot("vault").attempts
            for _ in range(2):
                old = set(server.access)
                token.write_text((await consent(http_entry("vault", server.port))).tokens.access_token)
                for each in old:
                    del server.access[each]
                answer = await pool.call_tool("vault/echo", {"text": "new token"})
                assert (answer.text, pool.snapshot("vault").attempts) == ("new token", attempts), "it was not lost"
            server.access.clear()
            with pytest.raises(ServerUnavailableError):
                await pool.call_tool("vault/echo", {"text": "x"})
            token.write_text((await consent(http_entry("vault", server.port))).tokens.access_token)
            pool.restart("vault")
            await pool.wait_until_connected("vault", 60)
            assert (await pool.call_tool("vault/echo", {"text": "again"})).text == "again"


async def test_headers_that_were_looked_up_are_masked_where_a_server_repeats_them(tmp_path: Path) -> None:
    good = {"Bearer first-of-the-tokens"}
    late = LateApp()

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        sent = Headers(scope=scope).get("authorization", "")
        if sent in good:
            await late(scope, receive, send)
            return
        said = f'Bearer error="invalid_token", error_description="{sent} is not good"'
        await Response("", 401, {"www-authenticate": said})(scope, receive, send)

    token = tmp_path / "token"
    token.write_text("first-of-the-tokens")
    script = f"print('{{\"Authorization\": \"Bearer ' + open({str(token)!r}).read() + '\"}}')"
    async with serving(guarded, lifespan="off") as port, echoing(late, MCPServer("quoting")):
        entry = helper_entry(port, script, tmp_path)
        async with pool_of(tmp_path, entry, Grants(Vault(tmp_path / "secrets"))) as pool:
            assert (await pool.call_tool("vault/echo", {"text": "in"})).text == "in"
            good.clear()
            token.write_text("second-of-the-tokens")
            with pytest.raises(ServerUnavailableError) as caught:
                await pool.call_tool("vault/echo", {"text": "x"})
            assert "invalid_token: *** is not good" in str(caught.value)
            pool.restart("vault")
            with pytest.raises(ServerUnavailableError, match=r"invalid_token: \*\*\* is not good"):
                await pool.call_tool("vault/echo", {"text": "x"})
            assert "invalid_token: *** is not good" in pool.snapshot("vault").reason
        grants, entry = Grants(Vault(tmp_path / "grants")), http_entry("vault", port)
        tokens = OAuthToken(access_token="third-of-the-tokens")
        await grants.keep(
            "vault", Grant(url=entry.url, tokens=tokens, client=OAuthClientInformationFull(client_id="x"))
        )
        async with pool_of(tmp_path, entry, grants) as pool:
            with pytest.raises(ServerUnavailableError, match=r"invalid_token: Bearer \*\*\* is not good"):
                await pool.call_tool("vault/echo", {"text": "x"})


async def test_a_helper_for_which_nothing_is_free_has_failed() -> None:
    with no_free_file():
        said, code, complaint = await run_helper("true", os.environ)
    assert (said, code) == (b"", 126)
    assert "Too many open files" in complaint


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import sys; sys.exit('no vault here')", "ended with 1: no vault here"),
        ("print('Bearer x')", "did not print JSON"),
        ("print('{\"a\": 1}')", "did not print an object of texts"),
        ("print('[]')", "did not print an object of texts"),
        ('print(\'{"a": "x\\\\r\\\\nHost: evil"}\')', "did not print an object of texts"),
    ],
)
async def test_a_helper_that_fails_is_the_reason(tmp_path: Path, script: str, said: str) -> None:
    entry = helper_entry(1, script, tmp_path)
    async with pool_of(tmp_path, entry, Grants(Vault(tmp_path / "secrets"))) as pool:
        with pytest.raises(ServerUnavailableError) as caught:
            await pool.call_tool("vault/echo", {"text": "x"})
        assert said in str(caught.value)
        assert "headersHelper" in str(caught.value)
