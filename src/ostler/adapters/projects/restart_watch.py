"""The files of a project that its services watch: what they hold, and a call when one changes."""

import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

import anyio
import anyio.from_thread
import anyio.to_thread
from watchfiles import Change, DefaultFilter, watch

from ostler.adapters.projects.folders import linked_root
from ostler.adapters.regular_files import read_regular

DEBOUNCE = 400
"""Milliseconds of calm that end a series of changes, such as a checkout or a save of several files."""

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


class _Stop:
    """Ends a watch. Notes when it is looked at first, which watchfiles does once it watches every folder."""

    def __init__(self, begun: Callable[[], object]) -> None:
        self._begun = begun
        self._is_watched = self._is_set = False

    def set(self) -> None:
        """End the watch."""
        self._is_set = True

    def is_set(self) -> bool:
        """Whether it is to end; called in the thread that watches."""
        if not (self._is_watched or self._is_set):
            self._is_watched = True
            anyio.from_thread.run_sync(self._begun)
        return self._is_set


async def watch_files(
    directory: Path,
    patterns: Mapping[str, Sequence[str]],
    changed: Callable[[str, str], Awaitable[None]],
    begun: Callable[[], object],
) -> None:
    """Call `changed(name, file)` once for each service and series of changes, until cancelled.

    What editors, version control and package managers write (`.git`, `node_modules`, `__pycache__`, swap files) is
    not looked at, nor are other worktrees that lie in the folder.

    Args:
        directory: the project's folder.
        patterns: service → globs relative to the folder; `*` stands for any text, `/` included.
        changed: called with the service and the first of its files that changed.
        begun: called once no later change is missed, which takes a moment where there are many folders.
    """
    stopped = _Stop(begun)
    # files at the top do not need a look through all folders, which may be many: node_modules is watched, too
    is_deep = any(set(glob) & set("/*?[") for globs in patterns.values() for glob in globs)
    series = _changed_files(directory, stopped, recursive=is_deep)
    own_thread = anyio.CapacityLimiter(1)  # it is busy for as long as the files are watched
    try:
        while files := await anyio.to_thread.run_sync(
            lambda: next(series, None), abandon_on_cancel=True, limiter=own_thread
        ):
            for name, globs in patterns.items():
                if file := next((file for file in files if matches(file, globs)), None):
                    await changed(name, file)
    finally:
        stopped.set()


def _changed_files(directory: Path, stopped: _Stop, *, recursive: bool) -> Iterator[list[str]]:
    """Yield the files of each series of changes, relative to `directory`, until `stopped` is set. Blocks."""
    own = _OwnFiles(directory)
    for changes in watch(
        directory,
        debounce=DEBOUNCE,
        watch_filter=own,
        stop_event=stopped,
        raise_interrupt=False,
        recursive=recursive,
    ):
        yield sorted(Path(path).relative_to(directory).as_posix() for _, path in changes)


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
