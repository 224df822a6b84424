#!/usr/bin/env bash
# Guess: two Python libraries that lock the same file exclude each other; a lock is refused to a second object of the same
#        process; release() releases, or raises.
# Seen:  fasteners takes a file that filelock or portalocker holds, since its lock is of the other kind (fcntl, not flock), and
#        takes it twice in one process. A filelock's release() in another thread than the one that acquired does nothing,
#        without an error: the file stays locked, and is_locked is False there.
# With:  filelock 4.3.1, portalocker 4.4.2, fasteners 0.20 (PyPI), Linux, a local file system.
# Why:   "all writers lock state.json" is not enough, all of them need one library; a lock that is released in a callback or
#        after an await in a thread pool is held for good.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install filelock==4.3.1 portalocker==4.4.2 fasteners==0.20
PYTHON=python judge 60 <<'PY'
import sys
import threading

from wire import *

TAKE = {
    "filelock": "import filelock; lock = filelock.FileLock('state.lock'); lock.acquire(timeout=0)",
    "portalocker": "import portalocker; lock = portalocker.Lock('state.lock', timeout=0); lock.acquire()",
    "fasteners": "import fasteners; lock = fasteners.InterProcessLock('state.lock'); assert lock.acquire(blocking=False)",
}


def takes(library):
    """Whether another process gets the lock now."""
    return subprocess.run([sys.executable, "-c", TAKE[library]], stderr=subprocess.DEVNULL, timeout=30).returncode == 0


meet = {}
for holder, take in TAKE.items():
    process = subprocess.Popen([sys.executable, "-c", take + "; print(flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    meet[holder] = [library for library in TAKE if takes(library)]
    process.communicate(b"\n", timeout=10)
    show(f"held by {holder}, taken at the same time by another process with: {meet[holder] or 'none'}")

import fasteners
import filelock

pair = [fasteners.InterProcessLock("state.lock") for _ in range(2)]
twice = [lock.acquire(blocking=False) for lock in pair]
for lock in pair:
    lock.release()
show(f"two fasteners objects of one process: {twice}")

lock, answers = filelock.FileLock("state.lock"), []
lock.acquire()


def in_thread():
    answers.append(lock.release())
    answers.append(lock.is_locked)


thread = threading.Thread(target=in_thread)
thread.start()
thread.join()
free = takes("filelock")
show(f"filelock, release() in another thread: {answers[0]}, is_locked there {answers[1]}, taken by another process: {free}")
finish((meet == {"filelock": ["fasteners"], "portalocker": ["fasteners"], "fasteners": ["filelock", "portalocker"]}, f"who meets: {meet}"),
       (twice == [True, True], f"twice: {twice}"), (answers == [None, False] and not free, f"another thread: {answers}, {free}"))
PY
