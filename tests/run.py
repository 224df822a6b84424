#!/usr/bin/env python3
"""Make the test environment and run the tests in it: `python3 tests/run.py [--no-npm] [pytest arguments]`.

It needs Python 3.11 or newer and nothing else, and leaves everything it makes in two folders of the checkout that
git ignores:

- `.venv`: what requirements.lock pins, checked by hash, with Ostler itself installed in place. uv makes it when uv
  is there, else venv and pip do.
- `.npm-tools`: the npm packages of tests/npm, for the tests marked `npm`. Without npm these tests are skipped,
  except where CI is set: there the run fails. `--no-npm` leaves them out.

A second run with the same lock goes straight to the tests. The exit code is pytest's.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
NPM_MANIFEST = ROOT / "tests" / "npm"
NPM_TOOLS = ROOT / ".npm-tools"
STAMP = ".ostler-stamp"
OLDEST_PYTHON = (3, 11)
SETUP_FAILED = 2


class SetupError(Exception):
    """The environment could not be made; the text says what to do."""


def main(arguments: list[str]) -> int:
    """Set up what is missing, run pytest with `arguments`, and return its exit code."""
    with_npm = "--no-npm" not in arguments
    arguments = [argument for argument in arguments if argument != "--no-npm"]
    try:
        prepare_python()
        if with_npm:
            prepare_npm(required=is_ci())
    except SetupError as error:
        say(str(error))
        return SETUP_FAILED
    if not with_npm:
        arguments = ["-m", "not npm", *arguments]
    command = [str(PYTHON), "-m", "pytest", *arguments]
    os.chdir(ROOT)
    if os.name != "nt":
        os.execv(command[0], command)  # pytest takes this process's place: signals and the exit code are its own
    return subprocess.run(command, check=False).returncode


def prepare_python() -> None:
    """Bring `.venv` up to the lock."""
    if not runs(PYTHON):
        make_venv()
    stamp = VENV / STAMP
    digest = digest_of(LOCK, ROOT / "pyproject.toml", extra=f"{ROOT} {PYTHON.resolve()}")
    if read(stamp) == digest:
        return
    say("installing what requirements.lock pins")
    if uv := shutil.which("uv"):
        install = [uv, "pip", "install", "--quiet", "--python", str(PYTHON)]
    else:
        install = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if not runs(PYTHON, "-m", "pip", "--version"):
            run([str(PYTHON), "-m", "ensurepip"], "pip could not be put into .venv")
    run([*install, "--require-hashes", "--requirement", str(LOCK)], "the locked packages could not be installed")
    run([*install, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)], "Ostler could not be installed")
    stamp.write_text(digest, encoding="utf-8")


def make_venv() -> None:
    """Make `.venv` afresh, with a Python that is new enough."""
    say("making .venv")
    uv = shutil.which("uv")
    if sys.version_info >= OLDEST_PYTHON:
        chosen = sys.executable
    elif uv:
        chosen = ">=" + ".".join(map(str, OLDEST_PYTHON))
    else:
        raise SetupError("Python 3.11 or newer is needed: run this file with one, or install uv, which brings one")
    shutil.rmtree(VENV, ignore_errors=True)
    if uv:
        run([uv, "venv", "--quiet", "--python", chosen, str(VENV)], "uv could not make .venv")
    else:
        run([chosen, "-m", "venv", str(VENV)], "this Python has no venv module (Debian: apt install python3-venv)")


def prepare_npm(*, required: bool) -> None:
    """Bring `.npm-tools` up to tests/npm/package-lock.json.

    Args:
        required: fail when it cannot be done; otherwise say so, and the tests marked npm are skipped.
    """
    try:
        install_npm_packages()
    except SetupError as error:
        if required:
            raise
        say(f"{error}; tests marked npm will be skipped")


def install_npm_packages() -> None:
    """Install exactly what tests/npm/package-lock.json names, without running the packages' install scripts."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise SetupError("Node.js with npm is not there")
    files = (NPM_MANIFEST / "package.json", NPM_MANIFEST / "package-lock.json")
    stamp = NPM_TOOLS / STAMP
    digest = digest_of(*files)
    if read(stamp) == digest:
        return
    say("installing the npm packages of tests/npm into .npm-tools")
    NPM_TOOLS.mkdir(exist_ok=True)
    for file in files:
        shutil.copy(file, NPM_TOOLS)
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    run([npm, "ci", "--prefix", str(NPM_TOOLS), *options], "the npm packages could not be installed")
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
