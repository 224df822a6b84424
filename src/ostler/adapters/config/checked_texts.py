"""Which class files were loaded without a finding, remembered over starts, so that the next start need not check them.

To check twenty classes compiles all their templates and patterns: 170 ms of CPU, and 80 ms to load what does it.
"""

import hashlib
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

import ostler.model
import ostler.rules
from ostler.adapters.atomic_files import write_new
from ostler.model.errors import StoreError

_MAX_TEXTS: Final = 2_000


class CheckedTexts:
    """Digests of texts, in one file that only this version of the rules believes. Methods block on the disk.

    A file that is missing, or cannot be read or written, costs only time: everything is checked then.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"CheckedTexts({self._file})"

    def has(self, content: bytes) -> bool:
        """Whether `content` was loaded without a finding before."""
        digest = hashlib.sha256(content).hexdigest()
        if digest not in self._saved:
            return False
        self._seen[digest] = None
        return True

    def note(self, content: bytes) -> None:
        """Remember that `content` was loaded without a finding."""
        self._seen[hashlib.sha256(content).hexdigest()] = None

    def save(self) -> None:
        """Write what was seen since the start, when it is not what the file has; the rest is forgotten."""
        seen = frozenset(list(self._seen)[:_MAX_TEXTS])
        if self._saved == seen:
            return
        self._saved = seen
        with suppress(OSError, StoreError):
            self._file.unlink(missing_ok=True)
            write_new(self._file, _Saved(rules=self._rules, texts=seen).model_dump_json())

    @cached_property
    def _rules(self) -> str:
        return _rules_digest()

    @cached_property
    def _saved(self) -> frozenset[str]:
        try:
            saved = _Saved.model_validate_json(self._file.read_bytes())
        except (OSError, ValidationError):
            return frozenset()
        return saved.texts if saved.rules == self._rules != "" else frozenset()


class _Saved(BaseModel, frozen=True):
    """The file: digests of texts, and of the rules by which they were checked."""

    rules: str
    texts: frozenset[str]


def _rules_digest() -> str:
    """Return what changes with any module of the model and the rules; empty where they are not files."""
    digest = hashlib.sha256()
    for package in (ostler.model, ostler.rules):
        folder = Path(package.__path__[0])
        modules = sorted(folder.rglob("*.py"))
        if not modules:
            return ""
        for module in modules:
            facts = module.stat()
            digest.update(f"{module}:{facts.st_size}:{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()
