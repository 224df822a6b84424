"""What a person's consent gave: the tokens for one server, and what renewing them takes."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import anyio.to_thread
from mcp.shared.auth import OAuthClientInformationFull, OAuthMetadata, OAuthToken
from pydantic import BaseModel, ConfigDict, ValidationError

from ostler.adapters.signing_in.vault import Vault
from ostler.model.errors import StoreError
from ostler.model.servers import ServerEntry

_Result = TypeVar("_Result")

_VAULT_SECONDS: Final = 15.0
"""Seconds that the keyring may take; it may ask a person for its password, who may not be there."""

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


@dataclass(frozen=True, slots=True)
class Grants:
    """The grants of the servers of one state folder, in the vault."""

    vault: Vault

    async def of(self, entry: ServerEntry) -> Grant | None:
        """Return the grant for the server; None when no one has signed in to it, or only at another address.

        Raises:
            StoreError: there is one, and it cannot be read.
        """
        text = await self._in_thread(entry.name, partial(self.vault.get, _key(entry.name)))
        if text is None:
            return None
        try:
            grant = Grant.model_validate_json(text)
        except ValidationError:  # of another version, or damaged: as good as none
            return None
        return grant if grant.url == entry.url else None

    async def keep(self, server: str, grant: Grant) -> None:
        """Keep the grant for the server `server`, replacing an earlier one.

        Raises:
            StoreError: it cannot be written.
        """
        text = grant.model_dump_json(exclude_none=True)
        await self._in_thread(server, partial(self.vault.set, _key(server), text))

    async def forget(self, server: str) -> bool:
        """Forget the grant for the server `server`; return whether there was one."""
        return bool(await self._in_thread(server, partial(self.vault.delete, _key(server))))

    async def _in_thread(self, server: str, act: "partial[_Result]") -> _Result:
        with anyio.move_on_after(_VAULT_SECONDS):
            return await anyio.to_thread.run_sync(act, abandon_on_cancel=True)
        raise StoreError(
            f"the keyring did not answer for {server!r} within {_VAULT_SECONDS:g} s; it may be locked",
            next_actions=("unlock the keyring, then try again",),
        )


def _key(server: str) -> str:
    return f"oauth {server}"
