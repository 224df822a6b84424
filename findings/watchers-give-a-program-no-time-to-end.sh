#!/usr/bin/env bash
# Guess: a watcher that runs a program anew on changes asks the old one to end with SIGTERM, waits until it has ended, and does
#        the same when it is asked to end itself.
# Seen:  of nine, for a program that needs seven seconds to end, node --watch and watchmedo do so (watchmedo with SIGINT). On a
#        change nodemon ends it with SIGUSR2, so that its handlers of SIGTERM and SIGINT never run; tsx kills it after 5 s,
#        watchfiles too, hupper after 1 s. On SIGTERM onchange and entr end at once and leave it running, untold; node-dev
#        tells it, ends at once with 0, and leaves it; tsx kills it and ends with 0, watchfiles and hupper kill it.
# With:  nodemon 3.1.14, tsx 4.23.15, node-dev 8.0.0, onchange 7.1.0 (npm), Node 20, watchdog 7.1.0, watchfiles 1.3.0, hupper
#        1.12.1 (PyPI), entr 5.3 (Debian 12).
# Why:   work in hand is lost at a save although the program handles SIGTERM; after a stop the port may be held, for a moment
#        or for good, and the status says nothing of it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node
version_is Node "$(node -p 'process.versions.node.split(".")[0]')" 20
npm_install nodemon@3.1.14 tsx@4.23.15 node-dev@8.0.0 onchange@7.1.0
pip_install 'watchdog[watchmedo]==7.1.0' watchfiles==1.3.0 hupper==1.12.1
deb_install entr=5.3-1
PYTHON=python judge 110 <<'PY'
import shlex
import signal
from concurrent.futures import ThreadPoolExecutor

from wire import *

JS = """const fs = require('fs'); let ends = false
const log = text => fs.appendFileSync(process.env.LOG, process.pid + ' ' + text + '\\n')
for (const name of ['SIGTERM', 'SIGINT']) process.on(name, () => {
    log(name); if (!ends) { ends = true; setTimeout(() => { log('end'); process.exit(0) }, 7000) } })
setInterval(() => {}, 1000); log('start')
"""
PYTHON = """import os, signal, threading, time
def log(text):
    with open(os.environ['LOG'], 'a') as file: file.write(f'{os.getpid()} {text}\\n')
def stop(number, frame):
    log(signal.Signals(number).name)
    threading.Thread(target=lambda: (time.sleep(7), log('end'), os._exit(0)), daemon=True).start()
signal.signal(signal.SIGTERM, stop); signal.signal(signal.SIGINT, stop); log('start')
while True: time.sleep(1)
"""
WATCHERS = {  # (what the program hears at a change, its fate), (what it hears at SIGTERM, its fate, the watcher's status)
    "nodemon app.js": (("nothing", "killed"), ("SIGTERM", "ended", 143)),
    "tsx watch app.js": (("SIGTERM", "killed"), ("SIGTERM", "killed", 0)),
    "node --watch app.js": (("SIGTERM", "ended"), ("SIGTERM", "ended", 0)),
    "node-dev app.js": (("SIGTERM", "ended"), ("SIGTERM", "left", 0)),
    "onchange -i -k app.js -- node app.js": (("SIGTERM", "ended"), ("nothing", "left", -15)),
    "sh -c 'echo app.js | exec entr -n -r node app.js'": (("SIGTERM", "ended"), ("nothing", "left", -15)),
    "watchmedo auto-restart -p *.py -- python app.py": (("SIGINT", "ended"), ("SIGINT", "ended", 0)),
    "watchfiles 'python app.py' .": (("SIGINT", "killed"), ("SIGINT", "killed", 0)),
    "hupper -m app": (("SIGTERM", "killed"), ("SIGTERM", "killed", 247)),
}


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def watch(number, command):
    folder, log = f"project{number}", os.path.abspath(f"log{number}")
    os.mkdir(folder)
    app = f"{folder}/app.js" if "app.js" in command else f"{folder}/app.py"
    with open(app, "w") as file:
        file.write(JS if app.endswith("js") else PYTHON)
    open(log, "w").close()

    def lines():
        return [line.split() for line in open(log)]

    def starts():
        return [int(pid) for pid, text in lines() if text == "start"]

    def heard(pid):
        said = [text for one, text in lines() if int(one) == pid and text != "start"]
        return (said[0] if said and said[0] != "end" else "nothing"), "ended" if "end" in said else "killed"

    watcher = subprocess.Popen(shlex.split(command), cwd=folder, env={**os.environ, "LOG": log}, stdin=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        if not until(starts, 30):
            return None
        time.sleep(3)
        with open(app, "a") as file:
            file.write("\n")
        if not until(lambda: len(starts()) > 1, 20):
            return None
        time.sleep(2)
        changed = heard(starts()[0])
        last = starts()[-1]
        watcher.send_signal(signal.SIGTERM)
        try:
            status = watcher.wait(15)
        except subprocess.TimeoutExpired:
            status = None
        time.sleep(0.5)
        left = alive(last)
        said, fate = heard(last)
        return changed, (said, "left" if left else fate, status)
    finally:
        for pid in starts():
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        try:
            os.killpg(watcher.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


with ThreadPoolExecutor(4) as pool:
    seen = dict(zip(WATCHERS, pool.map(watch, range(len(WATCHERS)), WATCHERS)))
for command, facts in seen.items():
    show(f"{command}: at a change {facts and facts[0]}, at SIGTERM {facts and facts[1]}")
finish(*((seen[command] == expected, command) for command, expected in WATCHERS.items()))
PY
