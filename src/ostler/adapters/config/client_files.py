"""The files of MCP clients on this machine: which exist, and which limit the servers of another."""

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Final
from unicodedata import normalize

from msgspec import Struct

from ostler.adapters.config.dialects.locations import HOMES, LOCATIONS, MANAGED, ROAMING, Location, VariablePlaces

_VARIABLE: Final = re.compile(r"\{([A-Z_]+)\}")
_NO_ENTRIES: Final = frozenset({"managed-mcp.json", "requirements.toml", "system-defaults.json"})
"""Files of administrators whose entries say which servers there may be, or count less than those of the user."""


class ClientFile(Struct, frozen=True):
    """A file of a client on this machine; it need not exist.

    Attributes:
        location: whose it is.
        path: the file.
        workspace: the project that it belongs to; None for one of the user.
    """

    location: Location
    path: Path
    workspace: Path | None = None


class LayerFiles(Struct, frozen=True):
    """The existing files of a client that have entries of the same servers as another one, lowest first.

    Attributes:
        below: those that count less.
        above: those that count more.
        merges: whether the client merges entries of the same name.
    """

    below: tuple[Path, ...] = ()
    above: tuple[Path, ...] = ()
    merges: bool = False


class VariableFiles(Struct, frozen=True):
    """Where a client has variables of its own.

    Attributes:
        places: which files have some, and what they mean.
        files: its existing `.env` files, highest first.
    """

    places: VariablePlaces = VariablePlaces()
    files: tuple[Path, ...] = ()


