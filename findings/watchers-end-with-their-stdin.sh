#!/usr/bin/env bash
# Guess: a development server or watcher whose standard input is /dev/null, as under a supervisor, runs until it is stopped.
# Seen:  of twelve, `esbuild --serve`, `esbuild --watch`, `rollup -w` and `tailwindcss --watch` end with 0 once their input is at its end,
#        after a first build that succeeded; rollup and Tailwind say nothing about it, and Tailwind has written nothing yet. With a pipe
#        that stays open they run, and end when it closes. vite, webpack, parcel, sass, tsc, nodemon, chokidar-cli and Eleventy run.
# With:  esbuild 0.28.2, rollup 4.68.8, @tailwindcss/cli 4.3.5, vite 8.4.0, webpack 5.113.0 with webpack-cli 7.3.1, parcel 2.16.4, sass
#        1.108.2, typescript 5.9.3, nodemon 3.1.14, chokidar-cli 3.0.0, @11ty/eleventy 3.1.8 (npm), Node 20.
# Why:   what runs in a terminal "has finished" under cron, nohup, systemd or a container, with a status that says success; a supervisor
#        has to keep a pipe open, or pass the flag that each names differently.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node
version_is Node "$(node -p 'process.versions.node.split(".")[0]')" 20
npm_install esbuild@0.28.2 rollup@4.68.8 @tailwindcss/cli@4.3.5 tailwindcss@4.3.5 vite@8.4.0 webpack@5.113.0 webpack-cli@7.3.1 parcel@2.16.4 sass@1.108.2 typescript@5.9.3 nodemon@3.1.14 chokidar-cli@3.0.0 @11ty/eleventy@3.1.8
mkdir site
echo '<p>hello</p>' >site/index.html
echo 'export const a = 1' >site/a.js
echo 'a { color: red }' >site/a.css
judge 120 <<'PY'
import signal
from concurrent.futures import ThreadPoolExecutor

from wire import *

END = ("esbuild --serve=127.0.0.1:0 --servedir=site", "esbuild site/a.js --watch --outfile=out/1.js", "rollup -w site/a.js -o out/2.js",
       "tailwindcss -i site/a.css -o out/3.css --watch")
RUN = ("vite --port 0 site", "webpack --watch --mode development --entry ./site/a.js -o out/4", "parcel watch site/index.html --dist-dir out/5 --cache-dir out/6",
       "sass --watch site/a.css:out/7.css", "tsc --watch --outDir out/8 --allowJs site/a.js", "nodemon -w site site/a.mjs",
       "chokidar site -c true", "eleventy --watch --input=site --output=out/9")
open("site/a.mjs", "w").write("setInterval(() => {}, 1000)")


def fate(process, seconds):
    try:
        return f"ends with {process.wait(seconds)}"
    except subprocess.TimeoutExpired:
        return "runs"


def life(command):
    log = open(f"{command.split()[0]}.log", "w+")
    seen = []
    for stdin in (subprocess.DEVNULL, subprocess.PIPE):
        process = subprocess.Popen(command.split(), stdin=stdin, stdout=log, stderr=log, start_new_session=True)
        seen.append(fate(process, 10 if stdin == subprocess.DEVNULL else 6))
        if stdin == subprocess.PIPE:
            process.stdin.close()
            seen.append(fate(process, 5))
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    return tuple(seen)


with ThreadPoolExecutor(4) as pool:
    seen = dict(zip(END + RUN, pool.map(life, END + RUN)))
for command, (null, opened, closed) in seen.items():
    show(f"{command}: with /dev/null {null}; with an open pipe {opened}, once it is closed {closed}")
finish(*((seen[command] == (("ends with 0", "runs", "ends with 0") if command in END else ("runs",) * 3), command) for command in END + RUN))
PY
