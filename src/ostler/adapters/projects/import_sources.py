"""The files of a folder that say, for other tools, what runs in it."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from ostler.adapters.config.jsonc import JsoncError, parse_jsonc
from ostler.adapters.projects.folders import inner_folders
from ostler.adapters.projects.port_places import port_places, with_source_ports
from ostler.adapters.projects.project_files import variables_of
from ostler.adapters.regular_files import read_regular
from ostler.model.errors import ManifestError
from ostler.model.json import JsonObject, as_object
from ostler.rules.imports.compose import read_compose
from ostler.rules.imports.devcontainer import read_devcontainer
from ostler.rules.imports.found import RUNNING, Found, UnreadableSourceError, within
from ostler.rules.imports.frameworks import (
    FILES,
    read_composer,
    read_deno,
    read_framework,
    read_pyproject,
    unread_notes,
)
from ostler.rules.imports.go_programs import read_go_module
from ostler.rules.imports.installs import with_installs
from ostler.rules.imports.launch_json import read_launch_json
from ostler.rules.imports.library_builds import LibraryBuilds
from ostler.rules.imports.local_addresses import with_addresses, with_kept_ports
from ostler.rules.imports.node_package import LOCKS, read_package_json, with_scripts
from ostler.rules.imports.process_compose import read_process_compose
from ostler.rules.imports.procfile import read_procfile
from ostler.rules.imports.python_apps import read_manage, read_python_app
from ostler.rules.imports.python_tools import with_python
from ostler.rules.imports.task_files import read_justfile, read_makefile, read_mise, read_taskfile
from ostler.rules.imports.workspaces import Workspace, read_package, workspace_of
from ostler.rules.text.yaml_source import MAX_TEXT


class _Beside(NamedTuple):
    """What stands next to a file: the names of files, and the variables of `.env` if that is one of them.

    `over` names the Compose files that are put over it, where a person did.
    """

    folder: Path
    names: Collection[str]
    dotenv: Mapping[str, str] | None
    over: tuple[str, ...] | None = None

    @classmethod
    def of(cls, folder: Path) -> "_Beside":
        names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set[str]()
        return cls(folder, names, _variables(folder / ".env") if ".env" in names else None)


def _variables(file: Path) -> Mapping[str, str]:
    """Return the variables of a file; none where it cannot be read: the project that names it says why."""
    with suppress(ManifestError):
        return variables_of(file)
    return {}


_Read = Callable[[str, str, _Beside], Found]


class _Source(Struct, frozen=True):
    """One kind of file, where it stands, and how it is read; `like` are other names that people give it."""

    names: tuple[str, ...]
    read: _Read
    like: tuple[str, ...] = ()
    only_alone: bool = False
    """Taken only where no file before it gave a service: its commands are those that the others run."""
    of_framework: bool = False
    """It shows a framework, whose own server may run next to the scripts of packages."""


def _launch(text: str, file: str, _beside: _Beside) -> Found:
    return read_launch_json(_jsonc(text, file), file)


def _compose(text: str, file: str, beside: _Beside) -> Found:
    over, own = beside.over, Path(file).name
    listed = (beside.dotenv or {}).get("COMPOSE_FILE", "")
    if over is None and own in _COMPOSE and listed:
        first, *rest = listed.split((beside.dotenv or {}).get("COMPOSE_PATH_SEPARATOR") or os.pathsep)
        inside = Path(file).parent
        try:
            return read_compose(
                _inner_text(beside.folder, first), (inside / first).as_posix(), beside.dotenv, over=rest,
                read=partial(_inner_text, beside.folder),
            )  # fmt: skip
        except UnreadableSourceError as error:
            raise UnreadableSourceError(f"COMPOSE_FILE in .env names {first}: {error}") from None
    if over is None:
        over = tuple([name for name in _OVERRIDES if name in beside.names and own in _COMPOSE][:1])
    return read_compose(text, file, beside.dotenv, over=over, read=partial(_inner_text, beside.folder))


def _inner_text(folder: Path, name: str) -> str:
    """Return the text of a file in `folder`.

    Raises:
        UnreadableSourceError: it is not in there, or cannot be read.
    """
    path = Path(os.path.normpath(folder / name))
    if not path.is_relative_to(folder):
        raise UnreadableSourceError("it is not in the folder of the first file")
    return _text(path, within=(folder,))


def _devcontainer(text: str, file: str, _beside: _Beside) -> Found:
    return read_devcontainer(_jsonc(text, file), file)


def _django(text: str, file: str, beside: _Beside) -> Found:
    return read_manage(text, file, beside.names, partial(_inner_text, beside.folder))


def _framework(text: str, file: str, beside: _Beside) -> Found:
    return read_framework(text, file, beside.names)


def _python_app(text: str, file: str, beside: _Beside) -> Found:
    around = ("uv.lock",) if any((folder / "uv.lock").is_file() for folder in beside.folder.parents[:3]) else ()
    found = read_python_app(text, file, [*beside.names, *around], partial(_inner_text, beside.folder))
    if around and "uv.lock" not in beside.names:  # it lies above what the job may watch
        services = tuple(replace(each, watch=()) for each in found.services)
        return replace(found, services=services)
    return found


def _jsonc(text: str, file: str) -> JsonObject:
    try:
        return as_object(parse_jsonc(text, file).value)
    except JsoncError as error:
        raise UnreadableSourceError(str(error)) from None


_PACKAGE = "package.json"
_OVERRIDES = ("compose.override.yaml", "compose.override.yml", "docker-compose.override.yaml",
              "docker-compose.override.yml")  # fmt: skip
_COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
SOURCES = (
    _Source(
        _COMPOSE,
        _compose,
        ("compose[.-]*.y*ml", "docker-compose[.-]*.y*ml", "*[.-]compose.y*ml"),
    ),
    _Source(
        ("process-compose.yaml", "process-compose.yml"),
        lambda text, file, beside: read_process_compose(text, file, beside.names),
        ("process-compose[.-]*.y*ml",),
    ),
    _Source(
        ("Procfile.dev", "Procfile"),
        lambda text, file, beside: read_procfile(text, file, beside.names),
        ("Procfile.*",),
    ),
    _Source((".claude/launch.json",), _launch),
    _Source(("manage.py",), _django, only_alone=True, of_framework=True),
    *(_Source((name,), _framework, only_alone=True, of_framework=True) for name in FILES),
    _Source(("pyproject.toml",), _python_app, only_alone=True, of_framework=True),
    _Source(("requirements.txt",), _python_app, only_alone=True, of_framework=True),
    _Source(
        ("go.mod",),
        lambda text, file, beside: read_go_module(text, file, beside.names, partial(_inner_text, beside.folder)),
        only_alone=True,
        of_framework=True,
    ),
    _Source((_PACKAGE,), lambda text, file, beside: read_package_json(text, file, beside.names), only_alone=True),
    _Source(("deno.json", "deno.jsonc"), lambda text, file, _: read_deno(_jsonc(text, file), file), only_alone=True),
    _Source(("pyproject.toml",), lambda text, file, _: read_pyproject(text, file), only_alone=True),
    _Source(("composer.json",), lambda text, file, _: read_composer(_jsonc(text, file), file), only_alone=True),
    _Source(("Makefile",), lambda text, file, _: read_makefile(text, file), only_alone=True),
    _Source(("justfile", "Justfile", ".justfile"), lambda text, file, _: read_justfile(text, file), only_alone=True),
    _Source(("Taskfile.yml", "Taskfile.yaml"), lambda text, file, _: read_taskfile(text, file), only_alone=True),
    _Source(("mise.toml", ".mise.toml"), lambda text, file, _: read_mise(text, file), only_alone=True),
    _Source(
        (".devcontainer/devcontainer.json", ".devcontainer.json", ".devcontainer/*/devcontainer.json"),
        _devcontainer,
        (".devcontainer/*/devcontainer.json",),
    ),
)
"""What is read, in this order; of each, the first file that there is."""


def source_names() -> list[str]:
    """Return the names of the files that are read."""
    return list(dict.fromkeys(name for source in SOURCES for name in source.names))


def read_sources(folder: Path) -> list[Found]:
    """Return what the files of `folder` say; one that cannot be read is a note, and the others go on.

    The packages of a workspace count, too, and where nothing at the top runs, the folders in it.
    """
    found = _sources_in(folder, "", _packages)
    if not _runs(found):
        workspace = _workspace(folder)
        inner = (at for at in inner_folders(folder, 2) if workspace is None or not workspace.has(at))
        found += [each for at in inner for each in _sources_in(folder, at, _package)]
    found = [_installed(each, folder) for each in found]
    found.append(Found(notes=unread_notes(_Beside.of(folder).names)))
    files = {file for each in found for service in each.services for file in service.env_files}
    variables = {file: _variables(folder / file) for file in files}
    found = with_source_ports(folder, found, _text_of, [file for file in files if "PORT" in variables[file]])
    found = with_addresses(found, variables)
    return with_kept_ports(found, port_places(folder, found, _text_of))


def _installed(found: Found, top: Path) -> Found:
    """Return what a file says, with what its programs need installed."""
    names_in = partial(_names_in, top)
    return with_installs(with_python(found, names_in, lambda file: _text_of(top / file)), names_in)


def _names_in(top: Path, at: str) -> Collection[str]:
    """Return the names of what a folder of the project has; none of one that is outside, or cannot be read."""
    folder = Path(os.path.normpath(top / at))
    with suppress(OSError):
        return {entry.name for entry in folder.iterdir()} if folder.is_relative_to(top) else ()
    return ()


def _sources_in(top: Path, at: str, packages: "_Packages") -> list[Found]:
    """Return what the files in the folder `at` of the project say, that of a package only where no other runs."""
    folder = top / at
    beside = _Beside.of(folder)
    found: list[Found] = []
    others: list[Found] = []  # than those of frameworks
    for source in SOURCES:
        files = _files_in(folder, source.names)
        if not files:
            continue
        if source.only_alone and _runs(others if files == [_PACKAGE] else found):
            found += _left_out(packages(top, at, beside), others, at) if files == [_PACKAGE] else []
            continue
        file, *alike = files
        if file == _PACKAGE:
            new = packages(top, at, beside)
        else:
            new = [_read(lambda text, name, read=source.read: _own(read(text, name, beside), folder), top, at, file)]
        found += new
        found += [Found(notes=(f"not read, as {file} is: {', '.join(alike)}",))] if alike else []
        others += [] if source.of_framework else new
    return found


def _own(found: Found, folder: Path) -> Found:
    """Return what a file in `folder` says, where servers that scripts of packages start get their own ports."""

    def package(at: str) -> JsonObject:
        inside = Path(os.path.normpath(folder / at / _PACKAGE))
        return read_package(_text_of(inside)) if inside.is_relative_to(folder) else {}

    return with_scripts(found, package)


def _left_out(packages: Collection[Found], others: Collection[Found], at: str) -> list[Found]:
    """Return a note that names the scripts of packages that are not taken, as `others` usually run the same."""
    running = [each for one in others for each in one.services if each.class_name in RUNNING]
    known = {each.args.get("command") for each in running}
    left = [each for one in packages for each in one.services if each.class_name in RUNNING]
    own = f"{at}/{_PACKAGE}" if at else _PACKAGE
    scripts = [each.origin.removeprefix(f"{own}, ") for each in left if each.args.get("command") not in known]
    if not scripts:
        return []
    files = list(dict.fromkeys(each.origin.partition(",")[0] for each in running))
    both = " ".join(f"--from {file}" for file in (*files, own))
    usual = f"{own} is not read ({', '.join(scripts)}), as that usually runs what {', '.join(files)} has"
    return [Found(notes=(f"{usual}; {both} takes both",))]


def _files_in(folder: Path, names: Collection[str]) -> list[str]:
    """Return the first of `names` that a folder has; of a pattern, all files, in order."""
    for name in names:
        found = sorted(folder.glob(name)) if "*" in name else [folder / name]
        if files := [path.relative_to(folder).as_posix() for path in found if path.is_file()]:
            return files
    return []


_Packages = Callable[[Path, str, _Beside], list[Found]]


def _package(top: Path, at: str, beside: _Beside) -> list[Found]:
    return [_read(lambda text, file: read_package_json(text, file, beside.names), top, at, _PACKAGE)]


def _packages(top: Path, at: str, beside: _Beside) -> list[Found]:
    """Return what a package says, and those of its workspace."""
    root = _workspace(top / at)
    if root is None:
        return _package(top, at, beside)
    folders = [one for one in inner_folders(top, 4, also=root.named) if root.has(one)]
    texts = {one: _text_of(top / one / _PACKAGE) for one in folders}
    workspace = root.with_packages(texts.values())

    def member(_top: Path, inside: str, beside: _Beside) -> list[Found]:
        return [_read(lambda text, file: workspace.package(text, file, inside, beside.names), top, inside, _PACKAGE)]

    built = LibraryBuilds(texts, workspace, partial(_names_in, top))
    parts = [built.before(each, one) for one in folders for each in _sources_in(top, one, member)]
    split, by = _runs(parts), workspace.installed_by
    own = _read(
        lambda text, file: read_package_json(text, file, beside.names, installed_by=by, split=split), top, at, _PACKAGE
    )
    return [own, *parts]


def _workspace(folder: Path) -> Workspace | None:
    package, pnpm, lerna = (_text_of(folder / name) for name in (_PACKAGE, "pnpm-workspace.yaml", "lerna.json"))
    return workspace_of(package, pnpm, lerna, [name for name in LOCKS if (folder / name).is_file()])


def _runs(found: Collection[Found]) -> bool:
    return any(service.class_name in RUNNING for each in found for service in each.services)


def read_named(paths: Sequence[Path], top: Path) -> list[Found]:
    """Return what each of `paths` says; Compose files of one folder are put over each other, as `-f a -f b` does.

    Args:
        paths: the files.
        top: the project's folder; what a file in another one says runs there.

    Raises:
        UnreadableSourceError: one is none of those that are read, or cannot be read.
    """
    found: list[Found] = []
    composed: set[Path] = set()
    for path in paths:
        folder, source = path.parent, _known_source(path)
        try:
            if source.read is not _compose:
                found.append(_placed(read_source(path), _folder_of(path), top))
            elif folder not in composed:
                composed.add(folder)
                others = [each for each in paths if each.parent == folder and each != path]
                over = [each.name for each in others if (one := _source_of(each)) is not None and one.read is _compose]
                beside = _Beside.of(folder)._replace(over=tuple(over))
                made = _own(_compose(_text(path), path.name, beside), folder)
                found.append(_placed(made, folder, top))
        except UnreadableSourceError as error:
            raise UnreadableSourceError(f"{path} is not read: {error}") from None
    found = with_source_ports(top, found, _text_of)
    return with_kept_ports(found, port_places(top, found, _text_of))


def read_source(path: Path) -> Found:
    """Return what one file says.

    Raises:
        UnreadableSourceError: it is none of those that are read, or cannot be read.
    """
    folder = _folder_of(path)
    source, text, beside = _known_source(path), _text(path), _Beside.of(folder)
    alike = [other for other in SOURCES if other is source or path.name in other.names]
    found = next((found for each in alike if (found := each.read(text, path.name, beside)) != Found()), Found())
    return found if path.name == _PACKAGE else _own(found, folder)


def _placed(found: Found, folder: Path, top: Path) -> Found:
    """Return what a file of `folder` says, with what its programs need installed, and with paths from `top`."""
    folder, top = Path(os.path.abspath(folder)), Path(os.path.abspath(top))  # noqa: PTH100 (links stay as they are named)
    made = _installed(found, folder)
    if folder == top:
        return made
    return within(made, folder.relative_to(top).as_posix() if folder.is_relative_to(top) else folder.as_posix())


def _folder_of(path: Path) -> Path:
    """Return the folder that a file speaks of: of `.claude/launch.json`, the one with `.claude`."""
    names = [Path(name).parts for source in SOURCES for name in (*source.names, *source.like)]
    fitting = [len(parts) for parts in names if path.match(str(Path(*parts)))]
    return path.parents[max(fitting, default=1) - 1]


def _known_source(path: Path) -> _Source:
    if (source := _source_of(path)) is not None:
        return source
    raise UnreadableSourceError(f"{path.name} is not one of the files that are read: {', '.join(source_names())}")


def is_source(path: Path) -> bool:
    """Return whether `path` has the name of a file that is read."""
    return _source_of(path) is not None


def _source_of(path: Path) -> _Source | None:
    for source in SOURCES:
        if any(path.parts[-len(parts) :] == parts for parts in (Path(name).parts for name in source.names)):
            return source
    return next((source for source in SOURCES if any(path.match(pattern) for pattern in source.like)), None)


def _read(read: Callable[[str, str], Found], top: Path, at: str, name: str) -> Found:
    """Return what the file `name` in the folder `at` of the project says, with paths from `top`."""
    file = f"{at}/{name}" if at else name
    try:
        found = read(_text(top / file), file)
    except UnreadableSourceError as error:
        return Found(notes=(f"{file} is not read: {error}",))
    return within(found, at) if at else found


def _text_of(path: Path) -> str:
    """Return the text of a file; empty where it cannot be read."""
    with suppress(UnreadableSourceError):
        return _text(path)
    return ""


def _text(path: Path, within: tuple[Path, ...] = ()) -> str:
    try:
        return read_regular(path, MAX_TEXT, within=within).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableSourceError("it is not UTF-8 text") from None
    except OSError as error:
        raise UnreadableSourceError(error.strerror or str(error)) from None
