"""JSON Schema's formats, as far as a written value can be judged; an unknown format fits everything."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from urllib.parse import urlsplit
from uuid import UUID

from ostler.rules.text.patterns import is_pattern

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_DURATION = re.compile(r"P(?!$)(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?)")


def fits_format(name: str, value: str) -> bool:
    """Return whether `value` is what JSON Schema's format `name` asks for."""
    check = _CHECKS.get(name)
    if check is None:
        return True
    try:
        return bool(check(value))
    except ValueError:
        return False


def _is_uri(value: str) -> bool:
    parts = urlsplit(value)
    is_web = parts.scheme in ("http", "https", "ws", "wss", "ftp")
    return bool(parts.scheme) and (bool(parts.netloc) or not is_web) and not re.search(r"\s", value)


def _is_time(value: str) -> bool:
    time.fromisoformat(value)
    return True


def _is_date_time(value: str) -> bool:
    return datetime.fromisoformat(value).tzinfo is not None and "T" in value.upper()


def _is_date(value: str) -> bool:
    date.fromisoformat(value)
    return len(value) == 10


_CHECKS: Mapping[str, Callable[[str], object]] = {
    "date": _is_date,
    "date-time": _is_date_time,
    "duration": _DURATION.fullmatch,
    "email": _EMAIL.fullmatch,
    "hostname": _HOST.fullmatch,
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "regex": is_pattern,
    "time": _is_time,
    "uri": _is_uri,
    "url": _is_uri,
    "uuid": UUID,
}