class Machine:
    """Where the clients' files are.

    Args:
        environment: says where the home and the platform's folders are, and where clients look.
        platform: as `sys.platform`.
        root: what the folders of administrators are below.
        here: the folder in which someone looks for servers.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        platform: str = sys.platform,
        root: Path = Path("/"),
        here: Path | None = None,
    ) -> None:
        self._environment = environment
        self._home = Path(environment.get("HOME") or environment.get("USERPROFILE") or Path.home())
        self._platform = platform
        self._root = root
        self._here = here

    def file_of(self, client: str, project: Path | None = None) -> ClientFile | None:
        """Return the user's file of a client, whether it exists or not.

        For a client that only has files of projects, return that of `project`, None if it does not exist.
        """
        location = next(location for location in LOCATIONS if location.client == client)
        if not location.paths:
            own = None if project is None else project / location.project
            return ClientFile(location, own, project) if own is not None and _is_file(own) else None
        paths = self._own_paths(location)
        return ClientFile(location, next(filter(_exists, paths), paths[0]))

    def is_there(self, file: ClientFile) -> bool:
        """Whether the client is on this machine: its file or its folder exists."""
        folder = file.path.parent
        has_folder = folder != self._home and _exists(folder)
        return has_folder or _exists(file.path) or any(_exists(self._home / mark) for mark in file.location.markers)

    def files(self, project: Path | None = None) -> Iterator[ClientFile]:
        """Yield every file that exists: those of the user, and those of `project`.

        A project's file that several clients read is that of each one that is on this machine.
        """
        for location in LOCATIONS:
            own = list(self._own(location))
            yield from (ClientFile(location, found) for found in own)
            if project is not None:
                found = _below(project, self._of_project(location))
                yield from (ClientFile(location, path, project) for path in found if path not in own)

    def _of_project(self, location: Location) -> Iterator[str]:
        """Yield the files of a project that a client reads, with those that it shares if it is on this machine."""
        names = (location.project, *location.project_further)
        sharing = [one for one in LOCATIONS if not set(names).isdisjoint(one.shared)]
        is_others = sharing and not self._is_used(location) and any(map(self._is_used, sharing))
        yield from (name for name in names if not (is_others and any(name in one.shared for one in sharing)))
        yield from location.shared if location.shared and self._is_used(location) else ()

    def _is_used(self, location: Location) -> bool:
        file = self.file_of(location.client)
        return file is not None and self.is_there(file)

    def limiting(self, file: ClientFile, project: Path | None = None) -> Iterator[Path]:
        """Yield the other existing files that limit the servers which `file` has for all or for one project."""
        location, project = file.location, project or file.workspace
        managed = (f"{{managed}}/{name}" for name in location.managed)
        is_users = file.workspace is None and not _is_named(file.path, location.anywhere)
        near = [name for name in location.limits if is_users and name.startswith("./")]
        hashes = [] if project is None else _hashes(project, self._platform)
        limits = (
            name.replace("{hash}", one)
            for name in (*location.limits, *location.overrides, *managed)
            if not name.startswith("./")
            for one in (hashes if "{hash}" in name else [""])
        )
        own = chain(self._own(location), self._there(location, limits), _below(file.path.parent, near))
        names = (location.project, *location.project_further, *location.project_limits, *location.project_overrides)
        projects = iter(()) if project is None else _below(project, names)
        yield from dict.fromkeys(path for path in chain(own, projects) if path != file.path)

    def layers(self, file: ClientFile, project: Path | None = None) -> LayerFiles:
        """Return the other files with entries of the servers that `file` has for all or for one project."""
        location, workspace = file.location, file.workspace
        if (project is not None and workspace is None) or _is_named(file.path, location.anywhere):
            return LayerFiles()
        overrides = list(self._there(location, location.overrides))
        own = [*self._own(location), *overrides] if location.merges else [file.path]
        if workspace is not None:
            names = (location.project, *location.project_further) if location.merges else ()
            own += _below(workspace, (*names, *location.project_overrides))
        if not location.merges:
            own += overrides
        managed = self._there(location, (f"{{managed}}/{name}" for name in location.managed))
        own = list(dict.fromkeys(own))
        place = own.index(file.path) if file.path in own else len(own)
        above = [*own[place + 1 :], *(path for path in managed if path.name not in _NO_ENTRIES and path != file.path)]
        return LayerFiles(tuple(own[:place]) if location.merges else (), tuple(above), location.merges)

    def variables(self, file: ClientFile, project: Path | None = None) -> VariableFiles:
        """Return where the client sets variables before it reads what `file` has for all or for one project."""
        places, project = file.location.variables, project or file.workspace
        named = {start: [name[2:] for name in places.files if name.startswith(start)] for start in ("^/", "./", "~/")}
        folders = [] if project is None else [project, *project.parents]
        near = next(chain.from_iterable(_below(folder, named["^/"]) for folder in folders), None)
        found = [*([near] if near else []), *self._there(file.location, named["~/"])]
        found += _below(project, named["./"]) if project is not None else []
        return VariableFiles(places, tuple(found[:1] if places.is_one else found))

    def files_at(self, path: Path) -> list[ClientFile]:
        """Return the file that `path` is of each client that is known to read it."""
        known = [file for file in self.files(workspace_of(path)) if file.path == path]
        by_name = (ClientFile(location, path) for location in LOCATIONS if _is_named(path, location.anywhere))
        return known or list(by_name)[:1]

    def _own_paths(self, location: Location) -> list[Path]:
        """Return where the user's file may be: where a variable says, else in the usual places."""
        paths = [(path, self._resolve(path, location)) for path in location.paths]
        named = next((whole for path, whole in paths if whole is not None and _VARIABLE.match(path)), None)
        return [whole for _, whole in paths if whole is not None] if named is None else [named]

    def _own(self, location: Location) -> Iterator[Path]:
        """Yield the existing files of the user that have servers."""
        yield from filter(_is_file, self._own_paths(location))
        yield from self._there(location, location.further)

    def _there(self, location: Location, paths: Iterable[str]) -> Iterator[Path]:
        for path in paths:
            if (whole := self._resolve(path, location)) is not None:
                fixed = next((index for index, part in enumerate(whole.parts) if "*" in part), len(whole.parts) - 1)
                yield from _below(Path(*whole.parts[:fixed]), ["/".join(whole.parts[fixed:])])

    def _resolve(self, path: str, location: Location) -> Path | None:
        """Return the whole path; None where it begins with a variable that is not set."""
        variable, prefix, below = HOMES.get(location.client, ("", "", ""))
        start, _, rest = path.partition("/")
        if match := _VARIABLE.match(path):
            named = self._environment.get(match[1])
            return self._folder(named) / rest if named else None
        if start in ("{here}", "{managed}"):
            folder = self._here if start == "{here}" else self._managed_folder(location.client)
            return None if folder is None else folder / rest
        if start in ("{config}", "{data}", "{local}"):
            return self._platform_folder(start) / rest
        if (home := self._environment.get(variable)) and not path.startswith(".local/"):
            return self._folder(home) / below / path.removeprefix(prefix)
        roaming = next((start for start in ROAMING if path.startswith(start)), "")
        if self._platform == "win32" and roaming:
            return self._platform_folder("{config}") / ROAMING[roaming] / path.removeprefix(roaming)
        base = self._environment.get("XDG_CONFIG_HOME") if self._platform == "linux" else None
        return Path(base) / path.removeprefix(".config/") if base and path.startswith(".config/") else self._home / path

    def _folder(self, named: str) -> Path:
        return self._home / named[2:] if named.startswith("~/") else Path(named)

    def _managed_folder(self, client: str) -> Path:
        linux, darwin, windows = MANAGED[client]
        folder = {"darwin": darwin, "win32": windows}.get(self._platform, linux)
        return self._root / folder.removeprefix("/")

    def _platform_folder(self, kind: str) -> Path:
        linux = {
            "{config}": ("XDG_CONFIG_HOME", ".config"),
            "{data}": ("XDG_DATA_HOME", ".local/share"),
            "{local}": ("XDG_CONFIG_HOME", ".config"),
        }
        roaming = ("APPDATA", "AppData/Roaming")
        windows = {"{config}": roaming, "{data}": roaming, "{local}": ("LOCALAPPDATA", "AppData/Local")}
        if self._platform == "darwin" and kind != "{local}":
            return self._home / "Library" / "Application Support"
        variable, usual = (windows if self._platform == "win32" else linux)[kind]
        return Path(self._environment.get(variable) or self._home / usual)


