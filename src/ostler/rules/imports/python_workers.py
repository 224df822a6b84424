"""Programs that work through a queue in Python, whose own source shows what runs them: Celery, RQ, Dramatiq, others."""

import re
from collections.abc import Iterator

from ostler.rules.imports.found import FoundService, shell_service

FILES = ("worker", "workers", "celery_app", "celery", "tasks", "jobs", "actors", "broker", "huey_app")
"""Modules in which a queue is made by custom."""

MADE = r"(?m)^(?P<name>\w+)(?:\s*:\s*[\w.]+)?\s*=\s*(?:\w+\.)?(?:{kinds})\("
"""What makes an application of one of the kinds, as a global variable."""

_QUEUES = (
    ("", MADE.format(kinds="Celery"), "-m celery -A {module}:{name} worker --loglevel info"),
    ("", r"(?m)^class (?P<name>WorkerSettings)\b", "-m arq {module}.{name}"),
    ("huey", MADE.format(kinds=r"\w*Huey"), "-m huey.bin.huey_consumer {module}.{name}"),
    ("taskiq", MADE.format(kinds=r"\w+Broker"), "-m taskiq worker {module}:{name}"),
    ("dramatiq", r"(?m)^@(?:dramatiq\.)?(?P<name>actor)\b", "-m dramatiq {module}"),
    ("procrastinate", MADE.format(kinds="App"), "-m procrastinate --app {module}.{name} worker"),
    ("rq", r"\.(?P<name>work)\(", "{path}"),
)
"""What a source imports, what in it makes a queue (enough for two of them), and Python's arguments for the worker."""

_IN_DJANGO = (
    (r"huey\.contrib\.djhuey", "run_huey"),
    (r"django_rq", "rqworker default"),
    (r"django_dramatiq", "rundramatiq"),
    (r"django_q", "qcluster"),
    (r"procrastinate\.contrib\.django", "procrastinate worker"),
    (r"django_tasks\.backends\.database|django_tasks_db", "db_worker"),
)
"""Applications of Django that have a queue, and the command of `manage.py` that works through it."""


def module_of(path: str) -> tuple[str, str]:
    """Return the folder that modules are imported from, empty for the project's, and the module of the file `path`."""
    base, inner = ("src", path.removeprefix("src/")) if path.startswith("src/") else ("", path)
    return base, inner.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def worker_in(path: str, source: str, python: str, file: str) -> FoundService | None:
    """Return what works through the queue that a source makes; None if it makes none.

    Args:
        path: the source's path in the project.
        source: its text.
        python: the command of the project's interpreter.
        file: the file that led there.
    """
    base, module = module_of(path)
    for package, shown, arguments in _QUEUES:
        if (made := re.search(shown, source)) and re.search(
            rf"(?m)^(?:from|import) {package}" if package else "", source
        ):
            line = f"{python} {arguments.format(module=module, name=made['name'], path=path)}"
            env = {"PYTHONPATH": base} if base else {}
            return shell_service("worker", line, f"{file}, {path}", env=env)
    return None


def django_workers(settings: str, python: str, file: str) -> Iterator[FoundService]:
    """Yield what works through the queues of a Django project with these settings."""
    for application, command in _IN_DJANGO:
        if re.search(rf"""['"]{application}\b""", settings):
            yield shell_service("worker", f"{python} manage.py {command}", f"{file}, settings")
