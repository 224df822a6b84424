"""Secrets at rest: in the desktop's keyring where there is one, else in files that only their owner can read.

Each secret has a file of its own in the state folder, which holds the secret or says that it is in the keyring. One
file a secret, because backends of `keyring` that keep one file for all lose what two processes write at once, and mix
up names that differ in case; such backends are not used. The file also says to a server that cannot reach the keyring
(it was started outside of the desktop's session) that there is a secret, and where.
"""

import hashlib
import json
import logging
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from ostler.adapters.atomic_files import not_written, replace_private
from ostler.adapters.regular_files import read_regular
from ostler.model.errors import StoreError
from ostler.model.json import JsonMapping, as_object, parse_json

_MAX_BYTES = 1024 * 1024

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

logger = logging.getLogger(__name__)

SERVICE: Final = "ostler"
"""What the secrets go by in the keyring."""

_DESKTOP_KEYRINGS: Final = (
    "keyring.backends.SecretService",
    "keyring.backends.libsecret",
    "keyring.backends.kwallet",
    "keyring.backends.macOS",
    "keyring.backends.Windows",
)


def is_keyring_off() -> bool:
    """Whether the environment of this process says that there is no keyring; so it need not be loaded to see that."""
    return os.environ.get("PYTHON_KEYRING_BACKEND", "").endswith(("null.Keyring", "fail.Keyring"))


class Vault:
    """Keeps texts by name. All methods touch the disk or the keyring, which may take seconds: call them in a thread."""

    def __init__(self, folder: Path, keyring: "KeyringBackend | None" = None) -> None:
        """Open the vault.

        Args:
            folder: where its files are; made when something is kept.
            keyring: the keyring to use; default: the desktop's, if there is one.
        """
        self._folder = folder
        self._keyring = keyring

    def __repr__(self) -> str:
        return f"Vault({str(self._folder)!r})"

    def names(self) -> list[str]:
        """Return the names of what is kept."""
        return sorted(name for path in self._files() if isinstance(name := _facts(path).get("name"), str))

    def get(self, name: str) -> str | None:
        """Return what is kept under `name`; None when there is nothing.

        Raises:
            StoreError: it is in the keyring, which cannot be read from here.
        """
        facts = _facts(self._path(name))
        if isinstance(facts.get("secret"), str):
            return cast("str", facts["secret"])
        account = facts.get("keyring")
        if not isinstance(account, str):
            return None
        keyring = self._backend()
        if keyring is None:
            raise _unreachable(name, "there is no keyring in the session of this process")
        try:
            return keyring.get_password(SERVICE, account)
        except Exception as error:  # boundary: backends raise what their desktops do
            raise _unreachable(name, str(error) or type(error).__name__) from error

    def set(self, name: str, secret: str) -> None:
        """Keep `secret` under `name`, replacing an earlier one.

        Raises:
            StoreError: it could not be written.
        """
        path = self._path(name)
        account = _facts(path).get("keyring")
        if not isinstance(account, str):
            account = secrets.token_hex(16)
        facts = {"name": name, "keyring": account} if self._put(account, secret) else {"name": name, "secret": secret}
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise not_written(self._folder, error) from error
        replace_private(path, json.dumps(facts))

    def delete(self, name: str) -> bool:
        """Delete what is kept under `name`; return whether there was anything."""
        path = self._path(name)
        account = _facts(path).get("keyring")
        if isinstance(account, str) and (keyring := self._backend()) is not None:
            with suppress(Exception):  # it may be gone already; without its account's name no one finds it
                keyring.delete_password(SERVICE, account)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise not_written(path, error) from error
        return True

    def place(self) -> str:
        """Return where secrets go, for people."""
        keyring = self._backend()
        return f"the keyring ({keyring.name})" if keyring is not None else f"files of your own in {self._folder}"

    def _put(self, account: str, secret: str) -> bool:
        keyring = self._backend()
        if keyring is None:
            return False
        try:
            keyring.set_password(SERVICE, account, secret)  # pyright: ignore[reportUnknownMemberType]
            return keyring.get_password(SERVICE, account) == secret  # Windows cuts what is too long for it
        except Exception:  # noqa: BLE001 (boundary: locked, refused, too long: the file it is)
            return False

    def _backend(self) -> "KeyringBackend | None":
        if self._keyring is not None:
            return self._keyring
        if is_keyring_off():
            return None
        try:
            import keyring  # noqa: PLC0415 (takes a tenth of a second, and is seldom needed)

            found = keyring.get_keyring()
            parts = [found, *cast("list[KeyringBackend]", getattr(found, "backends", []))]
        except Exception:  # noqa: BLE001 (boundary: a broken configuration of the keyring is not ours to judge)
            return None
        return next((one for one in parts if type(one).__module__ in _DESKTOP_KEYRINGS), None)

    def _files(self) -> list[Path]:
        return list(self._folder.glob("*.json"))

    def _path(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}.json"


def answers_in(folder: Path) -> Callable[[str], str | None]:
    """Return what looks up a person's answer to the question of an id; None for one that cannot be read."""
    vault = Vault(folder)

    def answer(question: str) -> str | None:
        try:
            return vault.get(question)
        except StoreError as error:
            logger.warning("%s", error)
            return None

    return answer


def _facts(path: Path) -> JsonMapping:
    try:
        facts = parse_json(read_regular(path, _MAX_BYTES))
    except (OSError, ValueError):
        return {}
    return as_object(facts)


def _unreachable(name: str, reason: str) -> StoreError:
    return StoreError(
        f"what is kept for {name!r} is in the keyring, which cannot be read: {reason}",
        next_actions=("unlock the keyring", "or stop the server (ostler stop-server); it then starts in your session"),
    )
