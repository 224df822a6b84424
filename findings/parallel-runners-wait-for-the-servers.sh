#!/usr/bin/env bash
# Guess: a runner of several commands at once ends the others when one fails, as a failed build ends a pipeline, and fails itself.
# Seen:  of eleven honcho, run-p and `concurrently -k` do. Seven wait until the other command has ended by itself, for ever if
#        it is a server, and show their status (1, 3, 2, 201, 123, 1, 1) only then: concurrently, just's [parallel], make -j,
#        go-task's deps, xargs -P, GNU parallel and wireit. hivemind ends the other at once, and exits with 0.
#        A command that is killed by a signal makes `xargs -P` leave at once, with 125, and the other keeps running.
# With:  honcho 2.0.0, rust-just 1.59.0, go-task-bin 3.54.0 (PyPI), concurrently 9.2.5, npm-run-all2 8.0.4, wireit 0.14.13 (npm),
#        hivemind 1.1.0 (Go), GNU Make 4.3, findutils 4.9.0 and GNU parallel 20221122 of Debian 12.
# Why:   "api" has failed and its runner, started as one service, is up for ever with "web" alone; only its output says so. A
#        restart on failure never comes, and for hivemind the failure is a success.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need make xargs perl
version_is findutils "$(xargs --version | awk 'NR == 1 {print $NF}')" 4.9.0
version_is make "$(make --version | awk 'NR == 1 {print $NF}')" 4.3
deb_install parallel=20221122+ds-2
pip_install honcho==2.0.0 rust-just==1.59.0 go-task-bin==3.54.0
npm_install concurrently@9.2.5 npm-run-all2@8.0.4 wireit@0.14.13
go_install github.com/DarthSim/hivemind@v1.1.0
mkdir -p .parallel && touch .parallel/will-cite
cat >api.sh <<'CMD'
sleep 1
[ "$1" = fail ] && exit 3
kill -9 $$
CMD
cat >web.sh <<'CMD'
echo $$ >web.new
mv web.new web.pid
for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.5; done
touch web.done
CMD
cat >package.json <<'JSON'
{"private": true,
 "scripts": {"api": "sh api.sh fail", "web": "sh web.sh", "all": "wireit", "w-api": "wireit", "w-web": "wireit"},
 "wireit": {"all": {"dependencies": ["w-api", "w-web"]}, "w-api": {"command": "sh api.sh fail"}, "w-web": {"command": "sh web.sh"}}}
JSON
printf 'api: sh api.sh fail\nweb: sh web.sh\n' >Procfile
printf '[parallel]\nall: api web\napi:\n    @sh api.sh fail\nweb:\n    @sh web.sh\n' >justfile
printf 'all: api web\napi:\n\t@sh api.sh fail\nweb:\n\t@sh web.sh\n' >Makefile
printf 'version: "3"\ntasks:\n  all:\n    deps: [api, web]\n  api: sh api.sh fail\n  web: sh web.sh\n' >Taskfile.yml
printf 'api.sh fail\nweb.sh\n' >list
printf 'api.sh die\nweb.sh\n' >list-die
judge 400 <<'PY'
from pathlib import Path

from wire import *

RUNNERS = {  # its status, and what became of the other command
    "honcho start": (3, "ended by it"),
    "npm-run-all2 -p api web": (1, "ended by it"),
    "concurrently -k 'sh api.sh fail' 'sh web.sh'": (1, "ended by it"),
    "hivemind Procfile": (0, "ended by it"),
    "concurrently 'sh api.sh fail' 'sh web.sh'": (1, "waited for"),
    "just all": (3, "waited for"),
    "make -j2 all": (2, "waited for"),
    "task all": (201, "waited for"),
    "xargs -P2 -L1 sh <list": (123, "waited for"),
    "parallel -j2 ::: 'sh api.sh fail' 'sh web.sh'": (1, "waited for"),
    "npm run all": (1, "waited for"),
    "xargs -P2 -L1 sh <list-die": (125, "left running"),
}


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


facts = []
for command, expected in RUNNERS.items():
    for name in ("web.pid", "web.done"):
        Path(name).unlink(missing_ok=True)
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        status = process.wait(40)
    except subprocess.TimeoutExpired:
        status = None
    deadline = time.monotonic() + 1
    pid = int(Path("web.pid").read_text()) if Path("web.pid").exists() else 0
    while lives(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    other = "waited for" if Path("web.done").exists() else "left running" if pid and lives(pid) else "ended by it"
    show(f"{command}: status {status}, the other command is {other}")
    facts.append(((status, other) == expected, f"{command}: {status}, {other}"))
    if other == "left running":
        os.kill(pid, 9)
finish(*facts)
PY
