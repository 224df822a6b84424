#!/usr/bin/env bash
# Guess: tini, dumb-init and catatonit do the same: SIGTERM reaches all that the program started, what is left when it ends
#        is ended, and a program that is not there gives 127.
# Seen:  outside a container only dumb-init ends what a program left in the background. tini, tini -s and catatonit signal the
#        program alone and leave the rest running, also at its end; -g, for the group, helps both at SIGTERM, not at the
#        end. A program that is not there gives 127, 2 and 1. SIGTSTP stops dumb-init with what it runs, tini's program without
#        tini, and nothing with catatonit.
# With:  tini 0.19.0, dumb-init 1.2.5, catatonit 0.1.7 (Debian 12).
# Why:   in a container the kernel ends what is left, so that a command that is clean there leaves workers, and their ports,
#        on a developer's machine; a check for 127 finds one of three.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install tini=0.19.0-1+b3 dumb-init=1.2.5-2 catatonit=0.1.7-1+b2
judge 60 <<'PY'
import signal

from wire import *

WRAPPERS = {  # a missing program's status, what is left after SIGTERM, after the program's end, who (wrapper, program) is stopped by SIGTSTP
    "tini --": (127, True, True, "-T"),
    "tini -s --": (127, True, True, "-T"),
    "tini -g --": (127, False, True, "-T"),
    "dumb-init --": (2, False, False, "TT"),
    "catatonit --": (1, True, True, "--"),
    "catatonit -g --": (1, False, True, "--"),
}


def state(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


def until(holds, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.05)
    raise SystemExit(2)


def begin(wrapper, script):
    """The wrapper's process, and the number that its script wrote."""
    if os.path.exists("pid"):
        os.remove("pid")
    process = subprocess.Popen([*wrapper.split(), "sh", "-c", script], start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    return process, int(until(lambda: os.path.exists("pid") and open("pid").read().strip()))


def left(pid):
    """Whether it is there two seconds later; it is not afterwards."""
    deadline = time.monotonic() + 2
    while state(pid) != "Z" and time.monotonic() < deadline:
        time.sleep(0.05)
    there = state(pid) != "Z"
    if there:
        os.kill(pid, signal.SIGKILL)
    return there


def facts(wrapper):
    missing = subprocess.run([*wrapper.split(), "no-such-program"], capture_output=True, timeout=10).returncode
    process, worker = begin(wrapper, "sleep 600 & echo $! >pid; wait")
    time.sleep(0.3)
    process.terminate()
    process.wait(10)
    after_term = left(worker)
    process, worker = begin(wrapper, "sleep 600 & echo $! >pid; sleep 0.5; exit 0")
    process.wait(10)
    after_end = left(worker)
    process, program = begin(wrapper, "echo $$ >pid; exec sleep 600")
    time.sleep(0.3)
    process.send_signal(signal.SIGTSTP)
    time.sleep(0.5)
    stopped = "".join("T" if state(pid) == "T" else "-" for pid in (process.pid, program))
    os.kill(program, signal.SIGKILL)
    process.kill()
    process.wait()
    return missing, after_term, after_end, stopped


seen = {wrapper: facts(wrapper) for wrapper in WRAPPERS}
for wrapper, (missing, after_term, after_end, stopped) in seen.items():
    show(f"{wrapper} no-such-program: {missing}; a background process is left after SIGTERM: {after_term}, after the program's end: {after_end}; stopped (T) by SIGTSTP: {stopped}")
finish(*((seen[wrapper] == expected, f"{wrapper}: {seen[wrapper]}") for wrapper, expected in WRAPPERS.items()))
PY
