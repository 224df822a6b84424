"""Installs the programs into one folder, without touching the machine: from PyPI, npm, Debian and the Go proxy."""

import os
import subprocess
import sys
from pathlib import Path

PYTHON = ("uvicorn", "gunicorn", "hypercorn", "granian", "daphne", "flask", "django", "celery", "jupyter-server")
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
    tools.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "venv", "py"], tools)
    _run(["py/bin/pip", "install", "-q", *PYTHON], tools)
    (tools / "npm").mkdir(exist_ok=True)
    (tools / "npm" / "package.json").write_text("{}")
    _run(["npm", "install", "--no-fund", "--no-audit", *NPM], tools / "npm")
    (tools / "deb").mkdir(exist_ok=True)
    _run(["apt-get", "download", *DEBIAN], tools / "deb")
    for package in sorted((tools / "deb").glob("*.deb")):
        _run(["dpkg", "-x", str(package), str(tools / "debian")], tools)
    _run(["go", "install", GO], tools, GOBIN=str(tools / "go"))


def _run(words: list[str], folder: Path, **environment: str) -> None:
    try:
        done = subprocess.run(words, cwd=folder, env={**os.environ, **environment}, check=False)
    except OSError as error:
        print(f"{words[0]}: {error}", file=sys.stderr)
        return
    if done.returncode:
        print(f"{' '.join(words)[:100]} ended with {done.returncode}", file=sys.stderr)
