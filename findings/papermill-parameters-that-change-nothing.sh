#!/usr/bin/env bash
# Guess: `papermill in.ipynb out.ipynb -p version 1.10` runs the notebook with the version 1.10, or fails when it cannot.
# Seen:  status 0 in every case, and a warning in the log at most. Without a cell tagged "parameters" they are put before the
#        notebook's first cell, which sets its own values again. A name that the notebook does not have is set and not used.
#        1.10 becomes the number 1.1, 010 becomes 10, 1e3 becomes 1000.0, None and True are Python's; -r takes the text.
# With:  papermill 2.7.0, ipykernel 7.4.0 (PyPI), Python 3.11.
# Why:   a scheduled report of a day, region or version is that of the notebook's defaults, and it succeeded.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install papermill==2.7.0 ipykernel==7.4.0
export JUPYTER_PATH="$WORK/venv/share/jupyter" JUPYTER_CONFIG_DIR="$WORK/home" IPYTHONDIR="$WORK/home"
PYTHON=python judge 200 <<'PY'
import nbformat

from wire import *

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
for name, tags in (("tagged", ["parameters"]), ("plain", [])):
    book = nbformat.v4.new_notebook(metadata=KERNEL)
    book.cells = [nbformat.v4.new_code_cell("version = 'default'\nday = 1", metadata={"tags": tags}), nbformat.v4.new_code_cell("print([version, day])")]
    nbformat.write(book, f"{name}.ipynb")


def run(name, *parameters):
    done = subprocess.run(["papermill", "--no-progress-bar", f"{name}.ipynb", "out.ipynb", *parameters], capture_output=True, text=True, timeout=60)
    printed = "".join(output.get("text", "") for cell in nbformat.read("out.ipynb", 4).cells for output in cell.get("outputs", ())).strip()
    show(f"{name}, {' '.join(parameters)}: status {done.returncode}, {printed}{', warns' if 'unknown parameter' in done.stderr else ''}")
    return done.returncode, printed


seen = [
    run("plain", "-p", "version", "2.0", "-p", "day", "7"),
    run("tagged", "-p", "verison", "2.0"),
    run("tagged", "-p", "version", "1.10", "-p", "day", "010"),
    run("tagged", "-p", "version", "None", "-p", "day", "1e3"),
    run("tagged", "-r", "version", "1.10", "-r", "day", "010"),
]
expected = ["['default', 1]", "['default', 1]", "[1.1, 10]", "[None, 1000.0]", "['1.10', '010']"]
finish(*(((0, wanted) == one, f"{wanted}: {one}") for wanted, one in zip(expected, seen)))
PY
