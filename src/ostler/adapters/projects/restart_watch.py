"""The files of a project that its services watch: what they hold, and a call when one changes."""

import hashlib
import os
import platform
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

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
    # files at the top do not need a look through all folders, which may be many: node_modules is watched, too
    is_deep = any(set(glob) & set("/*?[") for globs in patterns.values() for glob in globs)
    series = _changed_files(directory, stopped, recursive=is_deep)
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


def _changed_files(directory: Path, stopped: threading.Event, *, recursive: bool) -> Iterator[list[str]]:
    """Yield the files of each series of changes, relative to `directory`, until `stopped` is set. Blocks.

    The first series is empty and comes once every folder is watched; the second is empty, too, and takes the place of
    what has changed until it is asked for.
    """
    own = _OwnFiles(directory)
    at_once = threading.Event()
    at_once.set()
    with RustNotify([str(directory)], False, _is_polled(), _POLL, recursive, False) as notify:
        yield []
        notify.watch(0, 1, 0, at_once)  # it forgets what it has when it is told to stop
        yield []
        while (found := notify.watch(DEBOUNCE, _STEP, 0, stopped)) != "stop":
            paths = [path for change, path in found if own(Change(change), path)] if isinstance(found, set) else []
            if paths:
                yield sorted({Path(path).relative_to(directory).as_posix() for path in paths})


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
        for folder, folders, files in os.walk(directory / base):
            place = PurePath(folder).relative_to(directory)
            folders[:] = [
                name
                for name in folders
                if own.keeps(str(place / name)) and not own.is_elsewhere(directory / place / name)
            ]
            found = [(place / name).as_posix() for name in files if own.keeps(str(place / name))]
            yield from (file for file in found if matches(file, globs))


def _fixed_part(glob: str) -> str:
    """Return the folder that all files of `glob` lie in."""
    parts = PurePath(glob).parts
    fixed = next((index for index, part in enumerate(parts) if set(part) & set("*?[")), len(parts) - 1)
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
