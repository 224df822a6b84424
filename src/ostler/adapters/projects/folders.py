"""Which project a folder belongs to: the nearest `ostler.yaml`, and the main checkout where it is a git worktree.

Git is not called: a worktree says in its `.git` file where the repository is (gitrepository-layout(5)), and reading
small files works where git is not installed. A workspace of jj says it in `.jj/repo`.
"""

import hashlib
import os
import re
import stat
from collections.abc import Collection, Mapping
from pathlib import Path

from msgspec import Struct

from ostler.adapters.regular_files import expanded, read_regular
from ostler.engine.services.views import ProjectRef
from ostler.model.errors import ArgumentError, NotFoundError
from ostler.model.json import is_encodable
from ostler.model.label_names import label_of
from ostler.model.projects import PROJECT_FILE

_GITDIR = "gitdir:"
_PASSED_OVER = frozenset(
    {"node_modules", "vendor", "third_party", "site-packages", "venv", "target", "build", "dist", "docs", "templates"}
    | {"example", "examples", "samples", "test", "tests", "testdata", "fixtures", "e2e"}
)
"""Names of folders whose files say nothing of what runs in a project."""

_BARE = re.compile(r"^\s*bare\s*=\s*true\s*$", re.IGNORECASE | re.MULTILINE)
"""The line of a bare repository's configuration."""

_JJ = Path(".jj", "repo")
"""The repository of jj: a folder, or in a further workspace a file that names it."""

_DISKS = re.compile(r"/Volumes|/mnt|(/run)?/media(/[^/]+)?")

_MAX_FOLDERS = 2000
_LABEL_LENGTH = 40
_SMALL = 4096
"""Bytes of git's pointer files that are read."""

_LARGE = 1_048_576
"""Bytes of git's configuration that are read: it has a section for each branch."""


class Checkout(Struct, frozen=True):
    """A working tree of git, or a workspace of jj.

    Attributes:
        root: its folder.
        main: the folder of the repository's main working tree; the same for the main one itself. Of a bare repository,
            the folder that has it as `.git`, `.bare` or the like, else the repository.
        is_cut_off: it is a worktree whose repository is not where it says, as after that was moved.
        is_bare: its repository is a bare one.
    """

    root: Path
    main: Path
    is_cut_off: bool = False
    is_bare: bool = False

    @property
    def is_linked(self) -> bool:
        """Whether it is a worktree next to the main one."""
        return self.root != self.main

    @property
    def is_worktree(self) -> bool:
        """Whether it is a worktree next to a main one, which need not be where the worktree says."""
        return self.is_linked or self.is_cut_off


class ProjectFolder(Struct, frozen=True):
    """A folder with an `ostler.yaml`.

    Attributes:
        directory: the folder, absolute, links resolved.
        main: the same folder in the main checkout.
        worktree: the name of the worktree; empty in the main checkout and outside of git.
        is_cut_off: it is in a worktree whose repository is not where it says.
        is_bare: it is in a worktree of a bare repository, which has no main checkout.
    """

    directory: Path
    main: Path
    worktree: str = ""
    is_cut_off: bool = False
    is_bare: bool = False

    @property
    def file(self) -> Path:
        """Its `ostler.yaml`."""
        return self.directory / PROJECT_FILE

    def refs(self, name: str, known: Mapping[str, str]) -> tuple[ProjectRef, ProjectRef]:
        """Return the project and that of its main checkout. One that has services keeps its id.

        Args:
            name: the name in the file; empty takes the folder's.
            known: the projects that have services: id → folder. One of the same name elsewhere gets no namesake.
        """
        mine = [project for project, place in known.items() if place == str(self.directory)]
        if self.is_cut_off and (cut := next((project for project in mine if "." in project), "")):
            base = cut.partition(".")[2]
            ref = ProjectRef(cut, str(self.directory))
            return ref, ProjectRef(base, known[base]) if base in known else ref
        mains = [project for project, place in known.items() if place == str(self.main) and "." not in project]
        wanted = name or project_label(self.main.name.removesuffix(".git"))
        base = next(iter(mains), "") or _free_id(wanted, str(self.main), known)
        main = ProjectRef(base, str(self.main))
        if not self.worktree:
            return main, main
        own = next((project for project in mine if project.endswith(f".{base}")), "")
        own = own or _free_id(f"{project_label(self.worktree)}.{base}", str(self.directory), known)
        return ProjectRef(own, str(self.directory)), main


