#!/usr/bin/env python3
"""Make the test environment and run the tests in it: `python3 tests/run.py [--no-npm] [pytest arguments]`.

It needs Python 3.11 or newer and nothing else, and leaves everything it makes in two folders of the checkout that
git ignores:

- `.venv`: what requirements.lock pins, checked by hash, with Ostler itself installed in place. uv makes it when uv
  is there, else venv and pip do.
- `.jupyter-tools`: a Jupyter server in an environment of its own, as tests/jupyter pins it, for the test of that class.
  It is skipped where it cannot be installed, except where CI is set.
- `.mcp-servers`: the npm packages of tests/classes/npm, MCP servers that shipped classes are run with.
- `.npm-tools`: the npm packages of tests/npm, for the tests marked `npm`. Without npm these tests are skipped,
  except where CI is set: there the run fails. `--no-npm` leaves them out.

A second run with the same lock goes straight to the tests, four at a time: many wait for processes and clocks,
so four workers keep two processors busy. `-n 0` runs them one after another, as `--pdb` and `--inline-snapshot` need
it; then nothing is added. The exit code is pytest's.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
NPM_MANIFEST = ROOT / "tests" / "npm"
NPM_TOOLS = ROOT / ".npm-tools"
SERVERS_MANIFEST = ROOT / "tests" / "classes" / "npm"
MCP_SERVERS = ROOT / ".mcp-servers"
JUPYTER_LOCK = ROOT / "tests" / "jupyter" / "requirements.lock"
JUPYTER_TOOLS = ROOT / ".jupyter-tools"
STAMP = ".ostler-stamp"
OLDEST_PYTHON = (3, 11)
SETUP_FAILED = 2
FOUR_AT_A_TIME = ("-n", "4", "--dist", "worksteal", "--inline-snapshot=disable")
ONE_PROCESS = ("-n", "--numprocesses", "--dist", "--pdb", "--trace", "--inline-snapshot", "-s", "--capture=no")
"""Options of pytest's that decide how many workers there are, or that work in one process only."""


class SetupError(Exception):
    """The environment could not be made; the text says what to do."""


def main(arguments: list[str]) -> int:
    """Set up what is missing, run pytest with `arguments`, and return its exit code."""
    with_npm = "--no-npm" not in arguments
    arguments = [argument for argument in arguments if argument != "--no-npm"]
    try:
        prepare_python()
        optionally(install_jupyter, "the test of the class jupyter")
        if with_npm:
            optionally(install_npm_packages, "tests marked npm")
            optionally(install_mcp_servers, "tests of classes over MCP servers from npm")
    except SetupError as error:
        say(str(error))
        return SETUP_FAILED
    if not with_npm:
        arguments = ["-m", "not npm", *arguments]
    if not any(argument.startswith(ONE_PROCESS) for argument in arguments):
        arguments = [*FOUR_AT_A_TIME, *arguments]
    command = [str(PYTHON), "-m", "pytest", *arguments]
    os.chdir(ROOT)
    if os.name != "nt":
        os.execv(command[0], command)  # pytest takes this process's place: signals and the exit code are its own
    return subprocess.run(command, check=False).returncode


def prepare_python() -> None:
    """Bring `.venv` up to the lock."""
    if not runs(PYTHON):
        make_venv(VENV)
    stamp = VENV / STAMP
    digest = digest_of(LOCK, ROOT / "pyproject.toml", extra=f"{ROOT} {PYTHON.resolve()}")
    if read(stamp) == digest:
        return
    say("installing what requirements.lock pins")
    install = installer_into(PYTHON)
    run([*install, "--require-hashes", "--requirement", str(LOCK)], "the locked packages could not be installed")
    run([*install, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)], "Ostler could not be installed")
    stamp.write_text(digest, encoding="utf-8")


