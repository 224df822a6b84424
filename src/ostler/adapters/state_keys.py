"""Keys of a state folder, with which a server signs what it will be shown again."""

import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from ostler.adapters.atomic_files import replace_private

_KEY_BYTES: Final = 32


def state_key(path: Path) -> bytes:
    """Return the key in `path`; make it where there is none.

    Raises:
        OSError: it cannot be read.
        StoreError: it cannot be written.
    """
    with suppress(FileNotFoundError, ValueError):
        if len(known := bytes.fromhex(path.read_text(encoding="ascii"))) == _KEY_BYTES:
            return known
    key = secrets.token_bytes(_KEY_BYTES)
    replace_private(path, key.hex())
    return key
