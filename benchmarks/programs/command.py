"""The command: tries the programs that are there and prints the table in Markdown."""

import os
import sys
import tempfile
from pathlib import Path

import anyio
from tests.support.shipped import open_ostler

from benchmarks.figures import title
from benchmarks.programs import named
from benchmarks.programs.catalogue import PROGRAMS, Program
from benchmarks.programs.install import install
from benchmarks.programs.trial import Life, Trial, is_here

SECONDS = 900.0
"""More than the limits of all steps of a life together."""

STEPS = ("ready", "kill noticed", "again", "restart", "stop")


def environment_of(tools: Path) -> dict[str, str]:
    """Return the variables in which the programs of the folder `tools`, and those of PATH, are found and run."""
    folders = ["py/bin", "npm/node_modules/.bin", "debian/usr/sbin", "debian/usr/bin", "go"]
    own = Path(sys.executable).parent
    return {
        "PATH": os.pathsep.join([*(str(tools / folder) for folder in folders), str(own), os.environ["PATH"]]),
        "LD_LIBRARY_PATH": str(tools / "debian/usr/lib/x86_64-linux-gnu"),
        "NODE_ENV": "development",
        "NEXT_TELEMETRY_DISABLED": "1",
        "MARIADB_BASE": str(tools / "debian/usr") if (tools / "debian/usr/sbin/mariadbd").exists() else "",
    }


def main(tools: Path, *, only: str = "", install_first: bool = False) -> None:
    """Run and print.

    Args:
        tools: the folder that `install` has filled; PATH is searched as well.
        only: a part of the names of the programs to try.
        install_first: fill the folder.
    """
    if install_first:
        install(tools)
    title("Real programs as services of the classes command and dev-server")
    environment = environment_of(tools)
    print(f"| program | class | {' | '.join(STEPS)} | processes | left by the kill | faults |")
    print("| --- " * (len(STEPS) + 5) + "|")
    missing: list[str] = []
    failed = 0
    for program in PROGRAMS:
        if only not in program.name:
            continue
        if not is_here(program, environment):
            missing.append(program.name)
            continue
        trial = anyio.run(_trial, program, tools, environment)
        failed += bool(trial.faults)
        times = [f"{trial.seconds[step]:.2f} s" if step in trial.seconds else "" for step in STEPS]
        faults = "; ".join(trial.faults).replace("\n", " ").replace("|", "/") or "none"
        cells = [program.name, program.class_name, *times, str(trial.processes), str(trial.orphans), faults]
        print(f"| {' | '.join(cells)} |", flush=True)
    if missing:
        print(f"\nNot on this machine: {', '.join(missing)}.")
    passed = named.main(tools, environment, only)
    sys.exit(failed > 0 or not passed)


async def _trial(program: Program, tools: Path, environment: dict[str, str]) -> Trial:
    with tempfile.TemporaryDirectory(prefix="ostler-program-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        root.chmod(0o755)
        work = root / "work"
        work.mkdir()
        async with open_ostler(root, within=SECONDS) as app:
            return await Life(app.manager, program, work, tools, environment).run()
