"""A project's files: `ostler.yaml`, and the files of variables that its services name."""

import errno
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

import anyio.to_thread
from msgspec.structs import replace

from ostler.adapters.projects.folders import ProjectFolder, project_at
from ostler.adapters.regular_files import expanded, read_regular
from ostler.engine.projects.scope import ProjectScope, as_written
from ostler.model.errors import ArgumentError, Finding, ManifestError
from ostler.model.json import JsonObject
from ostler.rules.loading.projects import LoadedProject, examine_project, load_project, names_too_long
from ostler.rules.text.findings import by_place, finding_of
from ostler.rules.text.yaml_source import MAX_TEXT

_MAX_ENV_FILE = 262_144
"""Bytes of one file of variables."""

_EXAMPLES = ("example", "sample", "template", "dist")
"""Ends of the names of files that a person copies to make one that git ignores."""

_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*)\}")


async def read_scope(
    folder: ProjectFolder,
    known: Mapping[str, str],
    environment: Mapping[str, str],
    marked: Callable[[JsonObject], JsonObject] = as_written,
    checked: Callable[[LoadedProject], Iterable[Finding]] = lambda _: (),
) -> ProjectScope:
    """Read the project in `folder`.

    Args:
        folder: where it is.
        known: the projects that have services: id → folder.
        environment: what templates see as `env`.
        marked: replaces references to secrets by marks.
        checked: says what else is wrong with a project whose file has findings, so that all are shown at once.

    Raises:
        ManifestError: `ostler.yaml` cannot be read, or has findings.
    """
    loaded, env_files, faults = await anyio.to_thread.run_sync(_read_files, folder, checked)
    ref, main = folder.refs(loaded.project.name, known)
    shared_folder = _existing(folder.main) if folder.is_bare else ""
    scope = ProjectScope(
        ref,
        main,
        loaded,
        env_files,
        environment,
        marked=marked,
        is_bare=folder.is_bare,
        shared_folder=shared_folder,
    )
    for violation in names_too_long(loaded.project, scope.full_name):
        faults.setdefault(str(violation.path[1]), []).append(finding_of(violation, loaded.document))
    return replace(scope, faults=faults)


def too_long_names(loaded: LoadedProject) -> list[Finding]:
    """Return which services of a project are named too long, in the folder that its file is in. Blocks."""
    folder = project_at(Path(loaded.file).absolute().parent)
    ref, main = folder.refs(loaded.project.name, {})
    scope = ProjectScope(ref, main, loaded, {}, {})
    return [finding_of(each, loaded.document) for each in names_too_long(loaded.project, scope.full_name)]


def _existing(place: Path) -> str:
    """Return the nearest folder around `place` that exists: a bare repository has none of the folders inside."""
    return next((str(folder) for folder in (place, *place.parents) if folder.is_dir()), "")


def named_project(directory: Path, known: Mapping[str, str]) -> str:
    """Return the id of the project in `directory` as its file is now; empty where that cannot be read. Blocks."""
    folder = project_at(directory)
    try:
        text = _read_text(folder.file, MAX_TEXT, (folder.directory, folder.main))
        name = load_project(text, str(folder.file)).project.name
    except ManifestError:
        return ""
    return folder.refs(name, known)[0].id


def _read_files(
    folder: ProjectFolder, checked: Callable[[LoadedProject], Iterable[Finding]]
) -> tuple[LoadedProject, dict[str, dict[str, str]], dict[str, list[Finding]]]:
    """Return the project, and by service its variables, and what is wrong with the files that should have them."""
    text = _read_text(folder.file, MAX_TEXT, (folder.directory, folder.main))
    loaded, findings = examine_project(text, str(folder.file))
    if loaded is None:
        raise ManifestError(findings, what=str(folder.file))
    variables: dict[str, dict[str, str]] = {}
    faults: dict[str, list[Finding]] = {}
    for name, spec in loaded.project.services.items():
        for index, path in enumerate(spec.env_file):
            try:
                found = variables_of(_in_checkout(expanded(path), folder))
            except ManifestError as error:
                line, column = loaded.document.locate(("services", name, "envFile", index))
                message, place = error.findings[0].message, f"services.{name}.envFile"
                faults.setdefault(name, []).append(Finding(message, loaded.file, line, column, "unreadable", place))
                continue
            variables.setdefault(name, {}).update(found)
    if findings:  # what is wrong with the file itself concerns all: it may be what others need
        raise ManifestError(by_place([*findings, *chain(*faults.values()), *checked(loaded)]), what=loaded.file)
    return loaded, variables, faults


