"""A team over HTTP: tokens of a file and of a real authorization server come in, a table of hostile requests not."""

import base64
import json
import os
import ssl
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import HMACAlgorithm, RSAAlgorithm
from mcp.client import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl
from tests.support.http_session import Session
from tests.support.jwt_server import SCOPE, JwtServer, jwt_server
from tests.support.ledger_app import call, ledger, server_over
from tests.support.ports import free_port
from tests.support.team import Team, Trail
from tests.support.world import World

from ostler.adapters.access.access_tokens import AccessTokens
from ostler.adapters.access.signing_keys import SigningKeys
from ostler.adapters.access.token_file import TokenFile
from ostler.adapters.stores.standing_by import SeenHolder
from ostler.faces.daemon import http_connections, http_gate, http_tls
from ostler.faces.daemon.forwarding import Forwarder
from ostler.faces.daemon.http import HttpSettings, forwarding_http, serving_http
from ostler.faces.daemon.http_tls import Certificate, CertificateError
from ostler.model.access import OAuthSettings, Principal
from ostler.model.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.realtime]

POLICIES: dict[str, dict[str, Any]] = {"alice": {}, "bob": {"maxRequestBytes": 2000}, "ada": {"admin": True}}


@asynccontextmanager
async def served(tmp_path: Path, **settings: Any) -> AsyncGenerator[tuple[str, Team, TokenFile]]:
    """Serve a team at `/mcp` and `/mcp/core`, with a file of tokens."""
    tokens = TokenFile(tmp_path / "tokens.json")
    async with ledger(World()) as app:
        made = Team(app, dict(POLICIES), Trail())

        def serve(toolset: str, principal: Principal) -> Any:
            names: Any = toolset or "full"
            return server_over(made.application_of(principal), names)

        async with serving_http(
            serve,
            HttpSettings("127.0.0.1", 0, tokens=tokens, **settings),
            version="1",
            toolsets=("core",),
            policy=made.principals.policy,
        ) as url:
            yield url, made, tokens


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncGenerator[Client]:
    async with httpx2.AsyncClient(**options) as http, Client(streamable_http_client(url, http_client=http)) as client:
        yield client


# -- tokens of a file --------------------------------------------------------------------------------------


async def test_a_token_says_whose_services_these_are(tmp_path: Path) -> None:
    async with served(tmp_path) as (url, made, tokens):
        token, _ = tokens.add("alice", "laptop")
        assert token not in tokens.path.read_text()
        assert os.name != "posix" or tokens.path.stat().st_mode & 0o777 == 0o600
        async with connected(url, headers=bearer(token)) as alice:
            await call(alice, "service_create", serviceClassName="basic", name="web")
        assert made.app.manager.view("web.alice").owner == "alice"
        line = made.trail.lines[0]
        assert (line["who"], line["credential"]) == ("alice", "token laptop")
        assert line["from"].startswith("127.0.0.1:")


async def test_the_audit_log_has_the_address_of_the_client_of_a_request_that_another_server_passed_on(
    tmp_path: Path,
) -> None:
    key, standby = b"k" * 32, Forwarder("1")
    async with (
        served(tmp_path, session_key=key) as (url, made, tokens),
        forwarding_http(standby, HttpSettings("127.0.0.1", 0)) as asked,
    ):
        headers = bearer(tokens.add("alice")[0])
        elsewhere = httpx2.AsyncHTTPTransport(local_address="127.0.0.2")
        standby.saw(SeenHolder(1, url.removesuffix("/mcp"), "the other one", key))
        async with connected(asked, headers=headers, transport=elsewhere) as alice:
            await call(alice, "service_create", serviceClassName="basic", name="web")
        standby.saw(SeenHolder(2, url.removesuffix("/mcp"), "of another database", b"x" * 32))
        async with connected(asked, headers=headers) as alice:  # who has no key says nothing that counts
            await call(alice, "service_stop", name="web")
        forged = {"ostler-client": f"127.0.0.3 80 {'0' * 64}"}
        async with connected(url, headers=headers | forged) as alice:
            await call(alice, "service_start", name="web")
        async with connected(asked, headers=headers | forged) as alice:
            await call(alice, "service_delete", name="web")
        came = {line["action"]: line["from"].partition(":")[0] for line in made.trail.lines}
        assert came == {"create": "127.0.0.2", "stop": "127.0.0.1", "start": "127.0.0.1", "delete": "127.0.0.1"}


