"""Writing files: complete or not at all, and never over a file that must not be lost."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from ostler.model.errors import StoreError

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_PRIVATE: Final = 0o600

SHARED: Final = 0o666
"""The mode of a file in a person's project, as that of one that an editor makes: the umask limits it."""


def write_new(path: Path, text: str, *, mode: int = _PRIVATE) -> None:
    """Write `path`, complete or not at all.

    Args:
        path: the file.
        text: its content.
        mode: who may read and write it, less what the umask forbids.

    Raises:
        FileExistsError: it already exists.
        StoreError: it cannot be written.
    """
    temporary = _write_temporary(path, _lines(text), mode)
    try:
        # A link, unlike a rename, never takes the place of an existing file.
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        # File systems without links. The lock of this process and the check above are all there is.
        if path.exists():
            raise FileExistsError(path) from None
        _rename(temporary, path)
        return
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def replace(path: Path, text: str) -> None:
    """Replace the content of `path`, completely or not at all, keeping its mode.

    Raises:
        StoreError: it cannot be written.
    """
    temporary = _write_temporary(path, _lines(text))
    try:
        temporary.chmod(path.stat().st_mode & 0o777)
        _rename(temporary, path)
    except OSError as exc:
        raise not_written(path, exc) from exc
    finally:
        temporary.unlink(missing_ok=True)


def replace_private(path: Path, text: str) -> None:
    """Write `path`, completely or not at all, so that no one but the user can read it.

    Raises:
        StoreError: it cannot be written.
    """
    write_private(path, _lines(text))


def write_private(path: Path, content: bytes) -> None:
    """Write `path` with exactly this content, completely or not at all, so that no one but the user can read it.

    Raises:
        StoreError: it cannot be written.
    """
    temporary = _write_temporary(path, content)  # which is readable to its owner alone
    try:
        _rename(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove `path`, durable on return; it may be gone already. Needs no room on the disk.

    Raises:
        StoreError: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        raise not_written(path, exc) from exc
    _sync_folder(path.parent)


def _rename(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
    except OSError as exc:
        raise not_written(path, exc) from exc
    _sync_folder(path.parent)


def _lines(text: str) -> bytes:
    return (text if text.endswith("\n") else text + "\n").encode()


def _write_temporary(path: Path, content: bytes, mode: int = _PRIVATE) -> Path:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, _NEW, mode)
    except OSError as exc:
        raise not_written(path, exc) from exc
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        temporary.unlink(missing_ok=True)
        raise not_written(path, exc) from exc
    return temporary


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    with suppress(OSError):  # the file itself is on the disk; some file systems cannot sync a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def not_written(path: Path, exc: OSError) -> StoreError:
    """Return the error for a file that could not be written or removed."""
    return StoreError(
        f"the file {str(path)!r} could not be written: {exc.strerror or exc}",
        next_actions=("make the folder writable and free space there, then try again",),
    )