async def read_variables(directory: str, files: Sequence[str]) -> dict[str, str]:
    """Return the variables of `files`, relative to `directory`; a later file goes over an earlier one.

    Raises:
        ArgumentError: a relative file is named, and `directory` is not known.
        ManifestError: one cannot be read.
    """
    return await anyio.to_thread.run_sync(_read_all, Path(directory), files)


def _read_all(directory: Path, files: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    folder = project_at(directory) if directory.is_absolute() else None
    for file in files:
        path = expanded(file)
        if folder is not None:
            path = _in_checkout(path, folder)
        if not path.is_absolute():
            raise ArgumentError([f"overrides.envFile: {file!r} must be absolute: this client's folder is not known"])
        found |= variables_of(path)
    return found


def _in_checkout(path: Path, folder: ProjectFolder) -> Path:
    """Return where a file of variables is: git gives a worktree none that it ignores, so the main checkout's counts."""
    own, main = folder.directory / path, folder.main / path
    return main if not own.exists() and main.is_file() else own


def variables_of(file: Path) -> dict[str, str]:
    """Return the variables of a file such as `.env`, as Compose reads it. Blocks.

    `${NAME}` is the value of an earlier line of the file, unless it is in single quotes; any other `$` is as written.

    Raises:
        ManifestError: it cannot be read, or has a line that sets no variable.
    """
    from dotenv.parser import parse_stream  # noqa: PLC0415 (few projects have such a file)

    found: dict[str, str] = {}
    for line in parse_stream(io.StringIO(_read_text(file, _MAX_ENV_FILE))):
        written = line.original.string
        if line.error:
            number = line.original.line + len(written[: -len(written.lstrip())].splitlines())
            message = f"{file}: line {number} is not NAME=value, or its quotes are not closed"
            raise ManifestError([Finding(message, str(file), number, 1, "bad-value")], what=str(file))
        if line.key is not None and line.value is not None:
            is_literal = written.partition("=")[2].lstrip().startswith("'")
            value = line.value if is_literal else _REFERENCE.sub(lambda m: found.get(m[1], m[0]), line.value)
            found[line.key] = value
    return found


def _read_text(file: Path, limit: int, within: tuple[Path, ...] = ()) -> str:
    """Return the text of a regular file.

    Raises:
        ManifestError: it cannot be read, is too large, or is not UTF-8.
    """
    problem, rule, fix = "", "unreadable", ""
    text = ""
    try:
        text = read_regular(file, limit, within=within).decode("utf-8-sig")
    except UnicodeDecodeError:
        problem, rule = "it is not UTF-8 text", "encoding"
    except FileNotFoundError:
        problem = "there is no such file"
        if example := next((name for end in _EXAMPLES if file.with_name(name := f"{file.name}.{end}").is_file()), ""):
            problem += f"; {example} is there to copy"
    except OSError as error:
        problem = error.strerror or str(error)
        if error.errno == errno.EFBIG:
            rule = "too-large"
        elif error.errno == errno.EACCES:
            problem, fix = "the user that Ostler runs as may not read it", "let that user read the file and its folders"
        else:
            fix = "replace it with a file that can be read"
    if problem:
        raise ManifestError([Finding(f"{file}: {problem}", str(file), 1, 1, rule, fix=fix)], what=str(file))
    return text