def install_jupyter() -> None:
    """Bring `.jupyter-tools` up to its lock: too much to be in `.venv` for the sake of one test."""
    python = JUPYTER_TOOLS / PYTHON.relative_to(VENV)
    stamp = JUPYTER_TOOLS / STAMP
    if runs(python) and read(stamp) == digest_of(JUPYTER_LOCK, extra=f"{ROOT} {python.resolve()}"):
        return
    say("installing the Jupyter server of tests/jupyter into .jupyter-tools")
    make_venv(JUPYTER_TOOLS)
    locked = ["--require-hashes", "--requirement", str(JUPYTER_LOCK)]
    run([*installer_into(python), *locked], "the Jupyter server could not be installed")
    digest = digest_of(JUPYTER_LOCK, extra=f"{ROOT} {python.resolve()}")
    stamp.write_text(digest, encoding="utf-8")


def installer_into(python: Path) -> list[str]:
    """Return the command that installs packages into the environment of `python`."""
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", str(python)]
    if not runs(python, "-m", "pip", "--version"):
        run([str(python), "-m", "ensurepip"], f"pip could not be put into {python.parent.parent.name}")
    return [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


def make_venv(folder: Path) -> None:
    """Make an environment afresh, with a Python that is new enough."""
    say(f"making {folder.name}")
    uv = shutil.which("uv")
    if sys.version_info >= OLDEST_PYTHON:
        chosen = sys.executable
    elif uv:
        chosen = ">=" + ".".join(map(str, OLDEST_PYTHON))
    else:
        raise SetupError("Python 3.11 or newer is needed: run this file with one, or install uv, which brings one")
    shutil.rmtree(folder, ignore_errors=True)
    if uv:
        run([uv, "venv", "--quiet", "--python", chosen, str(folder)], f"uv could not make {folder.name}")
    else:
        missing = "this Python has no venv module (Debian: apt install python3-venv)"
        run([chosen, "-m", "venv", str(folder)], missing)


def optionally(install: Callable[[], None], what: str) -> None:
    """Install something; where that fails say so, and `what` is skipped. In CI it has to succeed."""
    try:
        install()
    except SetupError as error:
        if is_ci():
            raise
        say(f"{error}; {what} will be skipped")


def install_npm_packages() -> None:
    """Install what tests/npm names, for the tests marked npm."""
    install_from_npm(NPM_MANIFEST, NPM_TOOLS)


def install_mcp_servers() -> None:
    """Install what tests/classes/npm names: MCP servers that shipped classes are run with."""
    install_from_npm(SERVERS_MANIFEST, MCP_SERVERS)


def install_from_npm(manifest: Path, target: Path) -> None:
    """Install exactly what a package-lock.json names, without running the packages' install scripts.

    Args:
        manifest: the folder of package.json and package-lock.json.
        target: the folder that gets node_modules.
    """
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise SetupError("Node.js with npm is not there")
    files = (manifest / "package.json", manifest / "package-lock.json")
    stamp = target / STAMP
    digest = digest_of(*files)
    if read(stamp) == digest:
        return
    say(f"installing the npm packages of {manifest.relative_to(ROOT)} into {target.name}")
    target.mkdir(exist_ok=True)
    for file in files:
        shutil.copy(file, target)
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    run([npm, "ci", "--prefix", str(target), *options], "the npm packages could not be installed")
    stamp.write_text(digest, encoding="utf-8")


def run(command: list[str], problem: str) -> None:
    """Run a set-up command, its output where the user sees it.

    Raises:
        SetupError: it failed; the text is `problem` and the command.
    """
    sys.stdout.flush()
    try:
        code = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode
    except OSError as error:
        raise SetupError(f"{problem} ({error})") from None
    if code:
        raise SetupError(f"{problem} (exit code {code}: {' '.join(command)})")


def runs(*command: object) -> bool:
    """Whether `command` can be run and succeeds; a bare Python is asked for its version."""
    words = [str(word) for word in command] + (["-I", "-c", ""] if len(command) == 1 else [])
    try:
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def digest_of(*files: Path, extra: str = "") -> str:
    """Return a hash over the files' contents and `extra`."""
    digest = hashlib.sha256(extra.encode())
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def read(file: Path) -> str:
    """Return the file's text, or nothing when it is not there."""
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def is_ci() -> bool:
    """Whether this is a CI run, where nothing may be left out."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def say(text: str) -> None:
    """Print a line about the set-up."""
    print(f"tests/run.py: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
