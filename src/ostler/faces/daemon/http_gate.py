"""The gate in front of everything that is served over HTTP: authentication, rate and size limits.

Every path is behind it but those that are listed as open: a new route is closed until someone opens it. What is not
MCP shows more than one principal's services, and is for admins.
"""

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import TokenVerifier
from msgspec import Struct
from starlette.authentication import AuthCredentials
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ostler.adapters.access.proofs import ProvenToken
from ostler.faces.access.rate import Rate
from ostler.faces.daemon.http_answers import PRINCIPAL, Answering, answer_json
from ostler.faces.daemon.http_pages import OPEN_PATHS
from ostler.faces.daemon.http_paths import ROOT
from ostler.model.access import Principal, PrincipalSettings

MINUTE: Final = 60.0

RECHECK: Final = 5.0
"""Seconds after which the token of a request that is still under way, such as a stream, is verified again."""

MAX_RATED: Final = 10_000
"""Principals whose requests are counted; those who came first are forgotten first."""

logger = logging.getLogger(__name__)


class Entrance(Struct, frozen=True):
    """What decides which requests are let in.

    Attributes:
        verifier: says what a token proves.
        policy: returns the policy of a principal by name; None: it has none, and is refused.
        metadata_url: where the document is that names the authorization server; empty without one.
        scopes: what a token of the authorization server must have, all of them.
        open_paths: further paths that are open to everyone.
    """

    verifier: TokenVerifier
    policy: Callable[[str], PrincipalSettings | None]
    metadata_url: str = ""
    scopes: tuple[str, ...] = ()
    open_paths: frozenset[str] = frozenset()


