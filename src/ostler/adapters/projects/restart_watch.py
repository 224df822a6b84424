"""The files of a project that its services watch: what they hold, and a call when one changes."""

import os
import platform
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias, cast

import anyio
import anyio.to_thread
from watchfiles import Change
from watchfiles._rust_notify import RustNotify

from ostler.adapters.projects.project_tree import Look, OwnFiles, is_folder, matches, watched_folders
from ostler.model.json import is_encodable

DEBOUNCE = 400
"""Milliseconds after which a series of changes ends at the latest, such as a checkout or a save of several files."""

_STEP = 50
"""Milliseconds of calm that end it, and between looks whether the watch is to end."""

_POLLING = "WATCHFILES_FORCE_POLLING"
"""The variable of watchfiles by which files are looked at, where the file system gives no notifications."""

_POLL = 300
"""Milliseconds between these looks."""

_REMOVAL_SECONDS = 1.0
_REMOVAL_LOOKS = 60
"""How many times this pause is repeated at most while files are being removed: a large node_modules takes long."""

_REMOVAL_NAMES = 20_000
"""Files and folders that a look considers, the upper ones first."""

_Changes: TypeAlias = set[tuple[int, Path]]
"""A series of changes: each a `Change`, and what changed."""

_LOOKS = 5
"""How often folders are looked for again that come or go meanwhile."""

_QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")
_CHANGES_EACH = 8
"""Changes of one path in a series, at most: it comes, is opened, written, closed, renamed, and so is its new name."""

_MANY = 2000
"""Changed paths in a series that are many where there is no such limit to read."""

_COARSE = 0.02
"""Seconds by which the time of a change that a file has may be earlier than the clock."""


async def watch_files(
    directory: Path,
    patterns: Mapping[str, Sequence[str]],
    changed: Callable[[str, str], Awaitable[None]],
    begun: Callable[[], object],
    wanted: anyio.Event | None = None,
) -> None:
    """Call `changed(name, file)` once for each service and series of changes, until cancelled.

    What editors, version control and package managers write (`.git`, `node_modules`, `__pycache__`, swap files) is
    not looked at, nor are other worktrees that lie in the folder.

    Args:
        directory: the project's folder.
        patterns: service → globs relative to the folder; `*` stands for any text, `/` included.
        changed: called with the service and the first of its files that changed.
        begun: called once no later change is missed, which takes a moment where there are many folders.
        wanted: changes before it is set do not count, though the folders are watched already.

    Raises:
        OSError: the folder is gone, or there are no watches left.
    """
    stopped = threading.Event()
    series = _changed_files(directory, sorted({glob for globs in patterns.values() for glob in globs}), stopped)
    own_thread = anyio.CapacityLimiter(1)  # it is busy for as long as the files are watched

    def take() -> list[str] | None:
        files = next(series, None)
        if stopped.is_set():  # no one waits for it any more
            with suppress(ValueError):  # it is being closed
                series.close()
        return files

    async def following() -> list[str] | None:
        return await anyio.to_thread.run_sync(take, abandon_on_cancel=True, limiter=own_thread)

    try:
        await following()
        if wanted is not None:
            await wanted.wait()
        await following()
        begun()
        while files := await following():
            for name, globs in patterns.items():
                if file := next((file for file in files if matches(file, globs)), None):
                    await changed(name, file)
    finally:
        stopped.set()
        with suppress(ValueError):  # its thread is in it, and closes it
            series.close()


