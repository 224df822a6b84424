"""The files of a project that its services watch: what they hold, and a call when one changes."""

import hashlib
import os
import platform
import threading
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePath
from typing import TypeAlias, cast

import anyio
import anyio.to_thread
from watchfiles import Change, DefaultFilter
from watchfiles._rust_notify import RustNotify

from ostler.adapters.projects.folders import linked_root
from ostler.adapters.regular_files import read_regular

DEBOUNCE = 400
"""Milliseconds after which a series of changes ends at the latest, such as a checkout or a save of several files."""

_STEP = 50
"""Milliseconds of calm that end it, and between looks whether the watch is to end."""

_POLLING = "WATCHFILES_FORCE_POLLING"
"""The variable of watchfiles by which files are looked at, where the file system gives no notifications."""

_POLL = 300
"""Milliseconds between these looks."""

_SIGNS = frozenset("*?[")
"""What makes a pattern of a path."""

_Identity: TypeAlias = tuple[int, int]
"""Which folder it is, whatever its name: another one may take its place."""

_MAX_READ = 16 * 1024 * 1024
"""Bytes of a file that are read for a digest; of a larger one its size and time of change count."""


class _OwnFiles(DefaultFilter):
    """Leaves out what editors, version control and package managers write, and other worktrees inside of the folder."""

    __slots__ = ("_directory", "_others", "_root")

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        self._root = linked_root(directory)
        self._others: set[Path] = set()  # kept, as one that is being removed is not a worktree any more

    def __call__(self, change: Change, path: str) -> bool:
        del change
        return self.keeps(os.path.relpath(path, self._directory)) and not self.is_elsewhere(Path(path).parent)

    def keeps(self, path: str) -> bool:
        """Whether a file or folder, relative to the project's folder, is one that counts, by its names."""
        return super().__call__(Change.modified, path)

    def is_elsewhere(self, folder: Path) -> bool:
        """Whether `folder` lies in another worktree than the project."""
        root = linked_root(folder)
        if root is not None and root != self._root:
            self._others.add(root)
        return not self._others.isdisjoint((folder, *folder.parents))

    def keeps_folder(self, place: PurePath) -> bool:
        """Whether a folder, relative to the project's folder, counts if the one above it does."""
        folder = self._directory / place
        is_own = folder not in self._others and not (os.path.lexists(folder / ".git") and self.is_elsewhere(folder))
        return is_own and self.keeps(str(place))


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

    async def following() -> list[str] | None:
        return await anyio.to_thread.run_sync(lambda: next(series, None), abandon_on_cancel=True, limiter=own_thread)

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
        with suppress(ValueError):  # its thread is in it, and ends it
            series.close()


def _changed_files(directory: Path, globs: Sequence[str], stopped: threading.Event) -> Generator[list[str]]:
    """Yield the files of each series of changes, relative to `directory`, until `stopped` is set. Blocks.

    The first series is empty and comes once every folder is watched; the second is empty, too, and takes the place of
    what has changed until it is asked for.
    """
    own = _OwnFiles(directory)
    watched = _Folders(directory, globs, own)
    try:
        yield []
        watched.changes_so_far()
        yield []
        while (paths := watched.next_changes(stopped)) is not None:
            files = {path.relative_to(directory).as_posix() for path in paths if own(Change.modified, str(path))}
            if files:
                yield sorted(files)
    finally:
        watched.close()


class _Folders:
    """The folders that show every change of files that globs mean, each watched alone.

    watchfiles keeps all of this program waiting while it begins to watch a folder with all below it: half a second for
    the 2,000 folders of a small node_modules.

    Raises:
        OSError: the folder of the project is gone, or there are no watches left.
    """

    def __init__(self, directory: Path, globs: Sequence[str], own: _OwnFiles) -> None:
        self._look = partial(_watched_folders, directory, globs, own)
        self._folders = self._look()
        self._notify = _notifier(self._folders)

    def changes_so_far(self) -> set[Path]:
        """Return what has changed and was not returned yet."""
        return self._renewed(_paths_of(self._notify.watch(1, 1, 1, None)))

    def next_changes(self, stopped: threading.Event) -> set[Path] | None:
        """Return the next series of changes, None once `stopped` is set."""
        found = self._notify.watch(DEBOUNCE, _STEP, 0, stopped)
        return None if found == "stop" else self._renewed(_paths_of(found))

    def _renewed(self, paths: set[Path]) -> set[Path]:
        """Return `paths` with the files of folders that came; these are watched from now on."""
        replaced = paths & self._folders.keys()
        if not replaced and not any(path.is_dir() for path in paths):
            return paths
        before, now = self._folders, self._look()
        if not now or (now == before and not replaced):
            return paths
        earlier, self._notify, self._folders = self._notify, _notifier(now), now
        paths |= _paths_of(earlier.watch(1, 1, 1, None))
        earlier.close()
        for folder, identity in now.items():
            if before.get(folder) != identity or folder in replaced:
                with suppress(OSError):
                    paths |= set(folder.iterdir())
        return paths

    def close(self) -> None:
        """Watch nothing any more."""
        self._notify.close()


