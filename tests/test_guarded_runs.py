"""A run of tests or benchmarks that is killed leaves nothing behind."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.warden import MARK

_ROOT = Path(__file__).parent.parent
_WAITS = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
_AWAY = f"import os; os.setsid(); os.fork() and os._exit(0); {_WAITS}"
_UNMARKED = "import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', sys.argv[1]], env={})"
_RUN = """
import subprocess, sys
from tests.support.warden import guarded
away, unmarked, waits = sys.argv[1:]
with guarded():
    children = [subprocess.Popen([sys.executable, "-S", "-c", code, waits]) for code in (away, unmarked)]
    sys.stdin.read(1)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_run_has_started_ends_with_it(end: signal.Signals) -> None:
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    command = [sys.executable, "-S", "-c", _RUN, _AWAY, _UNMARKED, _WAITS]
    with subprocess.Popen(command, cwd=_ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        started = [os.pidfd_open(int(run.stdout.readline())) for _ in range(2)]
        run.send_signal(end)
        for process in started:
            assert select.select([process], [], [], 60)[0], "it has ended"
            os.close(process)
