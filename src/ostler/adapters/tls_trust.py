"""The certificate authorities that HTTP clients trust, read once for all of them."""

import os
import ssl
from functools import lru_cache

import httpx2


def trusted_authorities() -> ssl.SSLContext:
    """Return the TLS context of HTTP clients; a new one if another file or folder of authorities counts by now.

    A client that is made without it reads all authorities, which takes a twentieth of a second of CPU and 0.8 MB: a
    server that reconnects to others for days would spend much of both.
    """
    places = [os.environ.get(name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")]
    default = ssl.get_default_verify_paths()
    return _context(*((place, _changed_at(place)) for place in (*places, default.openssl_cafile)))


@lru_cache(maxsize=1)
def _context(*_places: tuple[str, int]) -> ssl.SSLContext:
    return httpx2.create_ssl_context()


def _changed_at(place: str) -> int:
    try:
        return os.stat(place).st_mtime_ns if place else 0  # noqa: PTH116 (no path is made of it)
    except OSError:
        return 0