async def test_a_token_that_is_removed_ends_at_once_and_so_do_its_streams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_gate, "RECHECK", 0.1)
    async with served(tmp_path) as (url, _, tokens), httpx2.AsyncClient(timeout=60) as http:
        token, made = tokens.add("alice")
        ended, _ = tokens.add("alice", lasts=-1)
        session = Session(http, url)
        session.headers |= bearer(token)
        await session.open()
        async with session.stream() as stream:
            tokens.remove(made.id)
            assert (await session.call("service_list")).status_code == 401
            with anyio.fail_after(60):
                async for _ in stream.aiter_bytes():
                    pass
        session.headers |= bearer(ended)
        assert (await session.call("service_list")).status_code == 401


async def test_rates_and_sizes_are_those_of_the_policy(tmp_path: Path) -> None:
    async with served(tmp_path) as (url, made, tokens), httpx2.AsyncClient() as http:
        session = Session(http, url)
        session.headers |= bearer(tokens.add("bob")[0])
        await session.open()
        assert (await session.call("service_list", owner="x" * 3000)).status_code == 413

        async def parts() -> AsyncGenerator[bytes]:
            for _ in range(30):
                yield b" " * 100

        assert (await http.post(url, content=parts(), headers=session.headers)).status_code == 413
        made.policies["bob"] = {"callsPerMinute": 3}
        busy = await session.call("service_list")
        assert busy.status_code == 429
        assert 1 <= int(busy.headers["retry-after"]) <= 60


# -- an authorization server -------------------------------------------------------------------------------


class Memory:
    """Where the client keeps what it was given."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def consenting(url: str, memory: Memory) -> OAuthClientProvider:
    """Return the sign-in of the SDK's client, with a person who consents."""
    back: dict[str, str] = {}

    async def redirect(address: str) -> None:
        async with httpx2.AsyncClient() as browser:
            answer = await browser.get(address)
        back["query"] = urlsplit(answer.headers["location"]).query

    async def callback() -> AuthorizationCodeResult:
        given = dict(part.split("=", 1) for part in back["query"].split("&"))
        return AuthorizationCodeResult(code=given["code"], state=given.get("state"))

    metadata = OAuthClientMetadata(redirect_uris=[AnyUrl("http://127.0.0.1:9/back")], client_name="test", scope=SCOPE)
    return OAuthClientProvider(url, metadata, memory, redirect, callback)


def trusting(server: JwtServer, **changes: Any) -> OAuthSettings:
    return OAuthSettings.model_validate(
        {"issuer": server.issuer, "resource": "https://ostler.example/mcp", "scopes": [SCOPE], **changes}
    )


async def test_a_client_signs_in_at_the_authorization_server_that_the_metadata_names(tmp_path: Path) -> None:
    async with jwt_server() as issuer:
        port = free_port()
        url = f"http://127.0.0.1:{port}/mcp"
        async with served_at(tmp_path, port, trusting(issuer, resource=url)) as made:
            where = f"http://127.0.0.1:{port}/.well-known/oauth-protected-resource/mcp"
            async with httpx2.AsyncClient() as http:
                refused = await http.post(url, json={})
                document = (await http.get(where)).json()
            assert refused.status_code == 401
            challenge = refused.headers["www-authenticate"]
            assert f'resource_metadata="{where}"' in challenge
            assert (document["resource"], document["authorization_servers"]) == (url, [issuer.issuer])
            memory = Memory()
            async with connected(url, auth=consenting(url, memory)) as client:
                await call(client, "service_create", serviceClassName="basic", name="web")
            assert memory.tokens is not None
            assert memory.tokens.access_token == issuer.issued[0]
            assert made.app.manager.view("web.alice").owner == "alice"
            assert made.trail.lines[0]["credential"].startswith("oauth ")


