#!/usr/bin/env bash
# Guess: a server of static files whose folder does not exist, because it is misspelled or not built yet, fails.
# Seen:  seven of ten start, listen and stay: Python's http.server, serve, http-server, live-server, caddy and webfs answer
#        404, rclone answers 200 with an empty list. sirv, mini_httpd and busybox end with 1.
# With:  Python 3.11, serve 14.2.7, http-server 14.1.1, live-server 1.2.2, sirv-cli 3.0.1 (npm), caddy 2.6.2, webfs 1.21,
#        mini-httpd 1.30, busybox 1.35.0, rclone 1.60.1 (Debian 12).
# Why:   "the port accepts" and, with rclone, "it answers 200" are true of a server with nothing to serve; a readiness check
#        has to ask for a file.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
version_is Python "$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')" 3.11
npm_install serve@14.2.7 http-server@14.1.1 live-server@1.2.2 sirv-cli@3.0.1
deb_install caddy=2.6.2-5 webfs=1.21+ds1-12+b1 mini-httpd=1.30-3 busybox=1:1.35.0-4+deb12u1+b1 rclone=1.60.1+dfsg-2+b5
judge 110 <<'PY'
import socket
import urllib.error
import urllib.request

from wire import *

SERVERS = {
    "python3 -m http.server -d FOLDER --bind 127.0.0.1 PORT": 404,
    "serve --no-port-switching -l tcp://127.0.0.1:PORT FOLDER": 404,
    "http-server FOLDER -a 127.0.0.1 -p PORT": 404,
    "live-server FOLDER --host=127.0.0.1 --port=PORT --no-browser": 404,
    "caddy file-server --root FOLDER --listen 127.0.0.1:PORT": 404,
    "webfsd -F -i 127.0.0.1 -p PORT -r FOLDER": 404,
    "rclone serve http FOLDER --addr 127.0.0.1:PORT": 200,
    "sirv FOLDER --host 127.0.0.1 --port PORT": "status 1",
    "mini_httpd -D -h 127.0.0.1 -p PORT -d FOLDER": "status 1",
    "busybox httpd -f -p 127.0.0.1:PORT -h FOLDER": "status 1",
}
environment = {**os.environ, "PATH": os.environ["PATH"] + ":" + os.environ["WORK"] + "/deb/bin"}


def answer(process, port):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return f"status {process.returncode}"
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            time.sleep(0.1)
    return "none"


facts = []
for command, expected in SERVERS.items():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    argv = command.replace("PORT", str(port)).replace("FOLDER", os.environ["WORK"] + "/not-built").split()
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    seen = answer(process, port)
    show(f"{command}: {seen}")
    facts.append((seen == expected, command))
    process.kill()
    process.wait()
finish(*facts, (not os.path.exists("not-built"), "the folder was made"))
PY