def _changed_files(directory: Path, globs: Sequence[str], stopped: threading.Event) -> Generator[list[str]]:
    """Yield the files of each series of changes, relative to `directory`, until `stopped` is set. Blocks.

    The first series is empty and comes once every folder is watched; the second is empty, too, and takes the place of
    what has changed until it is asked for.
    """
    own = OwnFiles(directory)
    watched = _Folders(directory, globs, own)

    def files_of(paths: set[Path]) -> set[str]:
        inside = {path: path.relative_to(directory).as_posix() for path in paths if path.is_relative_to(directory)}
        kept = {path: name for path, name in inside.items() if own.keeps(name)}
        # Once for each folder: a checkout changes thousands of files, and a look goes through all folders above.
        elsewhere = {folder for folder in {path.parent for path in kept} if own.is_elsewhere(folder)}
        return {name for path, name in kept.items() if path.parent not in elsewhere}

    try:
        yield []
        watched.changes_so_far()
        yield []
        while (paths := watched.next_changes(stopped)) is not None:
            files = files_of(paths)
            meant = [directory / name for name in files if matches(name, globs)]
            if meant and not any(map(os.path.lexists, meant)):
                _await_removal(directory, stopped)
                files |= files_of(watched.changes_so_far())
            if files:
                yield sorted(files)
    finally:
        watched.close()


def _await_removal(directory: Path, stopped: threading.Event) -> None:
    """Let a removal end: files that are gone may be the first of a whole folder, from which nothing is to be run."""
    before = names_below(directory)
    for _ in range(_REMOVAL_LOOKS):
        stopped.wait(_REMOVAL_SECONDS)
        now = names_below(directory)
        if stopped.is_set() or before <= now:
            return
        before = now


