"""Amounts of memory as people write them: `512MB`, `1.5 GiB`."""

import re
from typing import Final

_POWERS: Final = " kmg"
_LARGEST: Final = 2**63 - 1
_SIZE: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmg]?)(i?)b?\s*", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Return the bytes that `text` stands for.

    Raises:
        ValueError: it is not a size, or is too large for any machine.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a size; write bytes, or a number with KB, MB, GB, KiB, MiB or GiB")
    thousand = 1024 if found[3] else 1000
    size = float(found[1]) * thousand ** _POWERS.index(found[2].lower() or " ")
    if size > _LARGEST:
        raise ValueError(f"a size is at most {_LARGEST} bytes")
    return int(size)


def size_text(size: int) -> str:
    """Return `size` bytes in a few characters: `812 kB`, `120 MB`, `1.4 GB`."""
    if size < 10**6:
        return f"{round(size / 10**3)} kB"
    if size < 10**9:
        return f"{round(size / 10**6)} MB"
    return f"{size / 10**9:.1f} GB"