async def test_keys_rotate_and_unknown_ones_cause_no_flood_of_requests(tmp_path: Path) -> None:
    async with (
        jwt_server() as issuer,
        served(tmp_path, oauth=trusting(issuer)) as (url, _, _),
        httpx2.AsyncClient() as http,
    ):
        assert await status_of(http, url, issuer.token(RESOURCE)) == 200
        for _ in range(5):
            assert await status_of(http, url, issuer.token(RESOURCE, {"kid": "made-up"})) == 401
        assert issuer.key_fetches == 1


async def test_tokens_that_arrive_while_the_keys_are_fetched_wait_for_them() -> None:
    async with jwt_server() as issuer:
        verifier = AccessTokens(trusting(issuer), SigningKeys(trusting(issuer)))
        token, found = issuer.token(RESOURCE), list[bool]()

        async def verify() -> None:
            found.append(await verifier.verify_token(token) is not None)

        issuer.held = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(verify)
            await issuer.asked.wait()
            group.start_soon(verify)
            group.start_soon(verify)
            await anyio.wait_all_tasks_blocked()
            assert not found
            issuer.held.set()
        assert found == [True, True, True]
        assert issuer.key_fetches == 1


async def test_a_key_that_was_rotated_is_fetched_once_it_is_needed() -> None:
    async with jwt_server() as issuer:
        verifier = AccessTokens(trusting(issuer), SigningKeys(trusting(issuer), cooldown=0))
        before = issuer.token(RESOURCE)
        assert await verifier.verify_token(before) is not None
        issuer.rotate()
        assert await verifier.verify_token(issuer.token(RESOURCE)) is not None
        assert issuer.key_fetches == 2
        assert await verifier.verify_token(before) is None


# -- hostile requests --------------------------------------------------------------------------------------


async def status_of(http: httpx2.AsyncClient, url: str, token: str, **headers: str) -> int:
    return (await http.post(url, json=INITIALIZE, headers={**PLAIN, **bearer(token), **headers})).status_code


PLAIN = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
RESOURCE = "https://ostler.example/mcp"


def unsigned(server: JwtServer, algorithm: str) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': algorithm, 'kid': server.key_id})}.{part(server.claims(RESOURCE))}."


def with_public_key_as_secret(server: JwtServer) -> str:
    public = server.keys[server.key_id].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": server.key_id}).encode()).decode().rstrip("=")
    body = base64.urlsafe_b64encode(json.dumps(server.claims(RESOURCE)).encode()).decode().rstrip("=")
    mac = HMACAlgorithm(HMACAlgorithm.SHA256).sign(f"{head}.{body}".encode(), pem)
    return f"{head}.{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def with_own_key(server: JwtServer, **head: Any) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = json.loads(RSAAlgorithm.to_jwk(key.public_key()))
    headers = {"kid": server.key_id, **({"jwk": public} if head.get("embedded") else {})}
    return jwt.encode(server.claims(RESOURCE), key, "RS256", headers=headers)


def tampered(token: str) -> str:
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    forged = base64.urlsafe_b64encode(json.dumps({**claims, "sub": "ada"}).encode()).decode().rstrip("=")
    return f"{head}.{forged}.{signature}"


