#!/usr/bin/env bash
# Guess: a second server on a Unix socket that a running one listens on is refused, as on a port; a socket that a killed server left
#        does not keep the next one from starting; a server that stops removes its own socket, not another's.
# Seen:  of 24, fifteen take the path of the running one, without a word in either log: Redis, memcached, mosquitto, haproxy, caddy,
#        rsyslog, beanstalkd, unbound, asyncio, aiohttp, uvicorn, gunicorn, hypercorn, waitress and circusd. The first one keeps
#        running, without a client. When it is stopped, Redis, mosquitto, caddy, rsyslog and gunicorn remove the second one's socket:
#        that one runs on, and no one can reach it. Nine refuse; of these nginx, Node, socat, stunnel and ssh-agent
#        refuse a socket left by a killed server as well. lighttpd, tmux, daphne and supervisord alone do both as guessed.
# With:  Redis 7.0.15, memcached 1.6.18, mosquitto 2.0.11, haproxy 2.6.12, caddy 2.6.2, rsyslog 8.2302.0, beanstalkd 1.12, unbound
#        1.17.1, nginx 1.22.1, lighttpd 1.4.69, socat 1.7.4.4, stunnel 5.68, tmux 3.3a, OpenSSH 9.2 (Debian 12), Node 20, CPython 3.11's
#        asyncio, aiohttp 3.14.5, uvicorn 0.54.0, gunicorn 27.0.1, hypercorn 0.18.0, waitress 3.0.2, circus 0.19.0, daphne 4.2.3,
#        supervisor 4.3.0 (PyPI), as root.
# Why:   a restart that begins the new server before the old one has ended leaves a service that is running and cannot be reached;
#        a second checkout with the same path takes the first one's clients.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || unable "needs root, as which memcached and mosquitto are started"
need node ssh-agent
version_is Node "$(node -p 'process.versions.node.split(".")[0]')" 20
version_is Python "$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')" 3.11
version_is OpenSSH "$(ssh -V 2>&1 | grep -o '^OpenSSH_[0-9.]*')" OpenSSH_9.2
pip_install uvicorn==0.54.0 gunicorn==27.0.1 hypercorn==0.18.0 waitress==3.0.2 daphne==4.2.3 aiohttp==3.14.5 \
    circus==0.19.0 supervisor==4.3.0
deb_install redis-server=5:7.0.15-1~deb12u10 redis-tools=5:7.0.15-1~deb12u10 memcached=1.6.18-1+deb12u1 mosquitto=2.0.11-1.2+deb12u2 \
    haproxy=2.6.12-1+deb12u4 caddy=2.6.2-5 rsyslog=8.2302.0-1+deb12u2 beanstalkd=1.12-2+b1 unbound=1.17.1-2+deb12u4 \
    nginx=1.22.1-9+deb12u11 lighttpd=1.4.69-1 socat=1.7.4.4-2 stunnel4=3:5.68-2+deb12u1 tmux=3.3a-3 liblzf1 libjemalloc2 \
    libevent-2.1-7 libevent-core-2.1-7 libutempter0 libwebsockets17 libcjson1 libev4 libdlt2 libprotobuf-c1 libwrap0 liblua5.3-0 liblua5.4-0 \
    libatomic1 libpython3.11 libopentracing-c-wrapper0 libestr0 libfastjson4 liblognorm5
chmod 755 "$WORK"
PYTHON=python judge 175 <<'PY'
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wire import *

W = os.environ["WORK"]
TEXTS = {
    "app.py": "async def app(scope, receive, send):\n    if scope['type'] == 'lifespan':\n        while True:\n            kind = (await receive())['type']\n"
              "            await send({'type': kind + '.complete'})\n            if kind == 'lifespan.shutdown':\n                return\n",
    "wsgi.py": "def app(environ, start):\n    start('200 OK', [])\n    return [b'']\n",
    "on_aiohttp.py": "import sys\nfrom aiohttp import web\nweb.run_app(web.Application(), path=sys.argv[1])\n",
    "on_asyncio.py": "import asyncio, sys\nasync def main():\n    server = await asyncio.start_unix_server(lambda reader, writer: writer.close(), sys.argv[1])\n"
                     "    await server.serve_forever()\nasyncio.run(main())\n",
    "on_node.js": "require('net').createServer(peer => peer.end()).listen(process.argv[2])\nprocess.on('SIGTERM', () => process.exit(0))\n",
}
for file, text in TEXTS.items():
    Path(file).write_text(text)
