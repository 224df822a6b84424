#!/usr/bin/env bash
# Guess: a program that runs another one hands SIGTERM on to it, or takes it with it; what "holds a lock while the command
#        runs" gives the lock back when it ends.
# Seen:  of twelve wrappers timeout hands it on, and `flock -F` has become the command. flock, GNU time, setsid -w, xargs,
#        find -exec, dbus-run-session, fakeroot and watch end at once and leave the command running, flock's lock with it.
#        `unshare --fork` and strace -f do not end while the command runs, which never hears of it.
# With:  util-linux 2.38.1, time 1.9, findutils 4.9.0, dbus 1.14.10, fakeroot 1.31, strace 6.1, procps 4.0.2, coreutils 9.1
#        (Debian 12).
# Why:   `flock deploy.lock ./worker` as a service is stopped, its worker runs on, and the next start waits for the lock.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need flock setsid unshare xargs find dbus-run-session watch timeout
version_is util-linux "$(flock --version | grep -o '[0-9.]*$')" 2.38.1
version_is dbus "$(dbus-run-session --version | grep -o '[0-9.]*$' | head -1)" 1.14.10
deb_install time=1.9-0.2 fakeroot=1.31-1.2 libfakeroot=1.31-1.2 strace=6.1-0.1 libunwind8
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
judge 300 <<'PY'
import shutil
from pathlib import Path

from wire import *

COMMAND = "python3 command.py"
WRAPPERS = {  # what becomes of the wrapper and of its command, and whether the command hears of SIGTERM
    f"timeout 600 {COMMAND}": ("ended", "ended", True),
    f"flock -F lock {COMMAND}": ("ended", "ended", True),
    **{f"{wrapper} {COMMAND}": ("ended", "runs", False)
       for wrapper in ("flock lock", shutil.which("time"), "setsid -w", "dbus-run-session --", "fakeroot --", "xargs -a words")},
    f"find words -exec {COMMAND} ;": ("ended", "runs", False),
    f"watch {COMMAND}": ("ended", "runs", False),
    f"strace -f -o trace {COMMAND}": ("runs", "runs", False),
}
if os.geteuid() == 0:
    WRAPPERS[f"unshare --fork {COMMAND}"] = ("runs", "runs", False)
else:
    WRAPPERS[f"unshare -r --fork {COMMAND}"] = ("runs", "runs", False)
Path("words").write_text("word\n")


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


facts = []
for wrapper, expected in WRAPPERS.items():
    for name in ("pid", "heard"):
        Path(name).unlink(missing_ok=True)
    process = subprocess.Popen(wrapper.split(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)
    if not until(Path("pid").exists, 30):
        print(f"  {wrapper} did not start the command")
        raise SystemExit(2)
    command = int(Path("pid").read_text())
    time.sleep(0.5)
    process.terminate()
    until(lambda: process.poll() is not None, 3)
    until(lambda: not runs(command), 2)
    seen = ("runs" if process.poll() is None else "ended", "runs" if runs(command) else "ended", Path("heard").exists())
    show(f"{Path(wrapper.split()[0]).name} {' '.join(wrapper.split()[1:])}: the wrapper {seen[0]}, its command {seen[1]}, "
         f"which {'heard' if seen[2] else 'did not hear'} SIGTERM")
    facts.append((seen == expected, wrapper))
    if wrapper.startswith("flock lock"):
        held = subprocess.run(["flock", "-n", "lock", "true"]).returncode
        show(f"flock -n lock true, after flock has ended: status {held}")
        facts.append((held == 1, "the lock is free"))
    if runs(command):
        os.kill(command, 9)
    process.kill()
    process.wait()
finish(*facts)
PY
