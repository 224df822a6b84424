"""Which projects are being brought up: an `up` that the server's death cut off is finished by its next run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import anyio
import anyio.to_thread

from ostler.adapters.atomic_files import remove, replace_private
from ostler.model.errors import StoreError
from ostler.model.json import parse_json


class UpJournal:
    """The folders of projects whose `up` is under way, each with the services that it is about.

    Belongs to one event loop. Without a file nothing is written down.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._open: dict[str, list[str]] = {}
        self._cut_off: dict[str, list[str]] = {}
        """What the file said when it was read."""
        self._is_read = file is None
        self._is_behind = False
        """Whether the file says something else, as it could not be written last time."""
        self._writing = anyio.Lock()

    def __repr__(self) -> str:
        return f"UpJournal({len(self._open)} open)"

    async def load(self) -> Mapping[str, Sequence[str]]:
        """Return what an earlier run of the server was cut off in and this one did not touch: folder → services."""
        await self._read_first()
        return {folder: names for folder, names in self._cut_off.items() if self._open.get(folder) is names}

    async def begin(self, directory: str, names: Sequence[str]) -> list[str]:
        """Write down, durable on return, that `names` of the project in `directory` are being brought up.

        Returns what `end` wants of the one who ends it.

        Raises:
            StoreError: it could not be written; what was written down before stays.
        """
        await self._read_first()
        before = self._open.get(directory)
        opened = self._open[directory] = list(names)
        try:
            await self._save()
        except StoreError:
            if self._open.get(directory) is opened:
                self._open.pop(directory)
                self._open |= {} if before is None else {directory: before}
            raise
        return opened

    async def end(self, directory: str, opened: list[str] | None = None) -> None:
        """Write down that the project in `directory` is not being brought up any more.

        Args:
            directory: the project's folder.
            opened: what `begin` gave: a later beginning stays; None ends any.

        Raises:
            StoreError: it could not be written; the next run of the server brings it up once more.
        """
        await self._read_first()
        if directory in self._open and (opened is None or self._open[directory] is opened):
            del self._open[directory]
            await self._save()
        elif self._is_behind:
            await self._save()

    async def _read_first(self) -> None:
        """Read the file, once: the first `up` may come before a run that was cut off is looked for."""
        async with self._writing:
            if not self._is_read:
                assert self._file is not None, "without a file there is nothing to read"
                self._open = await anyio.to_thread.run_sync(_read, self._file)
                self._cut_off = dict(self._open)
                self._is_read = True

    async def _save(self) -> None:
        if self._file is None:
            return
        with anyio.CancelScope(shield=True):
            async with self._writing:
                try:
                    await anyio.to_thread.run_sync(_write, self._file, dict(self._open))
                except StoreError:
                    self._is_behind = True
                    raise
                self._is_behind = False


def _write(file: Path, entries: Mapping[str, Sequence[str]]) -> None:
    if entries:
        replace_private(file, json.dumps(entries))
    else:
        remove(file)


def _read(file: Path) -> dict[str, list[str]]:
    try:
        found: object = parse_json(file.read_text())
    except (OSError, ValueError):
        return {}
    entries = cast("dict[str, list[str]]", found if isinstance(found, dict) else {})
    return {folder: list(names) for folder, names in entries.items()}
