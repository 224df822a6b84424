"""The command: tries the stacks and prints the table in Markdown."""

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.figures import title
from benchmarks.programs.install import install_packages, run_in
from benchmarks.stacks.catalogue import FOLDER, NPM, PYTHON, STACKS, tools_environment
from benchmarks.stacks.trial import StackLife

STEPS = ("up", "processes", "kill noticed", "up again", "second worktree", "down", "left")


def main(tools: Path, *, only: str = "", install_first: bool = False) -> None:
    """Run and print.

    Args:
        tools: the folder with the packages, which `install_first` fills from PyPI, npm and the Go proxy.
        only: a part of the names of the stacks to try.
        install_first: fill the folder.
    """
    if install_first:
        install_packages(tools, PYTHON, ("--ignore-scripts", *NPM))
        run_in(FOLDER / "go-vite", ["go", "build", "-o", os.devnull, "."], **tools_environment(tools))
    title("Stacks of several services, in two worktrees")
    print(f"| stack | {' | '.join(STEPS)} | faults |")
    print("| --- " * (len(STEPS) + 2) + "|")
    failed = 0
    causes: list[str] = []
    for stack in STACKS:
        if only not in stack.name:
            continue
        with tempfile.TemporaryDirectory(prefix="ostler-stack-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o755)
            trial = StackLife(stack, Path(folder), tools).run()
        failed += bool(trial.faults)
        causes.append(f"{stack.name}: {trial.figures.get('cause', 'none')}")
        faults = "; ".join(trial.faults).replace("\n", " ").replace("|", "/") or "none"
        cells = [stack.name, *(trial.figures.get(step, "") for step in STEPS), faults]
        print(f"| {' | '.join(cells)} |", flush=True)
    print("\nWhat the failed migration was reported as:\n")
    for cause in causes:
        print(f"- {' '.join(cause.split())}")
    sys.exit(failed > 0)
