"""The folders and files of a project that globs mean: which ones count, and what they hold."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import TypeAlias

from watchfiles import Change, DefaultFilter

from ostler.adapters.projects.folders import linked_root
from ostler.adapters.regular_files import read_regular
from ostler.model.json import is_encodable

_SIGNS = frozenset("*?[")
"""What makes a pattern of a path."""

_Identity: TypeAlias = tuple[int, int]
"""Which folder it is, whatever its name: another one may take its place."""

_MAX_READ = 16 * 1024 * 1024
"""Bytes of a file that are read for a digest; of a larger one its size and time of change count."""


class OwnFiles(DefaultFilter):
    """Leaves out what editors, version control and package managers write, and other worktrees inside of the folder."""

    ignore_dirs = (*DefaultFilter.ignore_dirs, ".jj", ".sl")
    __slots__ = ("_others", "_root")

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._root = linked_root(directory)
        self._others: set[Path] = set()  # kept, as one that is being removed is not a worktree any more

    def keeps(self, path: str) -> bool:
        """Whether a file or folder, relative to the project's folder, is one that counts, by its names."""
        return self(Change.modified, path)

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


@dataclass(frozen=True, slots=True)
class Look:
    """What to watch.

    Attributes:
        folders: the folders, links resolved: the system reports changes in them under these names.
        links: what other names a folder has in the project, with the folder: its files have those names, too.
        files: what each folder has that globs mean: a folder that is moved away takes them along.
    """

    folders: dict[Path, _Identity] = field(default_factory=dict[Path, _Identity])
    links: dict[Path, Path] = field(default_factory=dict[Path, Path])
    files: dict[Path, set[str]] = field(default_factory=dict[Path, set[str]], compare=False)

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


def watched_folders(directory: Path, globs: Sequence[str], own: OwnFiles) -> Look:
    """Return which folders show every change of a file that `globs` mean, and of the folders that such files are in.

    Raises:
        OSError: the folder of the project is gone.
    """
    found = Look()
    directory.stat()
    for glob in globs:
        base = PurePath(_fixed_part(glob))
        is_pattern = not _SIGNS.isdisjoint(glob)
        for place in (*reversed(base.parents), base):  # one that appears later shows in the one above it
            folder = _add(found, directory / place)
            if folder is not None and place == base and not is_pattern and os.path.lexists(directory / glob):
                found.files.setdefault(folder, set()).add(PurePath(glob).name)
        if is_pattern and own.keeps(str(base)):
            _add_below(found, directory / base, own, directory, globs)
    return found


def _add(found: Look, name: Path) -> Path | None:
    """Add the folder that is called `name`, and return it with links resolved; None if there is none."""
    folder = Path(os.path.realpath(name))
    if not is_folder(folder) or not is_encodable(str(folder)):  # watchfiles takes only text
        return None
    with suppress(OSError):
        found.folders[folder] = _identity_of(folder)
    if folder != name and folder not in name.parents:  # one that leads to a folder above itself gives no new names
        found.links[name] = folder
    return folder


def _add_below(found: Look, top: Path, own: OwnFiles, directory: Path, globs: Sequence[str]) -> None:
    """Add all folders below `top` that count, and those that links lead to, with the files that `globs` mean."""
    walked: set[Path] = set()
    tops = [_add(found, top)]
    while tops:
        top_folder = tops.pop()
        if top_folder is None or top_folder in walked:
            continue
        for folder, folders, files in _walk(top_folder, own):
            if folder in walked:
                folders.clear()
                continue
            walked.add(folder)
            folders[:] = filter(is_encodable, folders)
            links = [name for name in folders if (folder / name).is_symlink()]
            tops += [_add(found, folder / name) for name in links]
            with suppress(OSError):
                found.folders[folder] = _identity_of(folder)
                place = os.path.relpath(folder, directory)
                above = "" if place == os.curdir else f"{place}/"
                if meant := {name for name in files if is_encodable(name) and matches(above + name, globs)}:
                    found.files.setdefault(folder, set()).update(meant)


def _walk(top: Path, own: OwnFiles) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield the folders below `top` that count, itself first: which it is, its folders that count, and its files."""
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if own.keeps_folder(Path(folder, name))]
        yield Path(folder), folders, files


def _identity_of(folder: Path) -> _Identity:
    facts = folder.stat()
    return facts.st_dev, facts.st_ino


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder, as far as that can be seen."""
    return os.path.isdir(path)  # noqa: PTH112 (Path.is_dir raises where it may not look)


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
    own = OwnFiles(directory)
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
