"""Web applications in Python, whose own source shows what serves them: Django, FastAPI, Flask, Streamlit and others."""

import re
import shlex
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from ostler.model.json import JsonObject, as_object
from ostler.rules.imports.found import (
    Found,
    FoundService,
    UnreadableSourceError,
    job,
    named_in,
    shell_service,
)
from ostler.rules.imports.python_workers import FILES, MADE, django_workers, module_of, worker_in
from ostler.rules.imports.task_files import read_toml, waits

_FOLDERS = ("", "app", "src", "api", "backend", "server", "src/app", "src/api")
_FILES = ("main", "app", "api", "server", "asgi", "wsgi", "application", "__init__", "streamlit_app", "Home")
_FRAMEWORKS = "fastapi|starlette|litestar|quart|flask|apiflask|streamlit|gradio"
_QUEUES = "celery|rq|dramatiq|arq|huey|taskiq|procrastinate"
_KNOWN = re.compile(rf"(?i)\b({_FRAMEWORKS}|{_QUEUES})\b")
_ASGI = re.compile(MADE.format(kinds="FastAPI|Starlette|Litestar|Quart"))
_FLASK = re.compile(MADE.format(kinds="Flask|APIFlask"))
_FACTORY = re.compile(r"(?m)^def (?P<name>create_app|make_app|get_app|create_application)\(")
_SETTINGS = re.compile(r"""DJANGO_SETTINGS_MODULE['"]\s*,\s*['"](?P<module>(?P<package>\w+)[\w.]*)""")
_STREAMLIT = re.compile(r"(?m)^(?:import|from) streamlit\b")
_GRADIO = re.compile(r"(?ms)^(?:import|from) gradio\b.*\.launch\(")


_LIST = 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\\n")'
"""Python that lists the packages that a `pyproject.toml` needs, as in a `requirements.txt`."""


class Runner(Struct, frozen=True):
    """What runs the project's Python.

    Attributes:
        python: the command of its interpreter.
        install: the command that installs its packages; empty for none.
        watch: the files whose change asks for that again.
        note: what to know of it.
    """

    python: str
    install: str = ""
    watch: tuple[str, ...] = ()
    note: str = ""


def read_python_app(text: str, file: str, beside: Collection[str], read: Callable[[str], str]) -> Found:
    """Return what serves a project in Python, after a job that installs its packages.

    Args:
        text: its `pyproject.toml` or `requirements.txt`.
        file: the path of that in the project.
        beside: the names of the files next to it, and that of the lock file of a uv workspace around it.
        read: returns the text of a file, by its path from there; raises UnreadableSourceError.

    Raises:
        UnreadableSourceError: it is not TOML, but should be.
    """
    content = read_toml(text) if file.endswith(".toml") else {}
    package = str(as_object(content.get("project")).get("name") or "").replace("-", "_")
    tool = as_object(content.get("tool"))
    package = package or str(as_object(tool.get("poetry")).get("name") or "").replace("-", "_")
    folders = [*_FOLDERS, *([package, f"src/{package}"] if package.isidentifier() else [])]
    if not _KNOWN.search(text):
        return Found()
    runner = runner_of(beside, content)
    sources = list(_sources(folders, _FILES, read))
    services = [found for path, source in sources if (found := _server(path, source, runner, file)) is not None][:1]
    queues = (*_sources(folders, FILES, read), *sources)
    workers = (worker_in(path, source, runner.python, file) for path, source in queues)
    services += [found for found in workers if found is not None][:1]
    return _project(
        services, runner, file, beside, migrate="-m alembic upgrade head" if "alembic.ini" in beside else ""
    )


def read_manage(text: str, file: str, beside: Collection[str], read: Callable[[str], str]) -> Found:
    """Return the server of a Django project, the job that migrates its database, and the worker of its queue.

    Args:
        text: its `manage.py`.
        file: the path of that in the project.
        beside: the names of the files next to it, by which the Python that has its packages is known.
        read: returns the text of a file, by its path from there; raises UnreadableSourceError.

    Raises:
        UnreadableSourceError: its `pyproject.toml` is not TOML.
    """
    if "django" not in text.lower():
        return Found()
    runner = runner_of(beside, read_toml(read("pyproject.toml")) if "pyproject.toml" in beside else {})
    if not runner.install and not {".venv", "venv"} & set(beside):
        runner = Runner("python3")
    serve = f"{runner.python} manage.py runserver {{port}}"
    services = [shell_service("web", serve, file, port=0)]
    if settings := _SETTINGS.search(text):
        made = _sources((settings["package"],), ("celery",), read)
        queues = [found for path, source in made if (found := worker_in(path, source, runner.python, file)) is not None]
        own = f"{settings['module'].replace('.', '/')}.py"
        for path in dict.fromkeys((own, own.rpartition("/")[0] + "/base.py")):
            with suppress(UnreadableSourceError):
                queues += django_workers(read(path), runner.python, file)
        services += queues[:1]
    return _project(services, runner, file, beside, migrate="manage.py migrate")


