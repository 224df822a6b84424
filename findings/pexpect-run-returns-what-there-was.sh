#!/usr/bin/env bash
# Guess: pexpect.run(command, timeout=…) raises TIMEOUT, as expect does; after EOF exitstatus is known.
# Seen:  run returns what the command had printed by then, and hangs it up; with withexitstatus=True the status is None. The
#        limit is 30 seconds if none is given. After expect(EOF) exitstatus is None until wait(), close() or isalive().
# With:  pexpect 4.9.0 (PyPI), Linux.
# Why:   the half output of a slow command is taken for the whole; "not 0" tests and "if status" tests disagree about None.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install pexpect==4.9.0
PYTHON=python judge 60 <<'PY'
import inspect
from pathlib import Path

import pexpect

from wire import *

COMMAND = "sh -c 'echo first; sleep 600; echo second'"
plain = pexpect.run(COMMAND, timeout=1)
both = pexpect.run("sh -c 'echo $$ >pid; echo first; sleep 600; exit 3'", timeout=1, withexitstatus=True)
stat = Path("/proc", Path("pid").read_text().strip(), "stat")
ended = not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"
limit = inspect.signature(pexpect.run).parameters["timeout"].default
show(f"run with a timeout: {plain!r}; with the status: {both!r}; the command has ended: {ended}; the default is {limit} s")
child = pexpect.spawn("sh -c 'exit 3'")
child.expect(pexpect.EOF)
statuses = [child.exitstatus, child.wait()]
show(f"exitstatus after EOF: {statuses[0]}, after wait(): {statuses[1]}")
finish((plain == b"first\r\n", f"run: {plain!r}"), (both == (b"first\r\n", None), f"status: {both!r}"), (ended, "the command ends"),
       (limit == 30, f"the default: {limit}"), (statuses == [None, 3], f"exitstatus: {statuses}"))
PY
