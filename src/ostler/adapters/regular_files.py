"""Reading files that others may have put in place: regular ones of bounded size, and never a wait for a writer.

A named pipe blocks whoever opens it, a device may do anything when it is opened, and a link can make Ostler quote a
file that was none of its business.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Final, NamedTuple

_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def expanded(path: str | Path, home: str = "") -> Path:
    """Return a path with `~` replaced by `home`, else by that of Ostler's user; `~name` is that user's.

    As in a shell, it stays what it is if there is no such home.
    """
    text = str(path)
    if home and (text == "~" or text.startswith("~/")):
        return Path(home, text[2:])
    return Path(os.path.expanduser(text))  # noqa: PTH111 (Path.expanduser raises where there is none)


def read_regular(path: Path, limit: int, *, within: tuple[Path, ...] = ()) -> bytes:
    """Return what the regular file at `path` holds. Blocks on the disk alone.

    Args:
        path: the file, or a link to one.
        limit: the most bytes that it may have.
        within: folders, of which one must hold what a link leads to; any where there are none.

    Raises:
        OSError: it cannot be read, is not a regular file, is larger, or a link that leads elsewhere or nowhere;
            `strerror` says which.
    """
    _require_regular(_target_facts(path))
    if within:
        target = path.resolve()
        if not any(target.is_relative_to(folder.resolve()) for folder in within):
            raise OSError(errno.EPERM, f"it is a link to {str(target)!r}, outside of its folder", str(path))
    descriptor = os.open(path, _FLAGS)
    with open(descriptor, "rb") as file:  # noqa: PTH123 (it is open already)
        facts = os.fstat(descriptor)
        _require_regular(facts)
        content = b"" if facts.st_size > limit else file.read(limit + 1)
    if facts.st_size > limit or len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit} bytes", str(path))
    return content


def read_regular_text(path: Path, limit: int) -> str:
    """Return the UTF-8 text of a regular file, without a byte order mark and with newlines alone at the ends of lines.

    Raises:
        OSError: as `read_regular`.
        UnicodeDecodeError: it is not UTF-8.
    """
    text = read_regular(path, limit).decode("utf-8-sig")
    return text.replace("\r\n", "\n").replace("\r", "\n")


class Stamp(NamedTuple):
    """What changes with a file that is written again or replaced."""

    changed_at: int
    size: int
    inode: int


def stamp_of(path: Path) -> Stamp | None:
    """Return the stamp of the file at `path`; None where there is none."""
    try:
        facts = os.stat(path)  # noqa: PTH116 (asked for with each call of a tool: no object more than needed)
    except OSError:
        return None
    return Stamp(facts.st_mtime_ns, facts.st_size, facts.st_ino)


def _target_facts(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError:
        if path.is_symlink():  # what it leads to may be away for a while: that is not a file that was removed
            raise OSError(errno.EINVAL, f"it is a link to {str(path.readlink())!r}, which does not exist") from None
        raise


def _require_regular(facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(facts.st_mode)), "something else")
        raise OSError(errno.EINVAL, f"it is {kind}, not a regular file")
