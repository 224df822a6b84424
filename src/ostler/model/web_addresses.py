"""Addresses that are reached over HTTP."""

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

LOOPBACK_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
"""The hosts by which this machine reaches itself."""

_THIS_MACHINE: Final = ("localhost", "*.localhost", "127.0.0.0/8", "0.0.0.0", "[::1]", "[::]")  # noqa: S104 (no bind)

DIRECT: Final = {f"all://{host}": None for host in _THIS_MACHINE}
"""What an HTTP client gets as its `mounts`, so that HTTP_PROXY and the like do not apply to this machine.

httpx, curl and most others send even these requests to the proxy, which cannot answer them, unless NO_PROXY names them.
"""

_USER: Final = re.compile(r"(?<=//)[^/?#]*@")
_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\]@/\\?#]+)(?::([0-9]{1,5}|\*))?")


def is_web_address(text: str) -> bool:
    """Whether `text` is an http or https URL with a host, and with a port that exists if it names one."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def without_user(address: str) -> str:
    """Return a URL, well-formed or not, without the user and the password that it may name."""
    return _USER.sub("", address, count=1)


def is_local(address: str) -> bool:
    """Whether a URL's host is this machine's loopback."""
    return urlsplit(address).hostname in LOOPBACK_HOSTS


def port_of(address: SplitResult) -> int:
    """Return the port of an http or https URL, the default one if it names none.

    Raises:
        ValueError: it names no valid port.
    """
    return address.port or (443 if address.scheme == "https" else 80)


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
