"""One manifest file as last read: what it holds, or what its last good version held, and what is wrong with it."""

import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

from msgspec import Struct

from ostler.adapters.regular_files import read_regular
from ostler.model.errors import Finding, ManifestError

_MAX_FILE_BYTES = 1024 * 1024

_REFUSED: Final = {
    errno.EFBIG: ("too-large", ""),
    errno.EINVAL: ("unreadable", "put a file in its place, or remove it"),
    errno.EPERM: ("unreadable", "put the file itself there, or make its folder the link"),
}
"""Rule and fix of the finding about a file that was not read, by the error's number."""

Loaded = TypeVar("Loaded")


class ManifestFile(Struct, Generic[Loaded], frozen=True):
    """A file's content, and what the last version of it that could be loaded holds.

    `basis` is what reading it depended on besides its content, None when on nothing.
    """

    content: bytes | None
    loaded: tuple[Loaded, ...] = ()
    findings: tuple[Finding, ...] = ()
    basis: object = None


def read_manifest_file(
    path: Path,
    before: ManifestFile[Loaded] | None,
    load: Callable[[str, str], Sequence[Loaded]],
    *,
    basis_of: Callable[[bytes], object] = lambda _: None,
    within: tuple[Path, ...] = (),
    pin: Callable[[bytes], None] | None = None,
) -> ManifestFile[Loaded]:
    """Return the file as it is now. Blocks on the disk; problems are findings, never errors.

    Args:
        path: the file.
        before: how it was when last read; what it held stays in force while it is broken.
        load: turns text and the file's name into what it holds, or raises ManifestError.
        basis_of: returns what reading this content depends on; a file is read again when that has changed.
        within: folders, of which one must hold what a link leads to; any where there are none.
        pin: raises ManifestError for content that is not the one that was pinned. Of a pinned file no other version
            stays in force, and it must exist.
    """
    content: bytes | None = None
    basis: object = None
    kept = before.loaded if before is not None and pin is None else ()
    try:
        read = read_regular(path, _MAX_FILE_BYTES, within=within)
        if pin is not None:
            pin(read)
        content = read
        basis = basis_of(content)
        if before is not None and before.content == content and before.basis == basis:
            return before
        return ManifestFile(content, tuple(load(content.decode(), str(path))), basis=basis)
    except OSError as exc:
        if isinstance(exc, FileNotFoundError) and pin is None:
            return ManifestFile(None)
        rule, fix = _REFUSED.get(exc.errno or 0, ("unreadable", ""))
        findings = (_problem(path, f"cannot be read: {exc.strerror}", rule, fix=fix),)
    except UnicodeDecodeError as exc:
        line = exc.object.count(b"\n", 0, exc.start) + 1
        findings = (_problem(path, f"is not UTF-8 text ({exc.reason})", "encoding", line),)
    except ManifestError as exc:
        findings = exc.findings
    return ManifestFile(content, kept, findings, basis)


def _problem(path: Path, message: str, rule: str, line: int = 0, *, fix: str = "") -> Finding:
    return Finding(message, str(path), line, rule=rule, fix=fix)
