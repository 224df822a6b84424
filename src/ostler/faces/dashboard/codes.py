"""One-time codes: what a link may carry instead of the token that it leads to."""

import hmac
import secrets
import time
from collections.abc import Callable
from typing import Final

VALID_SECONDS: Final = 120.0
"""Seconds within which a code must be used."""

MAX_CODES: Final = 20
"""Codes that wait to be used; of more, the oldest are void."""


class OneTimeCodes:
    """Makes codes, and gives the token for each once."""

    def __init__(self, token: str, *, now: Callable[[], float] = time.monotonic) -> None:
        self._token = token
        self._now = now
        self._waiting: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"OneTimeCodes({len(self._waiting)} waiting)"

    def make(self) -> str:
        """Return a new code."""
        while len(self._waiting) >= MAX_CODES:
            del self._waiting[next(iter(self._waiting))]
        code = secrets.token_urlsafe(24)
        self._waiting[code] = self._now() + VALID_SECONDS
        return code

    def exchange(self, code: str) -> str | None:
        """Return the token for `code`, which is void from then on; None for one that is not valid."""
        given = code.encode(errors="replace")
        known = next((each for each in self._waiting if hmac.compare_digest(each.encode(), given)), None)
        if known is None:
            return None
        return self._token if self._now() <= self._waiting.pop(known) else None
