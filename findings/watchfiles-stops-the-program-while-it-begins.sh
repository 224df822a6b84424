#!/usr/bin/env bash
# Guess: awatch() watches in a thread of its own, so an asyncio program goes on while it begins.
# Seen:  nothing else of the program runs until every folder below is watched: the interpreter's lock is held meanwhile.
#        3,000 folders, as of a small node_modules, take tenths of a second, and those that a filter leaves out count, too.
# With:  watchfiles 1.3.0 (PyPI).
# Why:   a server that watches a project when someone asks for it answers no one for that time.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install watchfiles==1.3.0
PYTHON=python judge 120 <<'PY'
import threading
from pathlib import Path

from watchfiles import DefaultFilter, watch

from wire import *

for number in range(3000):
    Path("tree/node_modules", str(number)).mkdir(parents=True)
stop, begun = threading.Event(), threading.Event()


class Stop:
    def is_set(self):  # asked for the first time once every folder is watched
        begun.set()
        return True


thread = threading.Thread(target=lambda: list(watch("tree", watch_filter=DefaultFilter(), stop_event=Stop(), step=1)))
began = last = time.perf_counter()
longest = 0.0
thread.start()
while not begun.is_set():
    now = time.perf_counter()
    longest, last = max(longest, now - last), now
whole = max(time.perf_counter() - began, longest)
thread.join()
show(f"it took {whole * 1000:.0f} ms to begin; for {longest * 1000:.0f} ms of these the main thread did not run")
finish((longest > 0.7 * whole, "the main thread ran while the watch began"))
PY
