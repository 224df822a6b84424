"""What proves who someone is: the one token of a small set-up, tokens of a file, tokens of an authorization server.

Each is a TokenVerifier of the MCP SDK; what it returns also says which principal it is.
"""

import hmac
import logging
from collections.abc import Sequence
from typing import Final

import anyio.to_thread
from mcp.server.auth.provider import AccessToken, TokenVerifier
from pydantic import ConfigDict

from ostler.adapters.access.token_file import TokenFile
from ostler.model.access import TOKEN_HOLDER, Principal

MAX_TOKEN: Final = 16 * 1024
"""Characters of a token; a longer one is refused unread."""

logger = logging.getLogger(__name__)


class ProvenToken(AccessToken):
    """An access token that was verified.

    Attributes:
        principal: who has it.
        is_delegated: an authorization server gave it, with scopes.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    principal: Principal
    is_delegated: bool = False


class SharedToken:
    """The one token of `[http]`, whose holders are unrestricted."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def __repr__(self) -> str:
        return "SharedToken()"

    async def verify_token(self, token: str) -> ProvenToken | None:
        """Return what `token` proves; None where it is another."""
        if not hmac.compare_digest(token.encode("utf-8", "surrogateescape"), self._token):
            return None
        who = Principal(TOKEN_HOLDER, unrestricted=True, credential="http.token")
        return ProvenToken(token="", client_id=TOKEN_HOLDER, scopes=[], subject=TOKEN_HOLDER, principal=who)


class StaticTokens:
    """The tokens of a file."""

    def __init__(self, file: TokenFile) -> None:
        self._file = file

    def __repr__(self) -> str:
        return f"StaticTokens({self._file!r})"

    async def verify_token(self, token: str) -> ProvenToken | None:
        """Return what `token` proves; None where the file does not have it, or it has ended."""
        known = await anyio.to_thread.run_sync(self._file.find, token)
        if known is None:
            return None
        return ProvenToken(
            token="",
            client_id=known.id,
            scopes=[],
            expires_at=int(known.expires.timestamp()) if known.expires else None,
            subject=known.principal,
            principal=Principal(known.principal, credential=f"token {known.id}"),
        )


class AnyOf:
    """What one of several verifiers accepts."""

    def __init__(self, verifiers: Sequence[TokenVerifier]) -> None:
        self._verifiers = verifiers

    def __repr__(self) -> str:
        return f"AnyOf({list(self._verifiers)!r})"

    async def verify_token(self, token: str) -> ProvenToken | None:
        """Return what `token` proves to the first that accepts it; None where none does."""
        if not token or len(token) > MAX_TOKEN:
            return None
        for verifier in self._verifiers:
            found = await verifier.verify_token(token)
            if isinstance(found, ProvenToken):
                return found
        return None
