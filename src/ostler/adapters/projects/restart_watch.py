"""The files of a project that its services watch: what they hold, and a call when one changes."""

import hashlib
import os
import platform
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
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

_REMOVAL_SECONDS = 1.0

_Changes: TypeAlias = set[tuple[int, Path]]
"""A series of changes: each a `Change`, and what changed."""

_LOOKS = 5
"""How often folders are looked for again that come or go meanwhile."""

_COARSE = 0.02
"""Seconds by which the time of a change that a file has may be earlier than the clock."""

_MAX_READ = 16 * 1024 * 1024
"""Bytes of a file that are read for a digest; of a larger one its size and time of change count."""


class _OwnFiles(DefaultFilter):
    """Leaves out what editors, version control and package managers write, and other worktrees inside of the folder."""

    ignore_dirs = (*DefaultFilter.ignore_dirs, ".jj", ".sl")
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

    def keeps_folder(self, folder: Path) -> bool:
        """Whether a folder counts if the one above it does."""
        is_root = os.path.lexists(folder / ".git") or os.path.lexists(folder / ".jj")
        is_own = folder not in self._others and not (is_root and self.is_elsewhere(folder))
        return is_own and self.keeps(folder.name)


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
    own = _OwnFiles(directory)
    watched = _Folders(directory, globs, own)

    def files_of(paths: set[Path]) -> set[str]:
        inside = (path for path in paths if path.is_relative_to(directory) and own(Change.modified, str(path)))
        return {path.relative_to(directory).as_posix() for path in inside}

    try:
        yield []
        watched.changes_so_far()
        yield []
        while (paths := watched.next_changes(stopped)) is not None:
            files = files_of(paths)
            if files and not any(map(os.path.lexists, paths)):
                _await_removal(stopped)
                files |= files_of(watched.changes_so_far())
            if files:
                yield sorted(files)
    finally:
        watched.close()


def _await_removal(stopped: threading.Event) -> None:
    """Let a removal end: files that are gone may be the first of a whole folder, from which nothing is to be run."""
    stopped.wait(_REMOVAL_SECONDS)


@dataclass(frozen=True, slots=True)
class _Look:
    """What is to be watched.

    Attributes:
        folders: the folders, links resolved: the system reports changes in them under these names.
        links: what other names a folder has in the project, with the folder: its files have those names, too.
    """

    folders: dict[Path, _Identity] = field(default_factory=dict[Path, _Identity])
    links: dict[Path, Path] = field(default_factory=dict[Path, Path])

    def names_of(self, path: Path) -> set[Path]:
        """Return `path` under each of its names."""
        names, new, links = {path}, [path], dict(self.links)
        while new:
            name = new.pop()
            for link in [link for link, target in links.items() if name.is_relative_to(target)]:
                named = link / name.relative_to(links.pop(link))  # each link once, as they may lead to each other
                names.add(named)
                new.append(named)
        return names


