#!/usr/bin/env bash
# Guess: a development server ignores a PORT of the environment that no one meant for it, or takes it as its default port alone; an
#        option on its command line decides in any case.
# Seen:  of thirteen six take PORT. sirv takes it although `--port` names another, and HOST although `--host` does: with HOST=0.0.0.0
#        `sirv --host 127.0.0.1` is open to the network. gunicorn does not only change its port for PORT, but goes from
#        127.0.0.1 to 0.0.0.0. serve, http-server, live-server and servor change the port, and an option wins.
#        json-server, vite, uvicorn, hypercorn, waitress, granian and flask ignore PORT.
# With:  serve 14.2.7, http-server 14.1.1, live-server 1.2.2, sirv-cli 3.0.1, servor 4.0.2, json-server 0.17.4, vite 8.4.0 (npm),
#        gunicorn 27.0.1, uvicorn 0.54.0, hypercorn 0.18.0, waitress 3.0.2, granian 2.8.9, flask 3.1.3 (PyPI).
# Why:   PORT is inherited from Procfile runners, from hosting and IDE terminals, and from a parent that is itself such a service: a
#        second server then wants its parent's port, and a probe of the port in its command finds nothing. Whoever starts one
#        has to set PORT and HOST to what the command says, or to remove them.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install serve@14.2.7 http-server@14.1.1 live-server@1.2.2 sirv-cli@3.0.1 servor@4.0.2 json-server@0.17.4 vite@8.4.0
pip_install gunicorn==27.0.1 uvicorn==0.54.0 hypercorn==0.18.0 waitress==3.0.2 granian==2.8.9 flask==3.1.3 psutil==7.2.2
mkdir www
echo '<h1>here</h1>' >www/index.html
echo '{"items": []}' >db.json
printf 'def app(environ, start_response):\n    start_response("200 OK", [])\n    return [b"here"]\n' >plain.py
printf 'async def app(scope, receive, send):\n    pass\n' >waiting.py
printf 'from flask import Flask\n\napp = Flask(__name__)\n' >flasks.py
unset PORT HOST
PYTHON=$WORK/venv/bin/python judge 240 "$(free_port)" "$(free_port)" <<'PY'
import signal
import sys

import psutil
from wire import *

variable, option = sys.argv[1:]
TAKES = {  # command, option, where it listens for PORT, where for PORT and the option
    "serve": ("serve www", f"-l {option}", f":::{variable}", f":::{option}"),
    "http-server": ("http-server www", f"-p {option}", f"0.0.0.0:{variable}", f"0.0.0.0:{option}"),
    "live-server": ("live-server --no-browser www", f"--port={option}", f"0.0.0.0:{variable}", f"0.0.0.0:{option}"),
    "servor": ("servor www", f"index.html {option}", f":::{variable}", f":::{option}"),
    "sirv": ("sirv www", f"--port {option}", f"127.0.0.1:{variable}", f"127.0.0.1:{variable}"),
    "gunicorn": ("gunicorn plain:app", f"-b 127.0.0.1:{option}", f"0.0.0.0:{variable}", f"127.0.0.1:{option}"),
}
IGNORES = ("json-server db.json", "vite www", "uvicorn waiting:app", "hypercorn waiting:app", "waitress-serve plain:app",
           "granian --interface asgi waiting:app", "flask --app flasks run")


def where(command, **environment):
    process = subprocess.Popen(command.split(), env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    deadline, found = time.monotonic() + 40, set()
    while not found and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
        for each in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
            try:
                found |= {f"{c.laddr.ip}:{c.laddr.port}" for c in each.net_connections("tcp") if c.status == "LISTEN"}
            except psutil.Error:
                pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    said = process.stderr.read().decode(errors="replace")
    if not found and any(words in said for words in ("EADDRINUSE", "in use")):
        print(f"  {command}: its default port is in use here")
        raise SystemExit(2)
    return " ".join(sorted(found))


facts = []
for name, (command, extra, with_variable, with_both) in TAKES.items():
    seen = where(command, PORT=variable), where(f"{command} {extra}", PORT=variable)
    show(f"{name}: PORT={variable}: {seen[0]}; with {extra}: {seen[1]}")
    facts.append((seen == (with_variable, with_both), f"{name}: {seen}"))
for command in IGNORES:
    seen = where(command, PORT=variable)
    show(f"{command}: PORT={variable}: {seen}")
    facts.append((seen != "" and not seen.endswith(f":{variable}"), f"{command}: {seen}"))
seen = where(f"sirv www --host 127.0.0.1 --port {option}", HOST="0.0.0.0")
show(f"sirv --host 127.0.0.1 with HOST=0.0.0.0: {seen}")
facts.append((seen == f"0.0.0.0:{option}", f"sirv, HOST: {seen}"))
finish(*facts)
PY