def names_below(directory: Path) -> set[str]:
    """Return the paths of what is in `directory`, folder by folder, also of what is not watched."""
    found: set[str] = set()
    folders = deque([str(directory)])
    while folders and len(found) < _REMOVAL_NAMES:
        with suppress(OSError), os.scandir(folders.popleft()) as entries:
            for entry in entries:
                found.add(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
    return found


class _Series(NamedTuple):
    """What watchfiles returns at once.

    Attributes:
        changes: the changes.
        lost_since: from when on there may be others, which it did not return; None if there are none.
        is_last: it returns no more.
    """

    changes: _Changes
    lost_since: float | None = None
    is_last: bool = False


class _Folders:
    """The folders that show every change of files that globs mean, each watched alone.

    watchfiles keeps all of this program waiting while it begins to watch a folder with all below it: half a second for
    the 2,000 folders of a small node_modules.

    Raises:
        OSError: the folder of the project is gone, or there are no watches left; also raised by each method.
    """

    def __init__(self, directory: Path, globs: Sequence[str], own: OwnFiles) -> None:
        self._directory = directory
        self._globs = globs
        self._look = partial(watched_folders, directory, globs, own)
        self._seen = Look()
        self._notify: RustNotify | None = None
        self._since = time.time()
        """From when on changes were not returned yet."""
        self._follow()

    def changes_so_far(self) -> set[Path]:
        """Return what has changed and was not returned yet."""
        return self._renewed(self._changes(1, 1, 1, None) or _Series(set()))

    def next_changes(self, stopped: threading.Event) -> set[Path] | None:
        """Return the next series of changes, None once `stopped` is set."""
        found = self._changes(DEBOUNCE, _STEP, 0, stopped)
        return None if found is None else self._renewed(found)

    def close(self) -> None:
        """Watch nothing any more."""
        if self._notify is not None:
            self._notify.close()

    def _changes(self, debounce: int, step: int, timeout: int, stopped: threading.Event | None) -> _Series | None:
        assert self._notify is not None, "it follows the folders from the beginning"
        since = self._since
        try:
            found = self._notify.watch(debounce, step, timeout, stopped)
        except RuntimeError:  # such as a name that is not text: watchfiles has dropped the series, and has no more
            self._since = time.time()
            return _Series(set(), since, is_last=True)
        self._since = time.time()
        if found == "stop":
            return None
        changes = _changes_in(found)
        # The system may have had no room for others, and says nothing of that.
        return _Series(changes, since if len(changes) >= _many() else None)

    def _renewed(self, series: _Series) -> set[Path]:
        """Return what changed, under each of its names, with the files of folders that came: these are watched now."""
        before, found = self._seen, series.changes
        replaced = {path for change, path in found if change != Change.modified} & before.folders.keys()
        if series.lost_since is not None:
            found |= self._follow(before.folders if series.is_last else replaced)
            found |= {
                (Change.modified, path) for path in _changed_since(series.lost_since - _COARSE, self._seen.folders)
            }
        elif replaced or any(path in before.links or is_folder(path) for _, path in found):
            found |= self._follow(replaced)
        # Where files are polled, a folder is modified when a file in it comes or goes, which is reported as well.
        paths = {path for change, path in found if change != Change.modified or not is_folder(path)}
        new = {path for change, path in found if change != Change.modified}
        came = [path for path, which in self._seen.folders.items() if path in new or before.folders.get(path) != which]
        came += [link for link, target in self._seen.links.items() if before.links.get(link) != target]
        for folder in came:
            with suppress(OSError):
                paths |= set(folder.iterdir())
        for folder, files in before.files.items():
            if self._seen.folders.get(folder) != before.folders.get(folder):
                paths |= {folder / name for name in files}
        names = {name for path in paths for name in self._seen.names_of(path) | before.names_of(path)}
        self._note_files(paths)
        return names

    def _note_files(self, changed: Iterable[Path]) -> None:
        """Note which of the files that globs mean came and went."""
        for path in changed:
            if path.parent in self._seen.folders and matches(os.path.relpath(path, self._directory), self._globs):
                files = self._seen.files.setdefault(path.parent, set())
                if os.path.lexists(path):
                    files.add(path.name)
                else:
                    files.discard(path.name)

    def _follow(self, replaced: Collection[Path] = ()) -> _Changes:
        """Watch the folders that are there now; return what changed in those of before until then.

        It looks again until nothing came or went between a look and the watch that is made of it.

        Args:
            replaced: folders that are not those of before, though they may look like them.
        """
        found: _Changes = set()
        outdated: list[RustNotify] = []
        for looks_left in reversed(range(_LOOKS)):
            now = self._look()
            if now == self._seen and not replaced:
                break
            try:
                notify = _notifier(now.folders)
            except FileNotFoundError:  # a folder has gone since the look
                if looks_left:
                    continue
                raise
            outdated += [] if self._notify is None else [self._notify]
            self._notify, self._seen, replaced = notify, now, ()
        for earlier in outdated:
            with suppress(RuntimeError):  # as in `_changes`
                found |= _changes_in(earlier.watch(1, 1, 1, None))
            earlier.close()
        return found


def _many() -> int:
    """Return how many changed paths may be as many changes as the system keeps until they are read."""
    try:
        return int(_QUEUE.read_text()) // _CHANGES_EACH
    except (OSError, ValueError):  # not Linux
        return _MANY


def _notifier(folders: Iterable[Path]) -> RustNotify:
    """Return what reports changes in `folders`.

    Raises:
        FileNotFoundError: one of them is gone.
        OSError: there are no watches left.
    """
    try:
        return RustNotify(
            [str(folder) for folder in folders],
            debug=False,
            force_polling=_is_polled(),
            poll_delay_ms=_POLL,
            recursive=False,
            ignore_permission_denied=True,
        )
    except RuntimeError as error:  # such as a limit on how many there may be
        raise OSError(str(error)) from error


def _changes_in(found: object) -> _Changes:
    """Return a series of changes, none where watchfiles says why it has none."""
    if not isinstance(found, set):
        return set()
    return {(change, Path(path)) for change, path in cast("set[tuple[int, str]]", found)}


def _changed_since(moment: float, folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        with suppress(OSError), os.scandir(folder) as entries:
            yield from (Path(entry.path) for entry in entries if _has_changed_since(moment, entry))


def _has_changed_since(moment: float, entry: os.DirEntry[str]) -> bool:
    try:
        facts = entry.stat()
    except OSError:  # it is gone
        return False
    return max(facts.st_mtime, facts.st_ctime) >= moment and is_encodable(entry.name)


def _is_polled() -> bool:
    """Whether files are polled, by watchfiles' rule: if its variable says so, or on Windows' subsystem for Linux."""
    told = os.environ.get(_POLLING, "").lower()
    return told not in ("false", "disable", "disabled") if told else "microsoft-standard" in platform.release().lower()