def find_project(start: Path) -> ProjectFolder | None:
    """Return the project that `start` lies in, or None when it sees no `ostler.yaml` in a folder above.

    A folder, a named pipe or a broken link of that name counts, too: whoever reads it says what it is.

    What lies around a worktree, such as its main checkout, is not the worktree's project.
    """
    start = expanded(start).resolve()
    for folder in (start, *start.parents):
        if os.path.lexists(folder / PROJECT_FILE):
            return project_at(folder)
        if (here := _checkout_at(folder)) is not None and here.is_worktree:
            return None
    return None


def require_project(start: Path) -> ProjectFolder:
    """Return the project that `start` lies in.

    Raises:
        NotFoundError: there is none.
        ArgumentError: no message can carry its folder's name.
    """
    if not os.path.exists(start):  # noqa: PTH110 (Path.exists raises where it may not look)
        raise NotFoundError("project", str(start), why="there is no such folder", next_actions=("name another one",))
    if found := find_project(start):
        for folder in (found.directory, found.main):
            if not is_encodable(str(folder)):
                raise ArgumentError(
                    [f"the folder {str(folder)!r} has a name that is not UTF-8 text, so no tool can be called with it"],
                    next_actions=("rename the folder, as with convmv",),
                )
        return found
    raise NotFoundError(
        "project",
        str(start),
        why=f"neither it nor a folder above it has an {PROJECT_FILE}",
        next_actions=(f"ostler project init writes an {PROJECT_FILE} from what the folder has", "or name the folder"),
    )


def project_at(folder: Path) -> ProjectFolder:
    """Return the project whose `ostler.yaml` is (or would be) in `folder`."""
    folder = expanded(folder).resolve()
    checkout = find_checkout(folder)
    if checkout is None or not checkout.is_linked:
        return ProjectFolder(folder, folder, is_cut_off=checkout is not None and checkout.is_cut_off)
    main = checkout.main / folder.relative_to(checkout.root)
    return ProjectFolder(folder, main, checkout.root.name, is_bare=checkout.is_bare)


def find_checkout(start: Path) -> Checkout | None:
    """Return the working tree that `start` lies in, or None."""
    return next((found for folder in (start, *start.parents) if (found := _checkout_at(folder)) is not None), None)


def inner_folders(top: Path, depth: int, *, also: Collection[str] = ()) -> list[str]:
    """Return the folders inside a project whose files may say what runs in them, by name.

    Hidden folders, links, worktrees, and what tests, examples and package managers keep, are passed over; so are those
    of another account that this one cannot read, as a database in a container makes.

    Args:
        top: the project's folder.
        depth: how many folders deep to look.
        also: names that are not passed over.
    """
    found: list[str] = []
    level = [""]
    for _ in range(depth):
        level = [at for above in level for at in _folders_in(top, above, _PASSED_OVER.difference(also))][
            : _MAX_FOLDERS - len(found)
        ]
        found += level
    return sorted(found)


def _folders_in(top: Path, at: str, passed_over: Collection[str]) -> list[str]:
    try:
        with os.scandir(top / at) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []
    inside = [f"{at}/{name}" if at else name for name in names if name[0] != "." and name not in passed_over]
    return [each for each in inside if _is_readable(top / each) and not _is_linked(top / each)]


