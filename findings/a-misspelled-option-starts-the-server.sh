#!/usr/bin/env bash
# Guess: a server refuses an option that it does not know; of an option that is given twice the last one counts, as with getopt.
# Seen:  of twenty servers seven start with `--no-such-option`, on their default port: http-server, live-server, servor, sirv, json-server,
#        browser-sync and mountebank; live-server alone says a word of it. With the option for the port twice serve, gunicorn,
#        hypercorn and twistd listen on both; live-server takes the first; http-server, sirv, json-server, browser-sync and mountebank
#        end with a TypeError or RangeError about what they made of the two, a list. The last counts for nine.
# With:  http-server 14.1.1, live-server 1.2.2, servor 4.0.2, sirv-cli 3.0.1, json-server 0.17.4, browser-sync 3.0.4, mountebank 2.9.1, serve
#        14.2.7, vite 8.4.0, s3rver 3.7.1 (npm); gunicorn 27.0.1, hypercorn 0.18.0, uvicorn 0.54.0, granian 2.8.9, waitress 3.0.2, Twisted
#        26.10.0 (PyPI); Redis 7.0.15, memcached 1.6.18, caddy 2.6.2, websocketd 0.4.1 (Debian 12).
# Why:   `--prot 8081` is a server on 8080, where another one may be, or will want to be. A supervisor that adds `--port` to a command that
#        has one gets a server on both ports, on the wrong one, or none, depending on the program.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || unable "needs root, for memcached"
need node
npm_install http-server@14.1.1 live-server@1.2.2 servor@4.0.2 sirv-cli@3.0.1 json-server@0.17.4 browser-sync@3.0.4 mountebank@2.9.1 serve@14.2.7 \
    vite@8.4.0 s3rver@3.7.1
pip_install gunicorn==27.0.1 hypercorn==0.18.0 uvicorn==0.54.0 granian==2.8.9 waitress==3.0.2 Twisted==26.10.0 \
    psutil==7.2.2
deb_install redis-server=5:7.0.15-1~deb12u10 redis-tools=5:7.0.15-1~deb12u10 memcached=1.6.18-1+deb12u1 caddy=2.6.2-5 websocketd=0.4.1-1+b11 \
    liblzf1 libjemalloc2 libevent-2.1-7
mkdir www
echo '<h1>here</h1>' >www/index.html
echo '{"items": []}' >db.json
printf 'def app(environ, start_response):\n    start_response("200 OK", [])\n    return [b"here"]\n' >plain.py
printf 'async def app(scope, receive, send):\n    pass\n' >waiting.py
unset PORT HOST
PYTHON=$WORK/venv/bin/python judge 150 <<'PY'
import signal
import socket

import psutil
from wire import *

DEBIAN = ("redis-server", "memcached", "caddy", "websocketd")
SERVERS = {  # its command, where "…" is a place for options, the option for the port, which of two counts, its port after a misspelled one
    "http-server": ("http-server www …", "--port {}", "none", 8080),
    "live-server": ("live-server --no-browser …", "--port={}", "first", 8080),
    "servor": ("servor www index.html 8080 …", None, None, 8080),
    "sirv": ("sirv www …", "--port {}", "none", 8080),
    "json-server": ("json-server db.json …", "--port {}", "none", 3000),
    "browser-sync": ("browser-sync start --no-open --no-ui -s www …", "--port {}", "none", 3000),
    "mountebank": ("mb --pidfile mb.pid --logfile mb.log …", "--port {}", "none", 2525),
    "serve": ("serve www …", "--listen {}", "both", None),
    "vite": ("vite --strictPort www …", "--port {}", "last", None),
    "s3rver": ("s3rver -d buckets …", "--port {}", "last", None),
    "gunicorn": ("gunicorn --no-control-socket … plain:app", "-b 127.0.0.1:{}", "both", None),
    "hypercorn": ("hypercorn … waiting:app", "-b 127.0.0.1:{}", "both", None),
    "uvicorn": ("uvicorn … waiting:app", "--port {}", "last", None),
    "granian": ("granian --interface asgi … waiting:app", "--port {}", "last", None),
    "waitress": ("waitress-serve … plain:app", "--port={}", "last", None),
    "twistd": ("twistd -n --pidfile= web --path www …", "--listen=tcp:{}", "both", None),
    "Redis": ("redis-server --save '' …", "--port {}", "last", None),
    "memcached": ("memcached -u root -l 127.0.0.1 …", "-p {}", "last", None),
    "caddy": ("caddy file-server --root www …", "--listen 127.0.0.1:{}", "last", None),
    "websocketd": ("websocketd --address=127.0.0.1 … cat", "--port={}", "last", None),
}


def run(command, seconds=25):
    """The ports on which it listens, or its status and last words."""
    env = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH" or command.split()[0] in DEBIAN}
    with open("said", "wb") as out:
        process = psutil.Popen(["sh", "-c", "exec " + command], stdin=subprocess.PIPE, stdout=out, stderr=out, start_new_session=True, env=env)
    found, since, deadline = set(), None, time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < min(deadline, (since or deadline) + 1):
        time.sleep(0.1)
        for each in [process, *process.children(recursive=True)]:
            try:
                found |= {one.laddr.port for one in each.net_connections("tcp") if one.status == "LISTEN"}
            except psutil.Error:
                pass
        since = since or (time.monotonic() if found else None)
    status = process.poll()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    return (found if status is None else set()), status, open("said", errors="replace").read()


busy = [port for port in (8080, 3000, 2525) if not socket.socket().connect_ex(("127.0.0.1", port))]
if busy:
    print(f"  in use here: {busy}")
    raise SystemExit(2)
facts, counts, starts, refuse = [], {}, [], []
for name, (command, option, which, default) in SERVERS.items():
    if option:
        one, two = free_port(), free_port()
        ports, status, said = run(command.replace("…", f"{option} {option}".format(one, two)))
        seen = {(): "none", (one,): "first", (two,): "last"}.get(tuple(ports), "both" if ports == {one, two} else str(ports))
        if seen == "none":
            said = [line for line in said.splitlines() if "Error" in line and "[" in line] or said.splitlines()[-1:]
            show(f"{name} with two ports: status {status}, {said[0].strip()[:150]}")
        counts.setdefault(seen, []).append(name)
        facts.append((seen == which and (ports or status), f"{name} with two ports: {seen}"))
    ports, status, said = run(command.replace("…", "--no-such-option"))
    (starts if ports else refuse).append(name)
    facts.append((ports == {default} if default else not ports and bool(status), f"{name} with --no-such-option: {ports} {status}"))
    if ports:
        facts.append((("no-such" in said) == (name == "live-server"), f"{name} says: {said}"))
show(f"with --no-such-option start: {', '.join(starts)}; fail: {', '.join(refuse)}")
show("of two ports counts " + "; ".join(f"{which}: {', '.join(names)}" for which, names in counts.items()))
finish(*facts)
PY