def _project(
    services: list[FoundService], runner: Runner, file: str, beside: Collection[str], *, migrate: str
) -> Found:
    """Return `services` after the job that installs their packages, with the one that migrates their database."""
    if not services:
        return Found()
    files = (".env",) if ".env" in beside else ()
    folder = file.rpartition("/")[0]
    services = [replace(each, name=named_in(folder, each.name)) for each in services]
    needs: dict[str, str] = {}
    made: list[FoundService] = []
    if runner.install:
        needs = {(install := named_in(folder, "install")): "completed"}
        made.append(job(install, runner.install, file, watch=runner.watch))
    if migrate:
        line, name, notes = f"{runner.python} {migrate}", named_in(folder, "migrate"), waits(folder)
        made.append(job(name, line, file, enabled=False, notes=notes, depends_on=needs, env_files=files))
    notes = (runner.note,) if runner.note else ()
    made += [replace(e, depends_on=needs, env_files=files, notes=(*e.notes, *notes)) for e in services]
    return Found(tuple(made))


def runner_of(beside: Collection[str], content: JsonObject) -> Runner:
    """Return what runs the Python of a project with that `pyproject.toml`, or without any."""
    tool = as_object(content.get("tool"))
    for lock, table, program, install in (
        ("uv.lock", "uv", "uv run python", "uv sync --inexact"),
        ("poetry.lock", "poetry", "poetry run python", "poetry install --no-interaction"),
        ("pdm.lock", "pdm", "pdm run python", "pdm install"),
        ("Pipfile.lock", "", "pipenv run python", "pipenv sync --dev"),
    ):
        if lock in beside or table in tool:
            return Runner(program, install, (lock if lock in beside else "pyproject.toml",))
    if "envs" in as_object(tool.get("hatch")):
        return Runner("hatch run python", "hatch env create", ("pyproject.toml",))
    venv = next((name for name in (".venv", "venv") if name in beside), ".venv")
    made = f"[ -x {venv}/bin/pip ] || python3 -m venv {venv}"  # made again, it would get another Python
    if "build-system" in content:
        packages, watched = "-e .", "pyproject.toml"
    elif "requirements.txt" in beside:
        packages, watched = "-r requirements.txt", "requirements.txt"
    elif "dependencies" in as_object(content.get("project")):  # a project that is no package: pip cannot install it
        listed = f"{venv}/bin/python -c {shlex.quote(_LIST)}"
        install = f"{made} && {listed} | {venv}/bin/python -m pip install -q -r /dev/stdin"
        return Runner(f"{venv}/bin/python", install, ("pyproject.toml",))
    else:
        return Runner(
            f"{venv}/bin/python", note=f"its packages must be in {venv}, of which each worktree needs its own"
        )
    install = f"{made} && {venv}/bin/python -m pip install -q {packages}"
    return Runner(f"{venv}/bin/python", install, (watched,))


def _sources(folders: Collection[str], files: Collection[str], read: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    """Yield the files in which an application is made by custom, with their texts."""
    for folder in folders:
        for file in files:
            path = f"{folder}/{file}.py" if folder else f"{file}.py"
            try:
                yield path, read(path)
            except UnreadableSourceError:
                continue


def _server(path: str, source: str, runner: Runner, file: str) -> FoundService | None:
    """Return the service that serves the application which the file at `path` makes; None if it makes none."""
    base, module = module_of(path)
    origin = f"{file}, {path}"
    factory = _FACTORY.search(source)
    python = runner.python
    ready, env = "", dict[str, str]()
    if (made := _ASGI.search(source)) or (factory and re.search(r"\b(FastAPI|Starlette|Litestar|Quart)\(", source)):
        target = made or factory
        assert target is not None
        line = f"{python} -m uvicorn {module}:{target['name']}{'' if made else ' --factory'} --reload --port {{port}}"
        line += f" --app-dir {base}" if base else ""
    elif (made := _FLASK.search(source)) or (factory and re.search(r"\b(API)?Flask\(", source)):
        target = f"{base}/{module}" if base else module
        named = f":{made['name']}" if made else ""
        line = f"{python} -m flask --app {target}{named} run --debug --port {{port}}"
    elif _STREAMLIT.search(source) and not path.endswith("__init__.py"):
        line = f"{python} -m streamlit run {path} --server.port {{port}} --server.headless true"
        ready = "/_stcore/health"
    elif _GRADIO.search(source) and not path.endswith("__init__.py"):
        line, env = f"{python} {path}", {"GRADIO_SERVER_PORT": "{port}"}
    else:
        return None
    service = shell_service("web", line, origin, port=0, env=env)
    return replace(service, args={**service.args, **({"readyPath": ready} if ready else {})})