def _hashes(project: Path, platform: str) -> list[str]:
    """Return what Kiro calls a project's folder: a hash of its path, of which macOS has two spellings."""
    path = project.as_posix().lower() if platform == "win32" else str(project)
    spellings = dict.fromkeys((path, normalize("NFC", path), normalize("NFD", path)))
    return [sha256(one.encode("utf-8", "surrogateescape")).hexdigest()[:16] for one in spellings]


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 (False for a folder that may not be entered, where Path.exists raises)


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113


def _is_named(path: Path, globs: Iterable[str]) -> bool:
    return any(map(path.match, globs))


def _below(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    """Yield the existing files below `folder`; those of a pattern, such as `folder/*.json`, by name."""
    for name in filter(None, names):
        yield from filter(_is_file, sorted(folder.glob(name)) if "*" in name else [folder / name])


def workspace_of(path: Path) -> Path | None:
    """Return the project that a file belongs to by its place in it, as `.vscode/mcp.json` does; None for no project."""
    named = [
        (name, location)
        for location in LOCATIONS
        for name in (location.project, *location.project_further)
        if name and _ends_with(path, name)
    ]
    if named:  # `.warp/.mcp.json` is more than the `.mcp.json` of another client
        name, location = max(named, key=lambda one: len(Path(one[0]).parts))
        is_own = path in [_home() / own for own in location.paths]
        return None if is_own else path.parents[len(Path(name).parts) - 1]
    above = path.parent.parent  # of a client that is not known
    is_clients = path.parent.name.startswith(".") and "mcp" in path.name
    return above if is_clients and above != _home() else None


def _home() -> Path:
    return Path(os.path.expanduser("~"))  # noqa: PTH111 (never fails)


def _ends_with(path: Path, name: str) -> bool:
    parts = Path(name).parts
    last = path.parts[-len(parts) :]
    return len(last) == len(parts) and all(fnmatchcase(one, glob) for one, glob in zip(last, parts, strict=True))
