"""What people's consent gave, by server: grants, kept in the vault."""

from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import anyio.to_thread
from msgspec import Struct
from pydantic import ValidationError

from ostler.adapters.signing_in.vault import Vault
from ostler.model.errors import StoreError
from ostler.model.servers import ServerEntry

if TYPE_CHECKING:
    from ostler.adapters.signing_in.consent import Grant

_Result = TypeVar("_Result")

_VAULT_SECONDS: Final = 15.0
"""Seconds that the keyring may take; it may ask a person for its password, who may not be there."""


class Grants(Struct, frozen=True):
    """The grants of the servers of one state folder, in the vault."""

    vault: Vault

    async def of(self, entry: ServerEntry) -> "Grant | None":
        """Return the grant for the server; None when no one has signed in to it, or only at another address.

        Raises:
            StoreError: there is one, and it cannot be read.
        """
        text = await self._in_thread(entry.name, partial(self.vault.get, _key(entry.name)))
        if text is None:
            return None
        from ostler.adapters.signing_in.consent import Grant  # noqa: PLC0415 (most servers need none)

        try:
            grant = Grant.model_validate_json(text)
        except ValidationError:  # of another version, or damaged: as good as none
            return None
        return grant if grant.url == entry.url else None

    async def keep(self, server: str, grant: "Grant") -> None:
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