NOW = time.time
HOSTILE_TOKENS: dict[str, tuple[int, Callable[[JwtServer], str]]] = {
    "no token": (401, lambda _: ""),
    "noise": (401, lambda _: "x" * 40),
    "three empty parts": (401, lambda _: ".."),
    "a token of 100 kB": (401, lambda _: "x" * 100_000),
    "algorithm none": (401, lambda server: unsigned(server, "none")),
    "algorithm None": (401, lambda server: unsigned(server, "None")),
    "algorithm HS256 with the public key": (401, with_public_key_as_secret),
    "signed with another key": (401, with_own_key),
    "its key in its header": (401, lambda server: with_own_key(server, embedded=True)),
    "key id unknown": (401, lambda server: server.token(RESOURCE, {"kid": "other"})),
    "key id of a shared key": (401, lambda server: server.token(RESOURCE, {"kid": "shared"})),
    "claims changed": (401, lambda server: tampered(server.token(RESOURCE))),
    "expired": (401, lambda server: server.token(RESOURCE, exp=int(NOW()) - 60)),
    "not yet valid": (401, lambda server: server.token(RESOURCE, nbf=int(NOW()) + 600)),
    "without expiry": (401, lambda server: server.token(RESOURCE, exp=None)),
    "for another audience": (401, lambda server: server.token("https://other.example/mcp")),
    "for an audience that begins alike": (401, lambda server: server.token(f"{RESOURCE}.evil.example")),
    "without audience": (401, lambda server: server.token(RESOURCE, aud=None)),
    "of another issuer": (401, lambda server: server.token(RESOURCE, iss="https://evil.example")),
    "without issuer": (401, lambda server: server.token(RESOURCE, iss=None)),
    "without subject": (401, lambda server: server.token(RESOURCE, sub=None)),
    "with critical headers": (401, lambda server: server.token(RESOURCE, {"crit": ["exp"], "exp": 1})),
    "a logout token": (401, lambda server: server.token(RESOURCE, {"typ": "logout+jwt"})),
    "without the scope": (403, lambda server: server.token(RESOURCE, scope="other")),
    "of someone without a policy": (403, lambda server: server.token(RESOURCE, sub="mallory")),
    "named like the local owner": (403, lambda server: server.token(RESOURCE, sub="local")),
    "named like the holder of the one token": (403, lambda server: server.token(RESOURCE, sub="token")),
    "named like everyone": (403, lambda server: server.token(RESOURCE, sub="*")),
    "a name that only looks like alice's": (403, lambda server: server.token(RESOURCE, sub="Alice")),
}

TRICKS: dict[str, tuple[str, dict[str, str]]] = {
    "the token in the address": ("/mcp?access_token={token}", {}),
    "the token in a cookie": ("/mcp", {"cookie": "access_token={token}; token={token}"}),
    "the token in another header": ("/mcp", {"x-forwarded-access-token": "{token}", "x-api-key": "{token}"}),
    "the basic scheme": ("/mcp", {"authorization": "Basic {token}"}),
    "no scheme": ("/mcp", {"authorization": "{token}"}),
    "two tokens in one header": ("/mcp", {"authorization": "Bearer {token}, Bearer {token}"}),
    "the user in a header": ("/mcp", {"x-forwarded-user": "ada", "x-remote-user": "ada", "remote-user": "ada"}),
    "the address of an open page in a header": ("/mcp", {"x-original-url": "/healthz", "x-rewrite-url": "/healthz"}),
    "another method in a header": ("/mcp", {"x-http-method-override": "GET"}),
    "a path through an open page": ("/healthz/../mcp", {}),
    "the same, encoded": ("/healthz%2f..%2fmcp", {}),
    "two slashes": ("//mcp", {}),
    "a slash at the end": ("/mcp/", {}),
    "another case": ("/MCP", {}),
    "a NUL": ("/mcp%00", {}),
    "a parameter": ("/mcp;open=/healthz", {}),
    "a new page": ("/anything", {}),
    "metrics": ("/metrics", {}),
}


AMBIGUOUS: dict[str, tuple[int, str]] = {
    "two principals": (401, "{bob}{alice}"),
    "two principals, folded": (400, "Authorization: Bearer x\r\n {alice}"),
    "a session of another": (404, "{bob}Mcp-Session-Id: {session}\r\n"),
    "two lengths": (400, "{bob}Content-Length: 5\r\n"),
    "a length and chunks": (400, "{bob}Transfer-Encoding: chunked\r\n"),
    "an encoding that is not known": (400, "{bob}Transfer-Encoding: xchunked\r\n"),
    "a NUL in the token": (400, "Authorization: Bearer x\0x\r\n"),
}