TEMP = " ".join(f"{name}_temp_path {W}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
SERVERS = {  # name: (command, text of its configuration file); {s} socket, {n} 1 or 2, {c} the configuration file
    "Redis": ("redis-server --port 0 --save '' --unixsocket {s}", ""),
    "memcached": ("memcached -u root -s {s}", ""),
    "mosquitto": ("mosquitto -c {c}", "user root\nallow_anonymous true\nlistener 0 {s}\n"),
    "haproxy": ("haproxy -db -f {c}", "defaults\n mode http\n timeout client 9s\n timeout server 9s\n timeout connect 9s\nlisten a\n bind unix@{s}\n"),
    "caddy": ("caddy run --adapter caddyfile --config {c}", "{{\n admin off\n auto_https off\n}}\nhttp:// {{\n bind unix/{s}\n respond hello\n}}\n"),
    "rsyslog": ("rsyslogd -n -i {W}/rsyslog{n}.pid -f {c}",
                'module(load="imuxsock" SysSock.Use="off")\ninput(type="imuxsock" Socket="{s}")\naction(type="omfile" file="{W}/all.log")\n'),
    "beanstalkd": ("beanstalkd -l unix:{s}", ""),
    "unbound": ("unbound -d -c {c}",
                'server:\n interface: 127.0.0.1@{p}\n use-syslog: no\n logfile: ""\n pidfile: ""\n chroot: ""\n username: ""\n directory: "{W}"\n'
                "remote-control:\n control-enable: yes\n control-interface: {s}\n control-use-cert: no\n"),
    "nginx": ("nginx -p {W} -c {c}", "daemon off; pid {W}/nginx{n}.pid; error_log stderr; events {{}} http {{ access_log off; {T} server {{ listen unix:{s}; }} }}"),
    "lighttpd": ("lighttpd -D -m {W}/deb/usr/lib/lighttpd -f {c}", 'server.document-root = "{W}"\nserver.bind = "{s}"\n'),
    "socat": ("socat UNIX-LISTEN:{s},fork EXEC:/bin/cat", ""),
    "stunnel": ("stunnel4 {c}", "foreground = yes\npid =\n[a]\nclient = yes\naccept = {s}\nconnect = 127.0.0.1:1\n"),
    "tmux": ("tmux -S {s} -D", ""),
    "ssh-agent": ("ssh-agent -D -a {s}", ""),
    "Node": ("node on_node.js {s}", ""),
    "asyncio": ("python on_asyncio.py {s}", ""),
    "aiohttp": ("python on_aiohttp.py {s}", ""),
    "uvicorn": ("uvicorn --uds {s} app:app", ""),
    "gunicorn": ("gunicorn --no-control-socket -b unix:{s} wsgi:app", ""),
    "hypercorn": ("hypercorn -b unix:{s} app:app", ""),
    "waitress": ("waitress-serve --unix-socket={s} wsgi:app", ""),
    "daphne": ("daphne -u {s} app:app", ""),
    "circusd": ("circusd {c}", "[circus]\nendpoint = ipc://{s}\npubsub_endpoint = ipc://{s}.published{n}\n"),
    "supervisord": ("supervisord -n -c {c}", "[unix_http_server]\nfile={s}\n[supervisord]\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={W}/supervisor{n}.pid\n"
                    "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"),
}
DEBIAN = list(SERVERS)[:13]
REFUSE_BOTH = ("nginx", "Node", "socat", "stunnel", "ssh-agent")
AS_GUESSED = ("lighttpd", "tmux", "daphne", "supervisord")
REMOVE = ("Redis", "mosquitto", "caddy", "rsyslog", "gunicorn")


def start(name, path, number):
    command, text = SERVERS[name]
    words = {"s": path, "n": number, "c": f"{W}/{name}{number}.conf", "W": W, "T": TEMP, "p": free_port()}
    Path(words["c"]).write_text(text.format(**words))
    env = {key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH" or name in DEBIAN}
    env["RSYSLOG_MODDIR"] = f"{W}/deb/usr/lib/{os.uname().machine}-linux-gnu/rsyslog"
    with open(f"{name}{number}.out", "wb") as out:
        return subprocess.Popen(["sh", "-c", "exec " + command.format(**words)], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, start_new_session=True)


def end(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def reachable(path):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, kind) as peer:
            peer.settimeout(2)
            try:
                peer.connect(path)
            except OSError:
                continue
            return True
    return False


def identity(path):
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def life(name):
    path = f"{W}/{name}.sock"
    first = start(name, path, 1)
    if not until(lambda: reachable(path), 30):
        print(f"  {name} did not come up")
        return None
    end(first)
    until(lambda: not reachable(path), 10)  # its workers have ended, too
    first = start(name, path, 1)
    until(lambda: reachable(path) or first.poll() is not None, 30)
    stale = "starts" if first.poll() is None and reachable(path) else "ends"
    if stale == "ends":
        end(first)
        Path(path).unlink()
        first = start(name, path, 1)
        until(lambda: reachable(path), 30)
    before = identity(path)
    second = start(name, path, 2)
    until(lambda: second.poll() is not None or identity(path) not in (before, None), 15)
    until(lambda: second.poll() is not None, 1.5)
    status = second.poll()
    if status is None:
        taken = identity(path) not in (before, None) and reachable(path) and first.poll() is None
        first.terminate()
        until(lambda: first.poll() is not None, 15)
        until(lambda: not reachable(path), 0.5)
        second_one = ("takes it" if taken else "stays") + (", and is out of reach when the first one stops" if not reachable(path) else "")
        if second.poll() is not None:
            second_one += " and ends"
    else:
        second_one = "is refused" if status != 0 and reachable(path) and identity(path) == before else f"ends with {status}"
    end(first)
    end(second)
    return stale, second_one


with ThreadPoolExecutor(2) as pool:
    seen = dict(zip(SERVERS, pool.map(life, SERVERS)))
if None in seen.values():
    raise SystemExit(2)
facts = []
for name, (stale, second) in seen.items():
    show(f"{name}: with a socket that was left it {stale}; a second one {second}")
    expected = ("ends" if name in REFUSE_BOTH else "starts",
                "is refused" if name in REFUSE_BOTH + AS_GUESSED else "takes it" + (", and is out of reach when the first one stops" if name in REMOVE else ""))
    facts.append(((stale, second) == expected, name))
finish(*facts)
PY
