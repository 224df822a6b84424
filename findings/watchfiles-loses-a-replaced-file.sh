#!/usr/bin/env bash
# Guess: awatch("settings.yaml") goes on reporting changes after an editor saved the file by writing a new one and
#        renaming it over the old.
# Seen:  the watch is on the inode. The first save by rename is reported (as "deleted", with the file there), and it is
#        the last thing ever reported: later saves, by rename or in place, are silent, without an error. Watching the
#        folder that has the file reports all of them.
# With:  watchfiles 1.3.0 (PyPI), Linux inotify.
# Why:   "reload on change" of one configuration file works once, in tests that write in place always.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install watchfiles==1.3.0

judge 90 <<'PY'
import asyncio

from watchfiles import awatch

from wire import *


async def seen(path, *acts):
    stop, changes = asyncio.Event(), []

    async def watch():
        async for batch in awatch(path, stop_event=stop, debounce=200, step=50, rust_timeout=300):
            changes.append(sorted(f"{change.name} {os.path.basename(where)}" for change, where in batch))

    task = asyncio.create_task(watch())
    await asyncio.sleep(1)
    counts = []
    for act in acts:
        before = len(changes)
        act()
        await asyncio.sleep(1)
        counts.append(len(changes) > before)
    stop.set()
    await asyncio.wait_for(task, 10)
    return counts, changes


def in_place():
    with open("conf/settings.yaml", "a") as file:
        file.write("x\n")


def by_rename():
    with open("conf/.new", "w") as file:
        file.write("x\n")
    os.replace("conf/.new", "conf/settings.yaml")


async def main():
    os.makedirs("conf")
    in_place()
    plain, _ = await seen("conf/settings.yaml", in_place, in_place)
    replaced, changes = await seen("conf/settings.yaml", by_rename, by_rename, in_place)
    folder, _ = await seen("conf", by_rename, by_rename, in_place)
    show(f"file watched, written in place twice, each reported: {plain}")
    show(f"file watched, saved by rename twice, then in place: {replaced} {changes}")
    show(f"folder watched, the same: {folder}")
    finish((plain == [True, True], "writes in place are not reported"),
           (replaced == [True, False, False], "the watch outlives a save by rename"),
           (folder == [True, True, True], "watching the folder loses changes"))


asyncio.run(main())
PY