async def test_requests_that_can_be_read_in_two_ways_are_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as (url, made, tokens), httpx2.AsyncClient() as http:
        port = urlsplit(url).port
        assert port is not None
        alice = Session(http, url)
        given = {name: f"Authorization: Bearer {tokens.add(name)[0]}\r\n" for name in ("alice", "bob")}
        alice.headers["authorization"] = given["alice"].partition(": ")[2].strip()
        await alice.open()
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "service_list"}})
        for name, (status, headers) in AMBIGUOUS.items():
            more = headers.format(**given, session=alice.headers["mcp-session-id"])
            head = f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n"
            head += "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
            async with await anyio.connect_tcp("127.0.0.1", port) as connection:
                with suppress(anyio.BrokenResourceError):  # it is answered before all of it is sent
                    await connection.send(f"{head}{more}\r\n{body}".encode())
                with anyio.fail_after(60):
                    assert (await connection.receive()).split()[1] == str(status).encode(), name
        assert made.trail.lines == []


async def test_a_request_that_does_not_arrive_holds_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connections, "READ_SECONDS", 0.2)
    async with served(tmp_path) as (url, _, tokens):
        where = urlsplit(url)
        head = f"POST /mcp HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: Bearer {tokens.add('bob')[0]}\r\n"
        async with await anyio.connect_tcp("127.0.0.1", where.port or 0) as connection:
            await connection.send(f'{head}Content-Length: 900\r\n\r\n{{"json'.encode())
            with anyio.fail_after(60):
                answer = await connection.receive()
        assert answer.startswith(b"HTTP/1.1 408 ")


async def test_hostile_tokens_are_refused(tmp_path: Path) -> None:
    async with (
        jwt_server() as issuer,
        served(tmp_path, oauth=trusting(issuer)) as (url, made, _),
        httpx2.AsyncClient(timeout=60) as http,
    ):
        assert await status_of(http, url, issuer.token(RESOURCE)) == 200
        for name, (status, token) in HOSTILE_TOKENS.items():
            given = token(issuer)
            headers = {**PLAIN, **(bearer(given) if given else {})}
            answer = await http.post(url, json=INITIALIZE, headers=headers)
            assert answer.status_code == status, name
            assert "mcp-session-id" not in answer.headers, name
            assert status == 403 or answer.headers["www-authenticate"].startswith("Bearer"), name
        short = await http.post(url, json=INITIALIZE, headers={**PLAIN, **bearer(issuer.token(RESOURCE, scope="x"))})
        assert 'error="insufficient_scope"' in short.headers["www-authenticate"]
        assert made.trail.lines == []


async def test_tricks_with_headers_and_paths_are_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as (url, made, tokens), httpx2.AsyncClient() as http:
        token, _ = tokens.add("alice")
        root = url.removesuffix("/mcp")
        for name, (path, headers) in TRICKS.items():
            filled = {key: value.format(token=token) for key, value in headers.items()}
            answer = await http.post(root + path.format(token=token), json=INITIALIZE, headers={**PLAIN, **filled})
            assert answer.status_code in (401, 404, 405), (name, answer.status_code)
            assert "mcp-session-id" not in answer.headers, name
        twice = [*PLAIN.items(), *bearer(token).items(), *bearer("other").items()]
        assert (await http.post(url, json=INITIALIZE, headers=twice)).status_code == 401
        assert (await http.get(f"{root}/metrics", headers=bearer(token))).status_code == 403
        assert (await http.get(f"{root}/healthz")).status_code == 200
        assert made.trail.lines == []


@pytest.mark.parametrize("path", ["", "/core"])
async def test_a_session_is_of_one_principal_on_one_path(path: str, tmp_path: Path) -> None:
    async with served(tmp_path) as (url, _, tokens), httpx2.AsyncClient() as http:
        alice, other = Session(http, url), Session(http, f"{url}{path}")
        alice.headers |= bearer(tokens.add("alice")[0])
        await alice.open()
        other.headers |= bearer(tokens.add("bob" if not path else "alice", "second")[0])
        other.headers["mcp-session-id"] = alice.headers["mcp-session-id"]
        assert (await other.call("service_list")).status_code == 404
        assert (await other.delete()).status_code == 404
        assert (await alice.call("service_list")).status_code == 200


# -- TLS ---------------------------------------------------------------------------------------------------


