"""Installs the programs into one folder, without touching the machine: from PyPI, npm, Debian and the Go proxy."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PYTHON = (
    "uvicorn",
    "gunicorn",
    "hypercorn",
    "granian",
    "daphne",
    "flask",
    "django",
    "celery",
    "jupyter-server",
    "fastapi[standard]",
)
NPM = (
    "vite@8", "next@16", "react", "react-dom", "json-server@0.17", "http-server", "webpack", "webpack-cli",
    "webpack-dev-server", "nodemon",
)  # fmt: skip
DEBIAN = (
    "nginx", "mariadb-server", "mariadb-server-core", "mariadb-client-core", "libaio1", "liburing2", "libnuma1",
    "mosquitto", "libmosquitto1", "libwebsockets17", "libdlt2", "libcjson1", "memcached", "etcd-server", "caddy",
    "prometheus", "libsnappy1v5",
)  # fmt: skip
GO = "github.com/nats-io/nats-server/v2@latest"


def install(tools: Path) -> None:
    """Fill the folder `tools`; what one package manager lacks or refuses leaves its programs out."""
    install_packages(tools, PYTHON, NPM)
    (tools / "deb").mkdir(exist_ok=True)
    run_in(tools / "deb", ["apt-get", "download", *DEBIAN])
    for package in sorted((tools / "deb").glob("*.deb")):
        run_in(tools, ["dpkg", "-x", str(package), str(tools / "debian")])
    run_in(tools, ["go", "install", GO], GOBIN=str(tools / "go"))


def install_packages(tools: Path, python: Sequence[str], npm: Sequence[str]) -> None:
    """Install packages of PyPI into `tools`/py and of npm into `tools`/npm; `npm` may begin with options."""
    from_pypi(tools / "py", python)
    from_npm(tools / "npm", npm)


def from_pypi(folder: Path, packages: Sequence[str]) -> None:
    """Install packages of PyPI into a virtual environment."""
    folder.mkdir(parents=True, exist_ok=True)
    run_in(folder, [sys.executable, "-m", "venv", "."])
    run_in(folder, ["bin/pip", "install", "-q", *packages])


def from_npm(folder: Path, packages: Sequence[str]) -> None:
    """Install packages of npm; `packages` may begin with options."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"private": true}')
    run_in(folder, ["npm", "install", "--no-fund", "--no-audit", *packages])


def run_in(folder: Path, words: list[str], **environment: str) -> None:
    """Run a package manager in `folder`; a failure is printed."""
    try:
        done = subprocess.run(words, cwd=folder, env={**os.environ, **environment}, check=False)
    except OSError as error:
        print(f"{words[0]}: {error}", file=sys.stderr)
        return
    if done.returncode:
        print(f"{' '.join(words)[:100]} ended with {done.returncode}", file=sys.stderr)
