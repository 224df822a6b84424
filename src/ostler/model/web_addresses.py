"""Addresses that are reached over HTTP."""

import re
from typing import Final
from urllib.parse import urlsplit

_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\]@/\\?#]+)(?::([0-9]{1,5}|\*))?")


def is_web_address(text: str) -> bool:
    """Whether `text` is an http or https URL with a host, and with a port that exists if it names one."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def parse_host(text: str) -> tuple[str, str] | None:
    """Return name and port of `name`, `name:8765`, `name:*` or `[::1]:8765`; None when it is not a host.

    The name is in small letters, without brackets and without a dot at its end; the port is empty where none is given.
    """
    if (found := _HOST.fullmatch(text)) is None:
        return None
    name = found[1].lower().removeprefix("[").removesuffix("]")
    return name.removesuffix("."), found[2] or ""


def require_host(text: str) -> str:
    """Return `text`, which names a host.

    Raises:
        ValueError: it does not, as a URL.
    """
    if parse_host(text) is None:
        raise ValueError(f"{text!r} is not a host; write it like 'ostler.example', 'ostler.example:8443' or '[::1]'")
    return text