def certificate(folder: Path, name: str = "one", *hosts: str) -> Certificate:
    """Make a certificate of this machine's loopback address, and of `hosts`."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    address = x509.IPAddress(ip_address("127.0.0.1"))
    named = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(named)
        .issuer_name(named)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address, *map(x509.DNSName, hosts)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    files = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    files.chain.write_bytes(made.public_bytes(pem))
    plain = serialization.NoEncryption()
    files.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return files


def shakes_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    """Whether a client that verifies comes to terms with a server, over buffers alone."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in list(ends):
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
                ends.remove(end)
    return not ends


async def test_https_is_served_with_the_certificate_and_plain_http_is_not(tmp_path: Path) -> None:
    tls = certificate(tmp_path)
    async with served(tmp_path, tls=tls) as (url, _, tokens):
        assert url.startswith("https://127.0.0.1:")
        trust = ssl.create_default_context(cafile=str(tls.chain))
        async with connected(url, headers=bearer(tokens.add("alice")[0]), verify=trust) as alice:
            assert (await call(alice, "service_list"))["total"] == 0
        async with httpx2.AsyncClient() as http:
            with pytest.raises(httpx2.HTTPError):
                await http.get(url.replace("https://", "http://"))
            with pytest.raises(httpx2.HTTPError):
                await http.get(url)


async def test_a_renewed_certificate_counts_with_its_new_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http_tls, "RELOAD", 0.05)
    tls = certificate(tmp_path, "one", "old.example")
    async with served(tmp_path, tls=tls) as (url, _, tokens):
        token = bearer(tokens.add("alice")[0])

        async def status_of(host: str) -> int:
            trust = ssl.create_default_context(cafile=str(tls.chain))
            async with httpx2.AsyncClient(verify=trust) as http:
                page = {"host": host, "origin": f"https://{host}"}
                answer = await http.options(url, headers={**page, "access-control-request-method": "POST"})
                assert (answer.status_code == 200) == ("access-control-allow-origin" in answer.headers)
                return (await http.get(url, headers={**token, **page})).status_code

        assert await status_of("old.example") != 421
        assert await status_of("new.example") == 421
        certificate(tmp_path, "one", "new.example")
        with anyio.fail_after(60):
            while True:
                with suppress(httpx2.ConnectError):  # the old one still is in use
                    if await status_of("new.example") != 421:
                        break
        assert await status_of("old.example") == 421
    assert f"the certificate {tls.chain} expires at 20" in caplog.text
    now = datetime.now(UTC)
    assert tls.ending(now - timedelta(days=20)) == ""
    assert f"the certificate {tls.chain} expired at 20" in tls.ending(now + timedelta(days=2))


def test_a_certificate_that_cannot_be_used_is_reported_with_its_file(tmp_path: Path) -> None:
    one, two = certificate(tmp_path), certificate(tmp_path, "two")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    one.load_into(context)
    for half in (Certificate(one.chain, two.key), Certificate(two.chain, one.key)):
        with pytest.raises(CertificateError, match="the key is the certificate's own"):
            half.load_into(context)
    assert shakes_hands(context, ssl.create_default_context(cafile=str(one.chain)))
    with pytest.raises(CertificateError, match=r"--tls-key .*gone.* cannot be read"):
        Certificate(one.chain, tmp_path / "gone").load_into(context)


@asynccontextmanager
async def served_at(tmp_path: Path, port: int, oauth: OAuthSettings) -> AsyncGenerator[Team]:
    del tmp_path
    async with ledger(World()) as app:
        made = Team(app, dict(POLICIES), Trail())

        def serve(toolset: str, principal: Principal) -> Any:
            del toolset
            return server_over(made.application_of(principal))

        settings = HttpSettings("127.0.0.1", port, oauth=oauth)
        async with serving_http(serve, settings, version="1", policy=made.principals.policy):
            yield made


def test_settings_of_the_authorization_server_are_checked() -> None:
    good = {"issuer": "https://id.example", "resource": "https://ostler.example/mcp"}
    Settings.model_validate({"oauth": good})
    for wrong in (
        {"issuer": "http://id.example"},
        {"algorithms": ["none"]},
        {"algorithms": ["HS256"]},
        {"issuer": "x"},
    ):
        with pytest.raises(ValueError, match="oauth"):
            Settings.model_validate({"oauth": {**good, **wrong}})
