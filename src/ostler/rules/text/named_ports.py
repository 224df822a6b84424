"""Ports of this machine that a line of a log names as those of its program: `Listening at: http://127.0.0.1:8000`."""

import re
from typing import Final

from ostler.model.late_patterns import late_pattern

_HOST: Final = r"(?:localhost|127(?:\.\d{1,3}){3}|0\.0\.0\.0|\[::1?\]|\[::ffff:127\.0\.0\.1\]|\*)"
_ADDRESS: Final = late_pattern(
    rf"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?<![\w.]){_HOST}:(?P<port>\d{{2,5}})\b", re.IGNORECASE
)
_ALONE: Final = late_pattern(
    r"(?:^|(?<=[\s\"'(]))(?::|\bport\b[\"']?\s*[:=#]?\s*[\"']?)(?P<port>\d{2,5})\b", re.IGNORECASE
)
_SCHEMES: Final = frozenset({"", "http", "https", "ws", "wss", "tcp"})
_OF_OTHERS: Final = late_pattern(
    r"(?:[-=]>|→|\b(?:to|from|for|via|against|behind|using|with|of|connect\w*|forward\w*|proxy\w*|redirect\w*|upstream|"
    r"backend|target|origin|peer|broker|database|db|cache|registry|remote|source|destination)\b)[\W_]*$"
    r"|\bwait(?:s|ing)?\b",
    re.IGNORECASE,
)
_NOT_IT: Final = late_pattern(r"\s+(?:is|was|already|in use|taken|busy|not)\b|/?\s*(?:<?[-=]>|→)", re.IGNORECASE)
_MAX_PORT: Final = 65535


def named_ports(line: str) -> frozenset[int]:
    """Return the ports at which `line` says that its program listens; none if it may speak of another program."""
    found: set[int] = set()
    for pattern in (_ADDRESS, _ALONE):
        for match in pattern.finditer(line):
            scheme = match.groupdict().get("scheme") or ""
            is_own = not _OF_OTHERS.search(line[: match.start()]) and not _NOT_IT.match(line, match.end())
            if is_own and scheme.lower() in _SCHEMES and int(match["port"]) <= _MAX_PORT:
                found.add(int(match["port"]))
    return frozenset(found)
