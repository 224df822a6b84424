"""Static bearer tokens: a file with the digest of each, and whose it is. Read again when it changes."""

import hashlib
import hmac
import json
import logging
import os
import secrets
import stat
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

from msgspec import Struct

from ostler.adapters.atomic_files import replace_private
from ostler.adapters.regular_files import Stamp, read_regular_text, stamp_of
from ostler.model.access import validate_principal
from ostler.model.errors import AlreadyExistsError, Finding, ManifestError, NotFoundError
from ostler.model.json import parse_json
from ostler.model.moments import format_brief, parse_time

PREFIX: Final = "ostler_"
"""What every token begins with, so that scanners for leaked secrets find it."""

_MAX_BYTES: Final = 1024 * 1024
_HIDDEN: Final = 24
"""Bytes of a token that are random. So many need no slow hash: no one can guess them."""

logger = logging.getLogger(__name__)


class KnownToken(Struct, frozen=True):
    """One token, as it is kept.

    Attributes:
        id: what a person calls it by.
        principal: whose it is.
        digest: SHA-256 of the token, in hexadecimal.
        created: when it was made.
        expires: when it ends; None: never.
    """

    id: str
    principal: str
    digest: str
    created: str = ""
    expires: datetime | None = None

    def is_current(self) -> bool:
        """Whether it has not ended."""
        return self.expires is None or self.expires > datetime.now(UTC)


class TokenFile:
    """The tokens of one file. A broken edit keeps what was read last; a file that is gone has none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[Stamp | None, tuple[KnownToken, ...]] = (None, ())

    def __repr__(self) -> str:
        return f"TokenFile({str(self.path)!r})"

    def tokens(self) -> Sequence[KnownToken]:
        """Return the tokens that exist now. Blocks to check the file."""
        stamp, (seen, tokens) = stamp_of(self.path), self._read
        if stamp != seen:
            try:
                tokens = read_tokens(self.path)
            except ManifestError as error:
                logger.error("%s; the tokens that were read before stay in force", error)  # noqa: TRY400 (no bug)
            self._read = stamp, tokens  # as one: requests look in several threads at once
        return tokens

    def find(self, token: str) -> KnownToken | None:
        """Return what is kept of `token`; None where it is unknown or has ended."""
        digest = digest_of(token)
        found = None
        for known in self.tokens():  # all of them, so that the time says nothing
            if hmac.compare_digest(known.digest, digest) and known.is_current():
                found = known
        return found

    # -- changing ------------------------------------------------------------------------------------------

    def add(self, principal: str, token_id: str = "", *, lasts: float | None = None) -> tuple[str, KnownToken]:
        """Make a token of `principal`; return it, which is the only time that it can be seen, and what is kept.

        Args:
            principal: whose it is.
            token_id: what to call it; default: the principal's name, with a number where that is taken.
            lasts: seconds until it ends; None: never.

        Raises:
            ManifestError: the file is broken, or the name cannot be that of a principal.
            AlreadyExistsError: a token goes by `token_id`.
            StoreError: the file cannot be written.
        """
        try:
            validate_principal(principal)
        except ValueError as error:
            raise ManifestError([Finding(str(error))], what="the name of the principal") from None
        known = read_tokens(self.path)
        ids = {token.id for token in known}
        if token_id in ids:
            raise AlreadyExistsError(f"a token {token_id!r} already exists", next_actions=("choose another --id",))
        numbered = (f"{principal}-{number}" for number in range(2, len(ids) + 3))
        chosen = token_id or next(name for name in (principal, *numbered) if name not in ids)
        token = PREFIX + secrets.token_urlsafe(_HIDDEN)
        now = datetime.now(UTC).replace(microsecond=0)
        made = KnownToken(
            chosen,
            principal,
            digest_of(token),
            created=format_brief(now, precision="seconds"),
            expires=None if lasts is None else now + timedelta(seconds=lasts),
        )
        _write(self.path, [*known, made])
        return token, made

    def remove(self, token_id: str) -> KnownToken:
        """Remove the token that goes by `token_id`; whoever has it is refused from then on.

        Raises:
            NotFoundError: there is none.
            ManifestError: the file is broken.
            StoreError: it cannot be written.
        """
        known = read_tokens(self.path)
        found = next((token for token in known if token.id == token_id), None)
        if found is None:
            raise NotFoundError(
                "token", token_id, known=[token.id for token in known], next_actions=("ostler token list shows them",)
            )
        _write(self.path, [token for token in known if token is not found])
        return found


def digest_of(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def read_tokens(path: Path) -> tuple[KnownToken, ...]:
    """Return the tokens in the file; none where there is no file.

    Raises:
        ManifestError: it cannot be read, others may read or write it, or it is wrong.
    """
    try:
        facts = path.stat()
        text = read_regular_text(path, _MAX_BYTES)
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise _refused(path, f"cannot be read: {why}") from error
    if os.name == "posix" and facts.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise _refused(path, f"can be read or written by others (mode {facts.st_mode & 0o777:o})", "chmod 600 it")
    try:
        data: Any = parse_json(text)
        entries = cast("list[Any]", data["tokens"])
        found = tuple(_token(cast("dict[str, Any]", entry)) for entry in entries)
    except (ValueError, KeyError, TypeError) as error:
        raise _refused(path, f"is not a list of tokens: {error}", "ostler token add writes it") from error
    return found


def _token(entry: dict[str, Any]) -> KnownToken:
    digest, expires = str(entry["sha256"]), entry.get("expires")
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise ValueError(f"sha256 of {entry['id']!r} is not a digest")
    ends = None if expires is None else parse_time(str(expires))
    name = validate_principal(str(entry["principal"]))
    return KnownToken(str(entry["id"]), name, digest, str(entry.get("created", "")), ends)


def _write(path: Path, tokens: Sequence[KnownToken]) -> None:
    entries = [
        {
            "id": token.id,
            "principal": token.principal,
            "sha256": token.digest,
            "created": token.created,
            **({} if token.expires is None else {"expires": format_brief(token.expires, precision="seconds")}),
        }
        for token in tokens
    ]
    replace_private(path, json.dumps({"tokens": entries}, indent=2))


def _refused(path: Path, message: str, fix: str = "") -> ManifestError:
    return ManifestError([Finding(message, str(path), rule="tokens", fix=fix)], what=path.name)
