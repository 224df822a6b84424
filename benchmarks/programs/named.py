"""The programs of the class `program`, each taken through one whole life by the trial of classes."""

import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from tests.support.shipped import open_ostler

from benchmarks.figures import title
from benchmarks.programs.catalogue import ASGI, CELERY, FLASK, PAGE, WSGI
from ostler.adapters.config.paths import shipped_classes_dir
from ostler.adapters.testing.discovery import find_class
from ostler.adapters.testing.trial import TrialOptions, trial_name, try_class
from ostler.adapters.testing.trial_report import TrialReport
from ostler.faces.application import Application

SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Named:
    """A program of the class.

    Attributes:
        needs: the command that must be on PATH; its name, when empty.
        files: what is in its folder.
        prepare: run in its folder before.
        packages: Node.js packages are linked into its folder.
        arguments: more of the program.
    """

    needs: str = ""
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    prepare: str = ""
    packages: bool = False
    arguments: tuple[str, ...] = ()


_ASGI = {"app.py": ASGI}
NAMED: Mapping[str, Named] = {
    "caddy": Named(files=PAGE),
    "celery": Named(files={"tasks.py": CELERY}),
    "daphne": Named(files=_ASGI),
    "django": Named("django-admin", prepare="django-admin startproject site_ ."),
    "etcd": Named(),
    "fastapi": Named(files={"main.py": "from fastapi import FastAPI\n\napp = FastAPI()\n"}),
    "flask": Named(files={"app.py": FLASK}),
    "granian": Named(files=_ASGI),
    "gunicorn": Named(files={"app.py": WSGI}),
    "http.server": Named("python3", files=PAGE),
    "http-server": Named(files=PAGE),
    "hypercorn": Named(files=_ASGI),
    "json-server": Named(files={"db.json": '{"a": []}'}),
    "mariadb": Named("mariadbd"),
    "memcached": Named(),
    "minio": Named(),
    "mosquitto": Named(),
    "nats": Named("nats-server"),
    "next": Named(
        files={"pages/index.js": "export default function Page() { return 'ok' }\n", "package.json": "{}"},
        packages=True,
        arguments=("--webpack",),  # the other bundler refuses packages that are linked
    ),
    "nginx": Named(files=PAGE),
    "prometheus": Named(),
    "storybook": Named(packages=True),
    "uvicorn": Named(files=_ASGI),
    "vite": Named(files=PAGE, packages=True),
    "webpack": Named(
        files={"src/index.js": "console.log(1)\n", "public/index.html": PAGE["index.html"], "package.json": "{}"},
        packages=True,
    ),
    "wrangler": Named(packages=True),
}


def main(tools: Path, environment: Mapping[str, str], only: str) -> bool:
    """Run and print; return whether all that could be tried passed.

    Args:
        tools: the folder that `install` has filled.
        environment: where programs are found.
        only: a part of the names of the programs to try.
    """
    title("The programs of the class program, one whole life each")
    print("| program | whole life | took | what went wrong |")
    print("| --- | --- | --- | --- |")
    passed = True
    for name, program in NAMED.items():
        if only not in name:
            continue
        if shutil.which(program.needs or name, path=environment["PATH"]) is None:
            print(f"| {name} | not tried: not installed here | | |", flush=True)
            continue
        began = time.monotonic()
        report = anyio.run(_tried, name, program, tools, environment)
        failed = [f"{step.name}: {' '.join(step.text.split())}" for step in report.steps if step.verdict == "failed"]
        passed = passed and report.passed
        verdict = "yes" if report.passed else "no"
        said = "; ".join(failed).replace("|", "/")[:300]
        print(f"| {name} | {verdict} | {time.monotonic() - began:.0f} s | {said} |", flush=True)
    return passed


async def _tried(name: str, program: Named, tools: Path, environment: Mapping[str, str]) -> TrialReport:
    with tempfile.TemporaryDirectory(prefix="ostler-named-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        root.chmod(0o755)
        (root / "work").mkdir()
        async with open_ostler(root, within=SECONDS) as app:
            return await live(app, name, program, root / "work", tools=tools, environment=environment)


async def live(
    app: Application, name: str, program: Named, folder: Path, *, tools: Path, environment: Mapping[str, str]
) -> TrialReport:
    """Take one program of the class through its life, as `app` runs it.

    Args:
        app: a running Ostler.
        name: the program.
        program: what it needs.
        folder: where it lives.
        tools: has the Node.js packages.
        environment: where programs are found.
    """
    for file, text in program.files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if program.packages:
        (folder / "node_modules").symlink_to(tools / "npm" / "node_modules")
    if program.prepare:
        subprocess.run(shlex.split(program.prepare), cwd=folder, env=dict(environment), check=True, stdout=sys.stderr)
    shipped = shipped_classes_dir()
    assert shipped is not None, "this is a checkout"
    entry, entries = find_class("program", shipped)
    args = {
        "program": name,
        "directory": str(folder),
        "environment": dict(environment),
        "arguments": list(program.arguments),
        "readyTimeout": "120s",
    }
    return await try_class(
        entry, entries, args, app.pool, TrialOptions(trial_name(f"program-{name.replace('.', '-')}"))
    )
