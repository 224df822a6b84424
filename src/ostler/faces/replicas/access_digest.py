"""A digest of the access rules: a replica answers reads only if its digest equals the holder's."""

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ostler.faces.daemon.http import HttpSettings
from ostler.model.settings import Settings

if TYPE_CHECKING:
    from ostler.adapters.access.token_file import KnownToken


class AccessDigest:
    """The digest of settings and tokens, as they are in force.

    Args:
        key: that of the database; without it a digest shows nothing about tokens.
        settings: returns the settings in force.
        http: which tokens are accepted.
        toolset: which of Ostler's tools clients see that do not choose themselves.
    """

    def __init__(self, key: bytes, settings: Callable[[], Settings], http: HttpSettings, toolset: str) -> None:
        self._key = key
        self._settings = settings
        self._http = http
        self._toolset = toolset
        self._seen: tuple[object, object] | None = None
        self._digest = ""

    def __repr__(self) -> str:
        return f"<AccessDigest {self._digest[:8]}>"

    def __call__(self) -> str:
        """Return the digest. Blocks to read two files."""
        settings = self._settings()
        tokens: Sequence[KnownToken] = () if self._http.tokens is None else self._http.tokens.tokens()
        if self._seen is None or self._seen[0] is not settings or self._seen[1] is not tokens:
            self._seen = settings, tokens
            self._digest = hmac.new(self._key, self._text(settings, tokens).encode(), hashlib.sha256).hexdigest()
        return self._digest

    def _text(self, settings: Settings, tokens: "Sequence[KnownToken]") -> str:
        facts: dict[str, Any] = {
            "policy": settings.policy.model_dump(mode="json"),
            "principals": {name: each.model_dump(mode="json") for name, each in settings.principals.items()},
            "oauth": None if self._http.oauth is None else self._http.oauth.model_dump(mode="json"),
            "token": self._http.token,
            "tokens": [(each.id, each.principal, each.digest, str(each.expires)) for each in tokens],
            "toolset": self._toolset,
        }
        return json.dumps(facts, sort_keys=True)
