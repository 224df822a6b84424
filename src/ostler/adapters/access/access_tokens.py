"""Access tokens of an authorization server: JWTs (RFC 9068), verified by its keys and meant for this server alone."""

import logging
from typing import Any, Final, cast

import jwt

from ostler.adapters.access.proofs import ProvenToken
from ostler.adapters.access.signing_keys import SigningKeys
from ostler.model.access import OAuthSettings, Principal, principal_of_claim

LEEWAY: Final = 10.0
"""Seconds that the clocks may differ."""

_TYPES: Final = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
"""What a token may say that it is: never an ID token's or a logout token's own type."""

_REQUIRED: Final = ("exp", "iss", "aud")

logger = logging.getLogger(__name__)


class AccessTokens:
    """Verifies signature, algorithm, issuer, audience and times, and finds out whose a token is."""

    def __init__(self, settings: OAuthSettings, keys: SigningKeys | None = None) -> None:
        self._settings = settings
        self._keys = keys or SigningKeys(settings)

    def __repr__(self) -> str:
        return f"AccessTokens({self._settings.issuer!r})"

    async def verify_token(self, token: str) -> ProvenToken | None:
        """Return what `token` proves; None where it proves nothing. The log says why, the answer does not."""
        if token.count(".") != 2:
            return None  # of another kind
        try:
            return await self._verify(token)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
            logger.info("refused an access token: %s: %s", type(error).__name__, error)
            return None

    async def _verify(self, token: str) -> ProvenToken:
        settings = self._settings
        header: dict[str, Any] = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if algorithm not in settings.algorithms:
            raise ValueError(f"its algorithm is {algorithm!r}")
        if "crit" in header:
            raise ValueError("it has critical headers that Ostler does not know")
        if str(header.get("typ", "")).lower() not in _TYPES:
            raise ValueError(f"it is a {header.get('typ')!r}, not an access token")
        key = await self._keys.find(str(header.get("kid", "")))
        if key is None:
            raise ValueError(f"the authorization server has no key {header.get('kid')!r}")
        if key.algorithm_name != algorithm:
            raise ValueError(f"its key is for {key.algorithm_name}, not for {algorithm}")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            audience=settings.resource,
            issuer=settings.issuer,
            leeway=LEEWAY,
            options={"require": list(_REQUIRED)},
        )
        subject = claims.get(settings.principal_claim)
        if not isinstance(subject, str) or not subject:
            raise ValueError(f"it has no claim {settings.principal_claim!r} that names a principal")
        client = str(claims.get("client_id") or claims.get("azp") or "")
        return ProvenToken(
            token="",
            client_id=client or subject,
            scopes=_scopes(claims),
            expires_at=int(claims["exp"]),
            resource=settings.resource,
            subject=subject,
            claims={"iss": settings.issuer},
            principal=Principal(principal_of_claim(subject), credential=f"oauth {client}".strip()),
            is_delegated=True,
        )


def _scopes(claims: dict[str, Any]) -> list[str]:
    given: Any = claims.get("scope", claims.get("scp", ""))
    return given.split() if isinstance(given, str) else [str(scope) for scope in cast("list[Any]", given)]
