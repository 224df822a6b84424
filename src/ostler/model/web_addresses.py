"""Addresses that are reached over HTTP."""

from urllib.parse import urlsplit


def is_web_address(text: str) -> bool:
    """Whether `text` is an http or https URL with a host, and with a port that exists if it names one."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False
