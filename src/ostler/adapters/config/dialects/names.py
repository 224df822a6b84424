"""The names of servers in Ostler, which begin the names of their tools, from those in a client's file."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""A name that is used as it is written."""

_LONGEST: Final = 64
_HASH_LENGTH: Final = 6


def server_names(written: Iterable[str]) -> Mapping[str, str]:
    """Return the server's name in Ostler for each name as written.

    A good name stays. In any other, accents are dropped, and what is not a letter, a digit, `.`, `_` or `-` becomes
    `-`. If nothing is left, or another server has that name, a hash of the written name is added, so that the result
    does not depend on the order in the file.
    """
    names = list(dict.fromkeys(written))
    plain = {name: _plain(name) for name in names if not NAME.fullmatch(name)}
    uses = Counter(plain.values()) + Counter(name for name in names if name not in plain)
    return {
        name: name if name not in plain else plain[name] if uses[plain[name]] == 1 else _hashed(plain[name], name)
        for name in names
    }


def _plain(name: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    text = re.sub(r"[^A-Za-z0-9._-]+", "-", ascii_text).strip("-._")
    if not text or not re.search(r"[A-Za-z0-9]", text) or text == "ostler":
        return _hashed("server", name)
    return text if len(text) <= _LONGEST else _hashed(text, name)


def _hashed(plain: str, name: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
    return f"{plain[: _LONGEST - _HASH_LENGTH - 1]}-{digest}"