def _notifier(folders: Iterable[Path]) -> RustNotify:
    return RustNotify(
        [str(folder) for folder in folders],
        debug=False,
        force_polling=_is_polled(),
        poll_delay_ms=_POLL,
        recursive=False,
        ignore_permission_denied=True,
    )


def _paths_of(found: object) -> set[Path]:
    """Return the paths of a series of changes, none where watchfiles says why it has none."""
    return {Path(path) for _, path in cast("set[tuple[int, str]]", found)} if isinstance(found, set) else set()


def _watched_folders(directory: Path, globs: Sequence[str], own: _OwnFiles) -> dict[Path, _Identity]:
    """Return which folders show every change of a file that `globs` mean, and of the folders that such files are in."""
    found: dict[Path, _Identity] = {}
    for glob in globs:
        base = PurePath(_fixed_part(glob))
        for folder in (*reversed(base.parents), base):  # one that appears later shows in the one above it
            with suppress(OSError):
                found[directory / folder] = _identity_of(directory / folder)
        if not _SIGNS.isdisjoint(glob):
            found |= {
                directory / place: identity for place, identity, _ in _walk(directory, base, own, follows_links=True)
            }
    return found


def _walk(
    directory: Path, base: PurePath, own: _OwnFiles, *, follows_links: bool
) -> Iterator[tuple[PurePath, _Identity, list[str]]]:
    """Yield the folders below `base` that count, itself first: where in `directory` and which one it is, its files."""
    seen: set[_Identity] = set()
    for folder, folders, files in os.walk(directory / base, followlinks=follows_links):
        place = PurePath(folder).relative_to(directory)
        try:
            identity = _identity_of(folder)
        except OSError:
            continue
        if identity in seen:  # a link to a folder above it
            folders.clear()
            continue
        seen.add(identity)
        folders[:] = [name for name in folders if own.keeps_folder(place / name)]
        yield place, identity, files


def _identity_of(folder: Path | str) -> _Identity:
    facts = os.stat(folder)  # noqa: PTH116 (what os.walk gives)
    return facts.st_dev, facts.st_ino


def _is_polled() -> bool:
    """Whether files are to be looked at, by the rule of watchfiles: told to, or on Windows' subsystem for Linux."""
    told = os.environ.get(_POLLING, "").lower()
    return told not in ("false", "disable", "disabled") if told else "microsoft-standard" in platform.release().lower()


def matches(file: str, globs: Sequence[str]) -> bool:
    """Whether a file, relative to the project's folder, is meant by one of `globs`."""
    return any(fnmatchcase(file, glob) or fnmatchcase(file, glob.replace("**/", "")) for glob in globs)


def digest_of_files(directory: Path, globs: Sequence[str]) -> str:
    """Return what the files that `globs` mean hold, as a digest: names and contents. Blocks on the disk."""
    whole = hashlib.sha256()
    for file in sorted(set(_files_of(directory, globs))):
        whole.update(f"{file}\0{_content_of(directory / file)}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()[:32]


def _files_of(directory: Path, globs: Sequence[str]) -> Iterator[str]:
    """Yield the files that `globs` mean, relative to `directory`."""
    own = _OwnFiles(directory)
    for base in {_fixed_part(glob) for glob in globs}:
        for place, _, files in _walk(directory, PurePath(base), own, follows_links=False):
            found = [(place / name).as_posix() for name in files if own.keeps(str(place / name))]
            yield from (file for file in found if matches(file, globs))


def _fixed_part(glob: str) -> str:
    """Return the folder that all files of `glob` lie in."""
    parts = PurePath(glob).parts
    fixed = next((index for index, part in enumerate(parts) if not _SIGNS.isdisjoint(part)), len(parts) - 1)
    return PurePath(*parts[:fixed]).as_posix()


def _content_of(path: Path) -> str:
    try:
        return hashlib.sha256(read_regular(path, _MAX_READ)).hexdigest()
    except OSError as error:
        try:
            facts = path.lstat()
        except OSError:
            return f"unreadable: {error.errno}"
        return f"{facts.st_size} {facts.st_mtime_ns}"
