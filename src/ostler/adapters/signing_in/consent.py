"""What a person's consent gives: a grant, the tokens for one server, and what renewing them takes."""

import time
from typing import Final

from mcp.shared.auth import OAuthClientInformationFull, OAuthMetadata, OAuthToken
from pydantic import BaseModel, ConfigDict

_EARLY: Final = 30.0
"""Seconds before its end at which a token is renewed."""


class Grant(BaseModel):
    """The tokens for a server.

    Attributes:
        url: the server's address; a grant is never sent elsewhere.
        tokens: the tokens.
        client: what Ostler is called by the authorization server.
        metadata: what the authorization server says of itself; None for one that says nothing.
        resource: what the tokens are for, as it is said when they are renewed.
        ends_at: Unix time at which the access token ends; None when that is not known.
    """

    model_config = ConfigDict(defer_build=True, frozen=True)

    url: str
    tokens: OAuthToken
    client: OAuthClientInformationFull
    metadata: OAuthMetadata | None = None
    resource: str | None = None
    ends_at: float | None = None

    @property
    def is_ending(self) -> bool:
        """Whether the access token has ended, or is about to."""
        return self.ends_at is not None and time.time() > self.ends_at - _EARLY

    def with_tokens(self, tokens: OAuthToken) -> "Grant":
        """Return the grant with tokens that were issued now; what they do not say stays as it was."""
        kept = {name: getattr(self.tokens, name) for name in ("refresh_token", "scope") if not getattr(tokens, name)}
        return self.model_copy(update={"tokens": tokens.model_copy(update=kept), "ends_at": end_of(tokens)})


def end_of(tokens: OAuthToken) -> float | None:
    """Return the Unix time at which `tokens`, issued now, end; None when they do not say."""
    return None if tokens.expires_in is None else time.time() + tokens.expires_in
