"""How much room a disk has, and whether open files or memory have run out."""

import errno
import os
import shutil
import sys
from pathlib import Path
from typing import Final

_SCARCE: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def is_scarcity(error: BaseException | None) -> bool:
    """Whether `error` means that files or memory have run out: what was looked for may exist all the same."""
    return isinstance(error, OSError) and error.errno in _SCARCE


def free_bytes(folder: Path) -> int:
    """Return how much this user may still write in `folder`; a file system that does not say has enough.

    Raises:
        OSError: the folder cannot be read.
    """
    if not hasattr(os, "statvfs"):
        return shutil.disk_usage(folder).free
    facts = os.statvfs(folder)
    if not facts.f_blocks:
        return sys.maxsize
    return facts.f_frsize * (facts.f_bfree if os.geteuid() == 0 else facts.f_bavail)
