"""Programs of Python packages that a file starts by name: run from where the project has them, once installed."""

import re
from collections.abc import Callable, Collection

from msgspec.structs import replace

from ostler.model.json import JsonObject
from ostler.rules.imports.found import PROGRAMS, Found, FoundService, UnreadableSourceError, job, named_in
from ostler.rules.imports.node_package import INSTALL
from ostler.rules.imports.python_apps import Runner, runner_of
from ostler.rules.imports.task_files import read_toml

_TOOLS = (
    "python3?", "gunicorn", "uvicorn", "hypercorn", "daphne", "granian", "waitress-serve", "celery", "flask", "fastapi",
    "streamlit", "django-admin", "alembic", "rq", "rqworker", "dramatiq", "arq", "chainlit", "mkdocs",
)  # fmt: skip
_TOOL = re.compile(rf"(?:^|[;&|(]|\bexec )\s*(?:\w+=\S*\s+)*(?P<tool>{'|'.join(_TOOLS)})(?=\s|$)")
_READY = re.compile(r"\b(?:uv|poetry|pdm|pipenv|hatch|rye|pixi|conda|mamba)\s+run\b|\bvenv/|/activate\b")
"""What a command has that says itself where its packages are."""

_INSTALLS = re.compile(r"\b(?:pip3?|uv|poetry|pdm|pipenv)\s[^;&|]*\b(?:install|sync)\b")
_DECLARING = frozenset({"requirements.txt", "pyproject.toml", "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock"})


def with_python(found: Found, names_in: Callable[[str], Collection[str]], read: Callable[[str], str]) -> Found:
    """Return `found`, where `gunicorn` or `python` means that of the project, after a job that installs its packages.

    Commands that install these themselves, or say where they are, stay as they are.

    Args:
        found: what one file says, with paths from the project's folder.
        names_in: returns the names of the files in a folder, relative to the project's; none for one outside.
        read: returns the text of a file, by its path from the project's folder; empty if it cannot be read.
    """
    services = list(found.services)
    for folder in dict.fromkeys(each.folder for each in found.services if each.class_name in PROGRAMS):
        beside = names_in(folder)
        lines = [each.line for each in services if each.folder == folder]
        if _DECLARING.isdisjoint(beside) or not any(map(_needs, lines)) or any(map(_INSTALLS.search, lines)):
            continue
        try:
            content = read_toml(read(_within(folder, "pyproject.toml"))) if "pyproject.toml" in beside else {}
        except UnreadableSourceError:
            continue
        services = _prepared(services, folder, beside, content)
    return replace(found, services=tuple(services))


def _prepared(
    services: list[FoundService], folder: str, beside: Collection[str], content: JsonObject
) -> list[FoundService]:
    runner = runner_of(beside, content)
    finder = runner.python.removesuffix("python")
    if not runner.install and finder.split("/")[0] not in beside:
        return services  # nothing says what it needs, so it is not known where that is
    taken = {each.name for each in services}
    name = base if (base := named_in(folder, INSTALL)) not in taken else f"{base}-python"
    needs = {name: "completed"} if runner.install else {}
    notes = (runner.note,) if runner.note else ()

    def with_packages(service: FoundService) -> FoundService:
        if service.folder != folder or not _needs(service.line):
            return service
        line = _found_by(finder, service.line)
        args = {**service.args, "command": line}
        return replace(service, args=args, depends_on={**needs, **service.depends_on}, notes=(*service.notes, *notes))

    return [*_installs(runner, name, folder), *map(with_packages, services)]


def _installs(runner: Runner, name: str, folder: str) -> list[FoundService]:
    if not runner.install:
        return []
    watch = tuple(_within(folder, file) for file in runner.watch)
    return [job(name, runner.install, watch[0], directory=folder, watch=watch)]


def _found_by(finder: str, line: str) -> str:
    """Return `line` with what finds the programs of packages before their names; in another folder, by PATH."""
    if finder.endswith("/") and re.search(r"\bcd\s", line):
        return f'export PATH="$PWD/{finder.rstrip("/")}:$PATH"; {line}'
    return _TOOL.sub(lambda found: found[0].removesuffix(found["tool"]) + finder + found["tool"], line)


def _needs(line: str) -> bool:
    return _TOOL.search(line) is not None and _READY.search(line) is None


def _within(folder: str, file: str) -> str:
    return f"{folder}/{file}" if folder else file
