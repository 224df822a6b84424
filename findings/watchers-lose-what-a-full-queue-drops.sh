#!/usr/bin/env bash
# Guess: a library that watches files reports every file that comes, or that it has lost some: the kernel tells it so,
#        by IN_Q_OVERFLOW.
# Seen:  if more changes come than fs.inotify.max_queued_events while the program is paused,
#        watchfiles and watchdog report those that found room, and nothing of the rest: no exception, no event, no line.
#        Files that come later are reported again. chokidar reads the folder at a change, and reports all.
# With:  watchfiles 1.3.0, watchdog 6.0.0 (PyPI), chokidar 5.0.0 (npm).
# Why:   a checkout, an install or an unpacked archive makes that many changes. What is built or restarted by a watcher
#        then stays old, and the watcher looks well. A program that needs every change has to read the folder after many of them.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node
limit=$(cat /proc/sys/fs/inotify/max_queued_events)
[ "$limit" -le 20000 ] || unable "needs a queue of at most 20000 changes, as the system's default is"
pip_install watchfiles==1.3.0 watchdog==6.0.0
npm_install chokidar@5.0.0
files=$((limit + 4000))

cat >by-watchfiles.py <<'PY'
import sys, watchfiles
for changes in watchfiles.watch(sys.argv[1], step=50, yield_on_timeout=True, rust_timeout=100):
    for _, path in changes:
        print(path, flush=False)
    print("READY", flush=True)
PY
cat >by-watchdog.py <<'PY'
import sys, time
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer
class Said(FileSystemEventHandler):
    def on_created(self, event):
        print(event.src_path, flush=True)
observer = Observer()
observer.schedule(Said(), sys.argv[1])
observer.start()
print("READY", flush=True)
time.sleep(600)
PY
cat >by-chokidar.mjs <<'JS'
import { watch } from "chokidar";
watch(process.argv[2], { ignoreInitial: true }).on("all", (kind, path) => console.log(path))
  .on("error", (error) => console.log("ERROR", error.message)).on("ready", () => console.log("READY"));
JS
ln -s "$WORK/node/node_modules" node_modules

seen=
watched() { # NAME COMMAND…: pause it while too many files come
    local name=$1 last
    shift
    mkdir "$name"
    "$@" "$WORK/$name" >"$name.out" 2>&1 &
    local watcher=$!
    wait_for 30 grep -q READY "$name.out" || unable "$name did not begin: $(tail -1 "$name.out")"
    kill -STOP "$watcher"
    python3 -c 'import sys; [open(f"{sys.argv[1]}/f{n}", "w").close() for n in range(int(sys.argv[2]))]' "$name" "$files"
    kill -CONT "$watcher"
    sleep 8
    touch "$name/later"
    wait_for 20 grep -q "/later$" "$name.out" && last=reported || last=lost
    local count said
    count=$(grep -o '/f[0-9]*$' "$name.out" | sort -u | wc -l)
    said=$(grep -cviE "/f[0-9]+$|/later$|READY|^$WORK/$name$" "$name.out" || true)
    kill -0 "$watcher" 2>/dev/null || said=ended
    observed "$name: $count of $files files reported, $said other lines; a later file is $last"
    [ "$count" -lt "$files" ] && count=fewer || count=all
    seen="$seen $name:$count/$said/$last"
    kill -9 "$watcher"
}
watched watchfiles python by-watchfiles.py
watched watchdog python by-watchdog.py
watched chokidar node by-chokidar.mjs
[ "$seen" = " watchfiles:fewer/0/reported watchdog:fewer/0/reported chokidar:all/0/reported" ] && verdict 0
verdict 1
