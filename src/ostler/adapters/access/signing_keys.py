"""The public keys of an authorization server: fetched when they are needed, and again when they rotate."""

import logging
import math
from typing import Any, Final, cast
from urllib.parse import urlsplit

import anyio
import httpx2
from jwt import PyJWK, PyJWTError

from ostler.adapters.tls_trust import trusted_authorities
from ostler.model.access import OAuthSettings
from ostler.model.json import JsonObject, parse_json
from ostler.model.web_addresses import DIRECT, is_local

KEPT: Final = 600.0
"""Seconds after which keys are fetched again, so that one that was withdrawn is forgotten."""

COOLDOWN: Final = 10.0
"""Seconds between two fetches because of a key that is not known: tokens that anyone sends cause no flood of them."""

TIMEOUT: Final = 10.0
"""Seconds for one answer of the authorization server."""

MAX_BYTES: Final = 512 * 1024
MAX_KEYS: Final = 100

logger = logging.getLogger(__name__)


class SigningKeys:
    """The keys by their ids. A server that cannot be reached leaves those that are known in force."""

    def __init__(self, settings: OAuthSettings, *, cooldown: float = COOLDOWN) -> None:
        self._settings = settings
        self._cooldown = cooldown
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at = -math.inf
        self._tried_at = -math.inf
        self._fetching = anyio.Lock()

    def __repr__(self) -> str:
        return f"SigningKeys({self._settings.issuer!r}, {len(self._keys)} known)"

    async def find(self, key_id: str) -> PyJWK | None:
        """Return the key of that id, or the only one for an empty id; None where the server has none."""
        # One fetch serves all who need it; those whose key is known do not wait for one that others began.
        if self._is_due(key_id) or (self._fetching.locked() and self._known(key_id) is None):
            async with self._fetching:
                if self._is_due(key_id):
                    await self._fetch()
        return self._known(key_id)

    def _known(self, key_id: str) -> PyJWK | None:
        if not key_id:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(key_id)

    def _is_due(self, key_id: str) -> bool:
        now = anyio.current_time()
        is_wanted = now - self._fetched_at >= KEPT or not self._keys or bool(key_id and key_id not in self._keys)
        return is_wanted and now - self._tried_at >= self._cooldown

    async def _fetch(self) -> None:
        self._tried_at = anyio.current_time()
        try:
            with anyio.fail_after(TIMEOUT):
                async with httpx2.AsyncClient(verify=trusted_authorities(), mounts=DIRECT) as http:
                    address = self._settings.jwks_uri or await self._discover(http)
                    found = _keys_in(await _json(http, address), self._settings.algorithms)
        except (httpx2.HTTPError, OSError, ValueError, TimeoutError) as error:
            logger.error(  # noqa: TRY400 (no bug of ours)
                "the keys of authorization server %s cannot be fetched: %s: %s",
                *(self._settings.issuer, type(error).__name__, error),
            )
            self._tried_at = anyio.current_time()  # those who waited for it do not try one after another
            return
        if not found:
            logger.error("authorization server %s lists no key that can be used", self._settings.issuer)
        self._keys, self._fetched_at = found, self._tried_at

    async def _discover(self, http: httpx2.AsyncClient) -> str:
        """Return where the keys are, as the server's metadata says (RFC 8414, OpenID Connect Discovery)."""
        issuer = self._settings.issuer.rstrip("/")
        parts = urlsplit(issuer)
        origin = f"{parts.scheme}://{parts.netloc}"
        trouble = ""
        for address in (
            f"{origin}/.well-known/oauth-authorization-server{parts.path}",
            f"{issuer}/.well-known/openid-configuration",
            f"{origin}/.well-known/openid-configuration{parts.path}",
        ):
            try:
                metadata = await _json(http, address)
            except (httpx2.HTTPError, ValueError) as error:
                trouble = f"{address}: {error}"
                continue
            if str(metadata.get("issuer", "")).rstrip("/") != issuer:
                trouble = f"{address} is of issuer {metadata.get('issuer')!r}"
                continue
            found = metadata.get("jwks_uri")
            if isinstance(found, str) and (
                found.startswith("https://") or is_local(found) or self._settings.allow_http
            ):
                return found
            trouble = f"{address} names no jwks_uri that is protected by TLS"
        raise ValueError(f"{trouble}; write 'jwksUri' under [oauth] in ostler.toml")


async def _json(http: httpx2.AsyncClient, address: str) -> JsonObject:
    async with http.stream("GET", address, headers={"accept": "application/json"}) as answer:
        answer.raise_for_status()
        body = b""
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > MAX_BYTES:
                raise ValueError(f"{address} answers more than {MAX_BYTES} bytes")
    value: Any = parse_json(body)
    if not isinstance(value, dict):
        raise ValueError(f"{address} does not answer with a JSON object")  # noqa: TRY004 (no type of ours)
    return cast("JsonObject", value)


def _keys_in(document: JsonObject, algorithms: tuple[str, ...]) -> dict[str, PyJWK]:
    """Return the keys of a JWK set that verify signatures; others, and broken ones, are left out."""
    entries: Any = document.get("keys")
    if not isinstance(entries, list):
        raise ValueError("it is not a set of keys")  # noqa: TRY004 (no type of ours)
    found: dict[str, PyJWK] = {}
    for entry in cast("list[Any]", entries)[:MAX_KEYS]:
        if not isinstance(entry, dict):
            continue
        facts = cast("JsonObject", entry)
        if facts.get("use", "sig") != "sig" or facts.get("kty") == "oct":
            continue
        try:
            key = PyJWK.from_dict(facts)
        except (PyJWTError, ValueError, KeyError):
            continue
        if key.algorithm_name in algorithms:
            found[str(facts.get("kid", f"#{len(found)}"))] = key
    return found
