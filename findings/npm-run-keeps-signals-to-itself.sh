#!/usr/bin/env bash
# Guess: `npm run dev` hands SIGTERM and SIGINT on to the program and ends with it.
# Seen:  SIGTERM ends npm at once with 143, and the program behind it never hears of it and runs on as an orphan. SIGINT
#        is worse: npm does not end, and the program gets nothing either, as npm relies on a terminal to send it to the
#        whole group. Sent to the process group, both reach the program, and npm ends.
# With:  npm 11.19.1 with Node 20 (npm itself from the registry, so that the version is the same everywhere).
# Why:   "stopped, status 143" while the port is still taken; who starts `npm run` must signal the group and look at the
#        port or the tree afterwards.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install npm@11.19.1
mkdir app && cd app
echo '{"name": "app", "version": "1.0.0", "scripts": {"dev": "node server.js"}}' >package.json
cat >server.js <<'JS'
const fs = require("fs");
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => { fs.appendFileSync("heard", signal + " "); process.exit(0); });
fs.writeFileSync("pid", String(process.pid));
setTimeout(() => {}, 60000);
JS
judge 90 <<'PY'
import signal

from wire import *


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def trial(number, group):
    for name in ("pid", "heard"):
        if os.path.exists(name):
            os.remove(name)
    npm = subprocess.Popen(["npm", "run", "dev"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 20
    while not (os.path.exists("pid") and open("pid").read()) and time.monotonic() < deadline:
        time.sleep(0.05)
    program = int(open("pid").read())
    time.sleep(0.3)
    (os.killpg if group else os.kill)(npm.pid, number)
    try:
        status = npm.wait(4)
    except subprocess.TimeoutExpired:
        status = "still there"
    time.sleep(0.5)
    seen = (status, alive(program), open("heard").read().strip() if os.path.exists("heard") else "")
    show(f"{signal.Signals(number).name} to {'the group' if group else 'npm'}: npm {seen[0]}, program alive {seen[1]}, it heard {seen[2]!r}")
    try:
        os.killpg(npm.pid, 9)
    except ProcessLookupError:
        pass
    npm.wait(5)
    return seen


term, interrupt = trial(signal.SIGTERM, False), trial(signal.SIGINT, False)
grouped = [trial(signal.SIGTERM, True), trial(signal.SIGINT, True)]
finish((term[0] in (143, -15) and term[1:] == (True, ""), "SIGTERM"), (interrupt == ("still there", True, ""), "SIGINT"),
       (all(not alive and heard for _, alive, heard in grouped), "signals to the group"))
PY