class _Folders:
    """The folders that show every change of files that globs mean, each watched alone.

    watchfiles keeps all of this program waiting while it begins to watch a folder with all below it: half a second for
    the 2,000 folders of a small node_modules.

    Raises:
        OSError: the folder of the project is gone, or there are no watches left; also raised by each method.
    """

    def __init__(self, directory: Path, globs: Sequence[str], own: _OwnFiles) -> None:
        self._look = partial(_watched_folders, directory, globs, own)
        self._seen = _Look()
        self._notify: RustNotify | None = None
        self._since = time.time()
        """From when on changes were not returned yet."""
        self._follow()

    def changes_so_far(self) -> set[Path]:
        """Return what has changed and was not returned yet."""
        return self._renewed(self._changes(1, 1, 1, None) or set())

    def next_changes(self, stopped: threading.Event) -> set[Path] | None:
        """Return the next series of changes, None once `stopped` is set."""
        found = self._changes(DEBOUNCE, _STEP, 0, stopped)
        return None if found is None else self._renewed(found)

    def close(self) -> None:
        """Watch nothing any more."""
        if self._notify is not None:
            self._notify.close()

    def _changes(self, debounce: int, step: int, timeout: int, stopped: threading.Event | None) -> _Changes | None:
        assert self._notify is not None, "it follows the folders from the beginning"
        try:
            found = self._notify.watch(debounce, step, timeout, stopped)
        except RuntimeError:  # such as a name that is not text: watchfiles has dropped the series, and has no more
            since, self._since = self._since, time.time()
            self._seen = _Look()
            self._follow()
            return {(Change.modified, path) for path in _changed_since(since - _COARSE, self._seen.folders)}
        self._since = time.time()
        return None if found == "stop" else _changes_in(found)

    def _renewed(self, found: _Changes) -> set[Path]:
        """Return what changed, under each of its names, with the files of folders that came: these are watched now."""
        before = self._seen
        replaced = {path for change, path in found if change != Change.modified} & before.folders.keys()
        if replaced or any(path in before.links or _is_folder(path) for _, path in found):
            found |= self._follow(replaced)
        # Where files are polled, a folder is modified when a file in it comes or goes, which is reported as well.
        paths = {path for change, path in found if change != Change.modified or not _is_folder(path)}
        new = {path for change, path in found if change != Change.modified}
        came = [path for path, which in self._seen.folders.items() if path in new or before.folders.get(path) != which]
        came += [link for link, target in self._seen.links.items() if before.links.get(link) != target]
        for folder in came:
            with suppress(OSError):
                paths |= set(folder.iterdir())
        return {name for path in paths for name in self._seen.names_of(path) | before.names_of(path)}

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
            for entry in entries:
                with suppress(OSError):
                    facts = entry.stat()
                    if max(facts.st_mtime, facts.st_ctime) >= moment and _is_text(entry.name):
                        yield Path(entry.path)


def _watched_folders(directory: Path, globs: Sequence[str], own: _OwnFiles) -> _Look:
    """Return which folders show every change of a file that `globs` mean, and of the folders that such files are in.

    Raises:
        OSError: the folder of the project is gone.
    """
    found = _Look()
    directory.stat()
    for glob in globs:
        base = PurePath(_fixed_part(glob))
        for place in (*reversed(base.parents), base):  # one that appears later shows in the one above it
            _add(found, directory / place)
        if not _SIGNS.isdisjoint(glob) and own.keeps(str(base)):
            _add_below(found, directory / base, own)
    return found


def _add(found: _Look, name: Path) -> Path | None:
    """Add the folder that is called `name`, and return it with links resolved; None if there is none."""
    folder = Path(os.path.realpath(name))
    if not _is_folder(folder) or not _is_text(str(folder)):  # watchfiles takes only text
        return None
    with suppress(OSError):
        found.folders[folder] = _identity_of(folder)
    if folder != name and folder not in name.parents:  # one that leads to a folder above itself gives no new names
        found.links[name] = folder
    return folder


def _add_below(found: _Look, top: Path, own: _OwnFiles) -> None:
    """Add all folders below `top` that count, and those that links lead to."""
    walked: set[Path] = set()
    tops = [_add(found, top)]
    while tops:
        top_folder = tops.pop()
        if top_folder is None or top_folder in walked:
            continue
        for folder, folders, _ in _walk(top_folder, own):
            if folder in walked:
                folders.clear()
                continue
            walked.add(folder)
            folders[:] = filter(_is_text, folders)
            links = [name for name in folders if (folder / name).is_symlink()]
            tops += [_add(found, folder / name) for name in links]
            with suppress(OSError):
                found.folders[folder] = _identity_of(folder)


def _walk(top: Path, own: _OwnFiles) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield the folders below `top` that count, itself first: which it is, its folders that count, and its files."""
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if own.keeps_folder(Path(folder, name))]
        yield Path(folder), folders, files


def _identity_of(folder: Path) -> _Identity:
    facts = folder.stat()
    return facts.st_dev, facts.st_ino


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 (Path.is_dir raises where it may not look)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8
        return False
    return True


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
        for folder, _, files in _walk(directory / base, own):
            place = folder.relative_to(directory)
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
