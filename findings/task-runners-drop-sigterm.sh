#!/usr/bin/env bash
# Guess: a task runner hands SIGTERM on to the command that it runs, or takes the command with it when it ends.
# Seen:  of ten, uv and PDM do, and poe ends it with another signal. Hatch, just, make, Invoke, nox and doit end at once and
#        leave the command running without a parent; go-task ignores the first SIGTERM and waits for the command. The
#        command itself hears of SIGTERM under uv and PDM only.
# With:  uv 0.13.9, pdm 2.29.4, poethepoet 0.49.0, hatch 1.18.2, rust-just 1.59.0, invoke 3.0.3, nox 2026.10.20, doit 0.37.0,
#        go-task-bin 3.54.0 (all PyPI), GNU Make with a recipe of two commands.
# Why:   `hatch run dev` or `make dev` as a service is stopped, and its dev server keeps the port; whoever stops it has to
#        end the process group or the whole tree, and containers need an init that does.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need make
pip_install uv==0.13.9 pdm==2.29.4 poethepoet==0.49.0 hatch==1.18.2 rust-just==1.59.0 invoke==3.0.3 nox==2026.10.20 doit==0.37.0 go-task-bin==3.54.0
cat >command.py <<'PY'
import os
import signal
import sys
import time
from pathlib import Path


def heard(*_):
    Path("heard").touch()
    sys.exit(0)


signal.signal(signal.SIGTERM, heard)
Path("pid.new").write_text(str(os.getpid()))
Path("pid.new").rename("pid")
time.sleep(600)
PY
cat >pyproject.toml <<'TOML'
[project]
name = "tasks"
version = "1"
requires-python = ">=3.11"
[tool.hatch.envs.default]
skip-install = true
detached = true
scripts.dev = "python3 command.py"
[tool.pdm.scripts]
dev = "python3 command.py"
[tool.poe.tasks]
dev = "python3 command.py"
TOML
printf 'version: "3"\ntasks:\n  dev:\n    cmd: python3 command.py\n' >Taskfile.yml
printf 'dev:\n    python3 command.py\n' >justfile
printf 'dev:\n\tpython3 command.py; true\n' >Makefile
printf 'from invoke import task\n\n\n@task\ndef dev(c):\n    c.run("python3 command.py")\n' >tasks.py
printf 'import nox\n\n\n@nox.session(venv_backend="none")\ndef dev(session):\n    session.run("python3", "command.py", external=True)\n' >noxfile.py
printf 'def task_dev():\n    return {"actions": ["python3 command.py"]}\n' >dodo.py
judge 300 <<'PY'
import signal
from pathlib import Path

from wire import *

RUNNERS = {  # what becomes of runner, command, and whether the command hears of it
    "uv run --no-project --offline python3 command.py": ("ended", "ended", True),
    "pdm run dev": ("ended", "ended", True),
    "poe dev": ("ended", "ended", False),
    **{runner: ("ended", "runs", False) for runner in ("hatch run dev", "just dev", "make dev", "invoke dev", "nox -s dev", "doit dev")},
    "task dev": ("runs", "runs", False),
}


facts = []
for runner, expected in RUNNERS.items():
    for name in ("pid", "heard"):
        Path(name).unlink(missing_ok=True)
    process = subprocess.Popen(runner.split(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)
    if not until(Path("pid").exists, 60):
        print(f"  {runner} did not start the command")
        raise SystemExit(2)
    command = Path("/proc", Path("pid").read_text())
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    until(lambda: process.poll() is not None, 6)
    until(lambda: not command.exists(), 2)
    seen = ("runs" if process.poll() is None else "ended", "runs" if command.exists() else "ended", Path("heard").exists())
    show(f"{runner}: the runner {seen[0]}, its command {seen[1]}, which {'heard' if seen[2] else 'did not hear'} SIGTERM")
    facts.append((seen == expected, runner))
    if command.exists():
        os.kill(int(command.name), signal.SIGKILL)
    process.kill()
    process.wait()
finish(*facts)
PY
