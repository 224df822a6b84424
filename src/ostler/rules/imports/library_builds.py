"""Packages of a workspace that must be built before those that load them run, as Turborepo's `^build` does."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from ostler.model.json import JsonObject, JsonValue, as_list, as_object
from ostler.rules.imports.found import PROGRAMS, Found, FoundService, job, label, named_in
from ostler.rules.imports.workspaces import Workspace, read_package

_SOURCE = re.compile(r"(?:^|/)src/|(?<!\.d)\.[cm]?tsx?$")
_CODE = re.compile(r"^(?!\.).*\.(?:[cm]?[jt]sx?|css|s[ac]ss|vue|svelte|graphql|proto)$")
_NO_SOURCES = {"node_modules", "dist", "build", "out", "lib", "coverage", "test", "tests", "__tests__", "docs"}
_NEEDS = ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies")


class _Package(Struct, frozen=True):
    """One package.

    Attributes:
        folder: where it is in the project.
        build: what the job is called that builds it.
        needs: the folders of the others that it needs.
        is_built: whether it is built before others can load it.
        sources: patterns of what it is built from, in its folder.
    """

    folder: str
    build: str
    needs: tuple[str, ...]
    is_built: bool
    sources: tuple[str, ...]


class LibraryBuilds:
    """The packages of one workspace.

    One must be built if it has a script `build` and what others load of it, by `main`, `module` and `exports`, is not
    its source.
    """

    def __init__(
        self, texts: Mapping[str, str], workspace: Workspace, names_in: Callable[[str], Collection[str]]
    ) -> None:
        """Take the text of each `package.json` by its folder; `names_in` returns the names of what a folder has."""
        read = {folder: read_package(text) for folder, text in texts.items()}
        names = {str(one.get("name") or folder): folder for folder, one in read.items()}
        builds = _names_of_builds(read)
        self._workspace = workspace
        self._packages = {
            folder: _Package(
                folder,
                builds[folder],
                tuple(_needs(one, names)),
                _is_built(one),
                tuple(_sources(one, names_in(folder))),
            )
            for folder, one in read.items()
        }
        self._loaded = {need for one in self._packages.values() for need in one.needs}

    def before(self, found: Found, folder: str) -> Found:
        """Return `found` in which the programs of the package in `folder` wait until what they load is built.

        What builds a library again when it changes waits as well, until the library was built for the others.
        """
        programs = {each.name for each in found.services if each.class_name in PROGRAMS and each.folder == folder}
        own = self._packages[folder]
        jobs = list(self._jobs(own.needs if folder not in self._loaded or not own.is_built else (folder,)))
        if not jobs or not programs or not {each.name for each in jobs}.isdisjoint(programs):
            return found
        waits = {each.name: "completed" for each in jobs}
        waiting = (
            replace(each, depends_on={**each.depends_on, **waits}) if each.name in programs else each
            for each in found.services
        )
        return replace(found, services=(*jobs, *waiting))

    def _jobs(self, folders: Collection[str]) -> Iterator[FoundService]:
        """Yield the jobs that build the packages in `folders`, after those that build what these need."""
        made: dict[str, FoundService] = {}
        seen: set[str] = set()

        def build(folder: str) -> None:
            if folder in seen:
                return
            seen.add(folder)
            package = self._packages[folder]
            for need in package.needs:
                build(need)
            if package.is_built:
                made[folder] = self._job(package, [made[need].name for need in package.needs if need in made])

        for folder in folders:
            build(folder)
        yield from made.values()

    def _job(self, package: _Package, needs: Collection[str]) -> FoundService:
        folder, installed = package.folder, self._workspace.installed_by
        return job(
            package.build,
            f"{self._workspace.manager} run build",
            f"{folder}/package.json, script build",
            directory=folder,
            watch=tuple(f"{folder}/{source}" for source in package.sources),
            depends_on=dict.fromkeys([installed, *needs] if installed else needs, "completed"),
        )


def _names_of_builds(folders: Iterable[str]) -> dict[str, str]:
    """Return what the job is called that builds the package in each folder: after its folder, else after its path."""
    named: dict[str, str] = {}
    for folder in folders:
        short = named_in(folder, "build")
        named[folder] = short if short not in named.values() else label(f"{folder}-build")
    return named


def _needs(package: JsonObject, names: Mapping[str, str]) -> Iterator[str]:
    """Yield the folders of the packages that a package needs, of those with `names`."""
    yield from dict.fromkeys(names[name] for key in _NEEDS for name in as_object(package.get(key)) if name in names)


def _sources(package: JsonObject, names: Collection[str]) -> list[str]:
    """Return patterns of what a package is built from: `src`, else its other code and folders but what others load."""
    built = {file.removeprefix("./").partition("/")[0] for file in _loaded(package)} | _NO_SOURCES
    others = () if "src" in names else sorted(set(names) - built)
    files = [name for name in others if _CODE.search(name)]
    folders = [f"{name}/**" for name in others if "." not in name and name != name.upper()]  # as LICENSE is
    return [*files, *folders] or ["src/**"]


def _loaded(package: JsonObject) -> list[str]:
    return [file for key in ("main", "module", "exports") for file in _files(package.get(key))]


def _is_built(package: JsonObject) -> bool:
    files = _loaded(package)
    return "build" in as_object(package.get("scripts")) and bool(files) and not any(map(_SOURCE.search, files))


def _files(entry: JsonValue) -> Iterator[str]:
    """Yield the files that `main` or `exports` names, but for those that hold types."""
    if isinstance(entry, str):
        yield entry
    for key, inner in as_object(entry).items():
        if key.partition("@")[0] not in {"types", "typings"}:
            yield from _files(inner)
    for inner in as_list(entry):
        yield from _files(inner)