class Gate:
    """Lets authenticated requests through; refuses others before reading anything of them."""

    def __init__(self, app: ASGIApp, entrance: Entrance) -> None:
        self._app = app
        self._entrance = entrance
        self._open = OPEN_PATHS | entrance.open_paths
        self._rates: dict[str, Rate] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"] in self._open):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":  # no web sockets are served
            try:
                guest = await self._admit(scope)
                await self._serve(guest, scope, receive, send)
            except _RefusedError as refusal:
                await refusal.answer(send)

    async def _admit(self, scope: Scope) -> "_Guest":
        """Return who sends a request.

        Raises:
            _RefusedError: they may not come in.
        """
        token, problem = _token_of(scope["headers"])
        proven = await self._entrance.verifier.verify_token(token) if token else None
        if not isinstance(proven, ProvenToken):
            raise self._challenge(401, "invalid_token" if token or problem else "", problem or _UNPROVEN)
        who = proven.principal
        missing = [name for name in self._entrance.scopes if proven.is_delegated and name not in proven.scopes]
        if missing:
            raise self._challenge(403, "insufficient_scope", f"the token lacks the scope {' '.join(missing)}")
        if who.unrestricted:
            return _Guest(proven, token, None)
        policy = self._entrance.policy(who.name)
        if policy is None:
            logger.warning("refused %s (%s), who has no policy", who.name, who.credential)
            raise _RefusedError(403, "no_policy", _NO_POLICY.format(name=who.name))
        if not (policy.admin or scope["path"] == ROOT or scope["path"].startswith(f"{ROOT}/")):
            raise _RefusedError(403, "admins_only", _ADMINS_ONLY)
        if wait := self._rate_of(who.name).take(policy.calls_per_minute):
            text = f"{who.name!r} sent {policy.calls_per_minute} requests within a minute (callsPerMinute)"
            raise _RefusedError(429, "too_many_requests", text, ((b"retry-after", str(wait).encode()),))
        if _announced_size(scope["headers"]) > policy.max_request_bytes:
            raise _too_large(who, policy)
        return _Guest(proven, token, policy)

    async def _serve(self, guest: "_Guest", scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an admitted request as long as its token is valid.

        Raises:
            _RefusedError: it was ended before anything was answered.
        """
        proven, policy = guest.proven, guest.policy
        known = {PRINCIPAL: proven.principal, "user": AuthenticatedUser(proven), "auth": AuthCredentials(proven.scopes)}
        answering = Answering(send)
        is_done = False
        tasks = anyio.create_task_group()
        reading = _Bounded(receive, None if policy is None else int(policy.max_request_bytes), tasks.cancel_scope)
        async with tasks:
            tasks.start_soon(self._watch, guest, tasks.cancel_scope)
            await self._app({**scope, **known}, reading, answering)
            is_done = True
            tasks.cancel_scope.cancel()
        if is_done or answering.has_begun:
            await answering.finish()
            return
        if reading.is_exceeded and policy is not None:
            raise _too_large(proven.principal, policy)
        raise self._challenge(401, "invalid_token", _UNPROVEN)

    async def _watch(self, guest: "_Guest", request: anyio.CancelScope) -> None:
        """End a running request when its token is no longer valid."""
        who = guest.proven.principal
        while True:
            await anyio.sleep(RECHECK)
            proven = await self._entrance.verifier.verify_token(guest.token)
            is_welcome = who.unrestricted or self._entrance.policy(who.name) is not None
            if not isinstance(proven, ProvenToken) or proven.principal != who or not is_welcome:
                logger.info("the token of %s (%s) is no longer valid: a request is ended", who.name, who.credential)
                request.cancel()
                return

    def _rate_of(self, name: str) -> Rate:
        if name not in self._rates and len(self._rates) >= MAX_RATED:
            del self._rates[next(iter(self._rates))]
        return self._rates.setdefault(name, Rate(MINUTE))

    def _challenge(self, status: int, error: str, text: str) -> "_RefusedError":
        """Return a refusal that describes how to authenticate, as RFC 6750 and RFC 9728 define it."""
        facts = [f'error="{error}"', f'error_description="{text}"'] if error else []
        if self._entrance.scopes:
            facts.append(f'scope="{" ".join(self._entrance.scopes)}"')
        if self._entrance.metadata_url:
            facts.append(f'resource_metadata="{self._entrance.metadata_url}"')
        challenge = f"Bearer {', '.join(facts)}".strip()
        return _RefusedError(status, error or "invalid_token", text, ((b"www-authenticate", challenge.encode()),))


_UNPROVEN: Final = "a valid bearer token is required"
_ADMINS_ONLY: Final = "this page shows what belongs to everyone, so it is for admins"
_NO_POLICY: Final = (
    "{name!r} is known and has no policy here. Next: the person who runs this Ostler adds [principals.{name}] to "
    "ostler.toml"
)


class _Bounded:
    """Reads a request up to its limit, and ends it there."""

    def __init__(self, receive: Receive, limit: int | None, request: anyio.CancelScope) -> None:
        self._receive = receive
        self._limit = limit
        self._request = request
        self._read = 0

    @property
    def is_exceeded(self) -> bool:
        """Whether the request has more bytes than it may."""
        return self._limit is not None and self._read > self._limit

    async def __call__(self) -> Message:
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if self.is_exceeded:
            self._request.cancel()
            await anyio.sleep_forever()  # which the cancellation ends
        return message


def _token_of(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str]:
    """Return the bearer token of a request, or an empty one, and what is wrong with its header."""
    given = [value for name, value in headers if name.lower() == b"authorization"]
    if len(given) > 1:
        return "", "one Authorization header is required, not several"
    scheme, _, token = (given[0] if given else b"").strip(b" \t").partition(b" ")
    if scheme.lower() != b"bearer":
        return "", ""
    return token.strip(b" \t").decode("latin-1"), ""


def _announced_size(headers: Iterable[tuple[bytes, bytes]]) -> int:
    sizes = [value for name, value in headers if name.lower() == b"content-length"]
    return max((int(size) for size in sizes if size.strip().isdigit()), default=0)


def _too_large(who: Principal, policy: PrincipalSettings) -> "_RefusedError":
    text = f"a request of {who.name!r} may have {int(policy.max_request_bytes)} bytes (maxRequestBytes)"
    return _RefusedError(413, "too_large", text)


@dataclass(frozen=True, slots=True)
class _Guest:
    """The sender of a request: what the token proves, the token, and the policy; None if unrestricted."""

    proven: ProvenToken
    token: str = field(repr=False)
    policy: PrincipalSettings | None


class _RefusedError(Exception):
    """A request is not let through; the attributes are the answer."""

    def __init__(self, status: int, error: str, text: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.error = error
        self.text = text
        self.headers = headers

    async def answer(self, send: Send) -> None:
        """Send the refusal."""
        body = json.dumps({"error": self.error, "error_description": self.text}).encode()
        await answer_json(send, self.status, body, self.headers)
