#!/usr/bin/env bash
# Guess: a server whose Unix socket has a longer path than the 107 bytes that Linux allows fails, as bind(2) cannot be called.
# Seen:  of eleven, memcached, unbound and Node listen on the first 107 bytes of the path (Node on 108), print nothing about it, and
#        are not to be found at the path that they were given. Two paths that differ in what follows are one: a second memcached or
#        program of Node finds its address in use. A memcached that was killed does not start again, as it looks for what it left at the
#        whole path. A client in Node cuts likewise and connects, while curl and Python refuse the path. Redis, mosquitto, nginx,
#        haproxy, caddy, lighttpd, socat and uvicorn fail.
# With:  memcached 1.6.18, unbound 1.17.1, Redis 7.0.15, mosquitto 2.0.11, nginx 1.22.1, haproxy 2.6.12, caddy 2.6.2, lighttpd 1.4.69, socat
#        1.7.4.4 (Debian 12), uvicorn 0.54.0 (PyPI), Node 20, as root.
# Why:   worktrees, temp folders of tests and home folders of networks are that deep; two checkouts with the same beginning share a socket,
#        and a health check of the path fails for a server that runs.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || unable "needs root, as which memcached and mosquitto are started"
need node curl
version_is Node "$(node -p 'process.versions.node.split(".")[0]')" 20
pip_install uvicorn==0.54.0
deb_install memcached=1.6.18-1+deb12u1 unbound=1.17.1-2+deb12u4 redis-server=5:7.0.15-1~deb12u10 redis-tools=5:7.0.15-1~deb12u10 \
    mosquitto=2.0.11-1.2+deb12u2 nginx=1.22.1-9+deb12u11 haproxy=2.6.12-1+deb12u4 caddy=2.6.2-5 lighttpd=1.4.69-1 socat=1.7.4.4-2 liblzf1 \
    libjemalloc2 libevent-2.1-7 libwebsockets17 libcjson1 libev4 libdlt2 libprotobuf-c1 libwrap0 liblua5.3-0 liblua5.4-0 libatomic1 \
    libpython3.11 libopentracing-c-wrapper0
PYTHON=python judge 110 <<'PY'
import signal
import socket
from pathlib import Path

from wire import *

W = os.environ["WORK"]
DEEP = Path(W, "deep")
while len(str(DEEP)) < 98:
    DEEP = DEEP / "a"
DEEP.mkdir(parents=True)
BASE = f"{DEEP}/".ljust(110, "s")
Path("app.py").write_text("async def app(scope, receive, send):\n    pass\n")
Path("on_node.js").write_text("require('http').createServer((_, answer) => answer.end('hello')).listen(process.argv[2])\n")
TEMP = " ".join(f"{name}_temp_path {W}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
SERVERS = {
    "memcached": ("memcached -u root -s {s}", ""),
    "unbound": ("unbound -d -c {c}",
                'server:\n interface: 127.0.0.1@{p}\n use-syslog: no\n logfile: ""\n pidfile: ""\n chroot: ""\n username: ""\n directory: "{W}"\n'
                "remote-control:\n control-enable: yes\n control-interface: {s}\n control-use-cert: no\n"),
    "Node": ("node on_node.js {s}", ""),
    "Redis": ("redis-server --port 0 --save '' --unixsocket {s}", ""),
    "mosquitto": ("mosquitto -c {c}", "user root\nallow_anonymous true\nlistener 0 {s}\n"),
    "nginx": ("nginx -p {W} -c {c}", "daemon off; pid {W}/nginx.pid; error_log stderr; events {{}} http {{ access_log off; {T} server {{ listen unix:{s}; }} }}"),
    "haproxy": ("haproxy -db -f {c}", "defaults\n mode http\n timeout client 9s\n timeout server 9s\n timeout connect 9s\nlisten a\n bind unix@{s}\n"),
    "caddy": ("caddy run --adapter caddyfile --config {c}", "{{\n admin off\n auto_https off\n}}\nhttp:// {{\n bind unix/{s}\n respond hello\n}}\n"),
    "lighttpd": ("lighttpd -D -m {W}/deb/usr/lib/lighttpd -f {c}", 'server.document-root = "{W}"\nserver.bind = "{s}"\n'),
    "socat": ("socat UNIX-LISTEN:{s},fork EXEC:/bin/cat", ""),
    "uvicorn": ("uvicorn --uds {s} app:app", ""),
}
CUT = {"memcached": 107, "unbound": 107, "Node": 108}


def start(name, path):
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    command, text = SERVERS[name]
    words = {"s": path, "c": f"{W}/{name}.conf", "W": W, "T": TEMP, "p": port}
    Path(words["c"]).write_text(text.format(**words))
    env = {key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH" or name not in ("Node", "uvicorn")}
    with open(f"{name}.out", "ab") as out:
        return subprocess.Popen(["sh", "-c", "exec " + command.format(**words)], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, start_new_session=True)


def end(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def sockets():
    return [str(path) for path in DEEP.iterdir() if path.is_socket()]


def clear():
    for path in sockets():
        os.unlink(path)


facts = []
for name in SERVERS:
    process = start(name, BASE + "one.sock")
    until(lambda: process.poll() is not None or sockets(), 20)
    until(lambda: process.poll() is not None, 1)
    status, found = process.poll(), sockets()
    seen = f"listens on {len(found[0])} bytes" if status is None and found else f"ends with {status}"
    show(f"{name}: {seen}")
    facts.append((seen == f"listens on {CUT[name]} bytes" and BASE.startswith(found[0]) if name in CUT else status not in (None, 0), f"{name}: {seen}"))
    if name == "Node":
        second = start(name, BASE + "two.sock")
        until(lambda: second.poll() is not None, 10)
        taken = "EADDRINUSE" in Path("Node.out").read_text()
        code = f"require('http').get({{socketPath: '{BASE}one.sock'}}, answer => answer.pipe(process.stdout)).on('error', error => console.log(error.code))"
        client = subprocess.run(["node", "-e", code], capture_output=True, text=True, timeout=20).stdout
        clean = {key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH"}
        curl = subprocess.run(["curl", "-s", "-m", "5", "--unix-socket", BASE + "one.sock", "http://here/"], env=clean, stdout=subprocess.DEVNULL).returncode
        try:
            socket.socket(socket.AF_UNIX).connect(BASE + "one.sock")
            python = "connects"
        except OSError as error:
            python = str(error)
        show(f"a second server in Node, of another path: {'address in use' if taken else 'no such error'}; a client in Node: {client}; curl: status {curl}; Python: {python}")
        facts += [(taken, "in use"), (client == "hello", client), (curl != 0, "curl"), ("too long" in python, python)]
        end(second)
    if name == "memcached":
        second = start(name, BASE + "two.sock")
        until(lambda: second.poll() is not None, 10)
        end(process)
        again = start(name, BASE + "one.sock")
        until(lambda: again.poll() is not None, 10)
        show(f"a second memcached, of another path: status {second.poll()}; the first one again, after kill -9: status {again.poll()}; "
             f"{Path('memcached.out').read_text().strip()[-120:].splitlines()[0]}")
        facts.append((second.poll() not in (None, 0) and again.poll() not in (None, 0), "memcached is refused"))
        for other in (second, again):
            end(other)
    end(process)
    clear()
finish(*facts)
PY