def _is_readable(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def _is_linked(folder: Path) -> bool:
    found = _checkout_at(folder)
    return found is not None and found.is_worktree


def linked_root(start: Path) -> Path | None:
    """Return the worktree next to its main one that `start` lies in, or None."""
    found = find_checkout(start)
    return found.root if found is not None and found.is_worktree else None


def is_gone(path: Path) -> bool:
    """Whether nothing is at `path` any more; what is out of reach, as on a server that does not answer, is not gone."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass
    return False


def how_gone(folder: Path) -> str:
    """Return in words what `folder`, in which there was a project, is now."""
    if is_gone(folder):
        return "is gone"
    if _repositories_at(folder):
        return f"has no worktree with an {PROJECT_FILE} any more"
    return f"has no {PROJECT_FILE} any more"


def is_disk(folder: Path) -> bool:
    """Whether `folder` is where systems mount a disk that is plugged in; they remove it with the disk."""
    return _DISKS.fullmatch(folder.parent.as_posix()) is not None


def has_pointer(start: Path) -> bool:
    """Whether a file says in `start` where the repository is, as in any worktree that was added.

    Raises:
        OSError: it cannot be read.
    """
    for folder in (start, *start.parents):
        for mark in (folder / ".git", folder / _JJ):
            if not is_gone(mark):
                return not stat.S_ISDIR(mark.stat().st_mode)
    return False


def has_worktrees(place: Path) -> bool:
    """Whether worktrees of a bare repository have a project whose shared services belong to `place`."""
    for home in (place, *place.parents):
        for common_dir in _repositories_at(home):
            for pointer in (common_dir / "worktrees").glob("*/gitdir"):
                root = (pointer.parent / _read(pointer).strip()).parent
                if not is_gone(root / place.relative_to(home) / PROJECT_FILE):
                    return True
    return False


def _repositories_at(home: Path) -> list[Path]:
    """Return the bare repositories whose worktrees have `home` for their main checkout."""
    try:
        found = [home, *(each for each in home.iterdir() if each.name.startswith("."))]
    except OSError:
        return []
    return [each for each in found if os.path.isfile(each / "HEAD") and _is_bare(each)]  # noqa: PTH113


def _checkout_at(folder: Path) -> Checkout | None:
    """Return the working tree whose root is `folder`, or None."""
    mark = folder / ".git"
    if os.path.isdir(mark):  # noqa: PTH112 (as in require_project)
        return Checkout(folder, folder)
    if os.path.isfile(mark):  # noqa: PTH113
        return _pointed_checkout(folder, mark)
    workspace = folder / _JJ
    if os.path.isfile(workspace):  # noqa: PTH113
        return Checkout(folder, (workspace.parent / _read(workspace).strip()).resolve().parent.parent)
    return Checkout(folder, folder) if os.path.isdir(workspace) else None  # noqa: PTH112


def _pointed_checkout(root: Path, mark: Path) -> Checkout:
    """Return the working tree `root`, whose `.git` is a file; that of a submodule is its own main one."""
    text = _read(mark)
    if not text.startswith(_GITDIR):
        return Checkout(root, root)
    git_dir = (root / text.removeprefix(_GITDIR).strip()).resolve()
    common = _read(git_dir / "commondir").strip()
    if not common:  # a submodule has a folder of its own below .git/modules, without commondir
        is_cut_off = git_dir.parent.name == "worktrees" and not os.path.exists(git_dir)  # noqa: PTH110 (as in require_project)
        return Checkout(root, root, is_cut_off=is_cut_off)
    common_dir = (git_dir / common).resolve()
    is_bare = _is_bare(common_dir)
    if common_dir.name == ".git" or (is_bare and common_dir.name.startswith(".")):
        return Checkout(root, common_dir.parent, is_bare=is_bare)
    return Checkout(root, common_dir if is_bare else root, is_bare=is_bare)


def _is_bare(repository: Path) -> bool:
    """Whether a repository is a bare one; where its worktrees have settings of their own, so says a second file."""
    return any(_BARE.search(_read(repository / name, _LARGE)) for name in ("config", "config.worktree"))


def _read(file: Path, limit: int = _SMALL) -> str:
    try:
        return read_regular(file, limit).decode(errors="replace")
    except OSError:
        return ""


def project_label(text: str) -> str:
    """Return `text` as a project's part of the names of its services: short, as these have other parts."""
    return label_of(text, "project", most=_LABEL_LENGTH)


def _free_id(wanted: str, directory: str, known: Mapping[str, str]) -> str:
    """Return the id of the project in `directory`: the one that it has, or `wanted`, or that with a mark of its own."""
    marked = _marked(wanted, directory)
    if known.get(marked) == directory or known.get(wanted, directory) != directory:
        return marked
    return wanted


def _marked(wanted: str, directory: str) -> str:
    head, dot, rest = wanted.partition(".")
    return f"{head}-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:4]}{dot}{rest}"
