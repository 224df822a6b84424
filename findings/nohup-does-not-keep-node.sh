#!/usr/bin/env bash
# Guess: nohup keeps a program from a hangup, and a server that a script starts with `&` ends at SIGINT as it does in a terminal.
# Seen:  of nineteen, SIGHUP ends Node and socat although they were started with it ignored, as nohup does: Node sets every signal back to
#        its default. With SIGINT ignored, as a shell without job control starts what `&` puts into the background, nine are deaf to it:
#        http.server, waitress, daphne, haproxy, etcd, beanstalkd, Java, Go and Rust; Node, socat, Redis, memcached, mosquitto, caddy,
#        lighttpd, uvicorn, gunicorn and granian end. All end at a SIGINT that is not ignored.
# With:  Node 20, socat 1.7.4.4, Redis 7.0.15, memcached 1.6.18, mosquitto 2.0.11, caddy 2.6.2, lighttpd 1.4.69, haproxy 2.6.12, etcd
#        3.4.23, beanstalkd 1.12 (Debian 12), uvicorn 0.54.0, gunicorn 27.0.1, granian 2.8.9, waitress 3.0.2, daphne 4.2.3 (PyPI),
#        CPython 3.11, Java 17, Go 1.26, Rust.
# Why:   `nohup npm run dev &` over SSH is gone when the connection closes; a supervisor that ignores SIGINT, or was itself started with
#        `&` by a script, hands that down: its stop by SIGINT does nothing. What starts programs has to set signals back.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || unable "needs root, as which mosquitto and memcached are started"
need node go rustc java
version_is Node "$(node -p 'process.versions.node.split(".")[0]')" 20
version_is Python "$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')" 3.11
pip_install uvicorn==0.54.0 gunicorn==27.0.1 granian==2.8.9 waitress==3.0.2 daphne==4.2.3
deb_install socat=1.7.4.4-2 redis-server=5:7.0.15-1~deb12u10 redis-tools=5:7.0.15-1~deb12u10 memcached=1.6.18-1+deb12u1 \
    mosquitto=2.0.11-1.2+deb12u2 caddy=2.6.2-5 lighttpd=1.4.69-1 haproxy=2.6.12-1+deb12u4 etcd-server=3.4.23-4+b4 beanstalkd=1.12-2+b1 \
    liblzf1 libjemalloc2 libevent-2.1-7 libwebsockets17 libcjson1 libev4 libdlt2 libwrap0 liblua5.3-0 \
    liblua5.4-0 libatomic1 libopentracing-c-wrapper0
cat >app.py <<'PY'
async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": kind + ".complete"})
            if kind == "lifespan.shutdown":
                return


def wsgi(environ, start):
    start("200 OK", [])
    return [b""]
PY
echo "require('http').createServer((_, answer) => answer.end()).listen(+process.argv[2], '127.0.0.1')" >app.js
mkdir program
cat >program/main.go <<'GO'
package main

import (
	"net/http"
	"os"
)

func main() { http.ListenAndServe("127.0.0.1:"+os.Args[1], nil) }
GO
(cd program && export HOME="$USER_HOME" && go mod init program && go build -buildvcs=false -o ../in-go .) >go.log 2>&1 || unable "the program in Go"
cat >main.rs <<'RS'
fn main() {
    let port = std::env::args().nth(1).unwrap();
    for peer in std::net::TcpListener::bind(format!("127.0.0.1:{port}")).unwrap().incoming() {
        drop(peer);
    }
}
RS
HOME="$USER_HOME" rustc -o in-rust main.rs || unable "the program in Rust"
cat >Main.java <<'JAVA'
import java.net.*;

class Main {
    public static void main(String[] args) throws Exception {
        var server = new ServerSocket(Integer.parseInt(args[0]), 5, InetAddress.getByName("127.0.0.1"));
        while (true) server.accept().close();
    }
}
JAVA
PYTHON=python judge 150 <<'PY'
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wire import *

W = os.environ["WORK"]
SERVERS = {  # name: (command, text of its configuration file, what becomes of it with SIGHUP ignored, with SIGINT ignored)
    "Node": ("node app.js {p}", "", "ends", "ends"),
    "socat": ("socat TCP-LISTEN:{p},bind=127.0.0.1,fork,reuseaddr EXEC:/bin/cat", "", "ends", "ends"),
    "http.server": ("python -m http.server --bind 127.0.0.1 {p}", "", "stays", "stays"),
    "waitress": ("waitress-serve --listen=127.0.0.1:{p} app:wsgi", "", "stays", "stays"),
    "daphne": ("daphne -p {p} app:asgi", "", "stays", "stays"),
    "haproxy": ("haproxy -db -f {c}", "defaults\n mode http\n timeout client 9s\n timeout server 9s\n timeout connect 9s\nlisten a\n bind 127.0.0.1:{p}\n", "stays", "stays"),
    "etcd": ("etcd --data-dir {d} --listen-client-urls http://127.0.0.1:{p} --advertise-client-urls http://127.0.0.1:{p}"
             " --listen-peer-urls http://127.0.0.1:0", "", "stays", "stays"),
    "beanstalkd": ("beanstalkd -l 127.0.0.1 -p {p}", "", "stays", "stays"),
    "Java": ("java Main.java {p}", "", "stays", "stays"),
    "Go": ("./in-go {p}", "", "stays", "stays"),
    "Rust": ("./in-rust {p}", "", "stays", "stays"),
    "Redis": ("redis-server --bind 127.0.0.1 --port {p} --save ''", "", "stays", "ends"),
    "memcached": ("memcached -u root -l 127.0.0.1:{p}", "", "stays", "ends"),
    "mosquitto": ("mosquitto -c {c}", "user root\nallow_anonymous true\nlistener {p} 127.0.0.1\n", "stays", "ends"),
    "caddy": ("caddy run --adapter caddyfile --config {c}", "{{\n admin off\n auto_https off\n}}\nhttp://127.0.0.1:{p} {{\n respond hello\n}}\n", "stays", "ends"),
    "lighttpd": ("lighttpd -D -m {W}/deb/usr/lib/lighttpd -f {c}", 'server.document-root = "{W}"\nserver.bind = "127.0.0.1"\nserver.port = {p}\n', "stays", "ends"),
    "uvicorn": ("uvicorn --port {p} app:asgi", "", "stays", "ends"),
    "gunicorn": ("gunicorn --no-control-socket -b 127.0.0.1:{p} app:wsgi", "", "stays", "ends"),
    "granian": ("granian --interface asgi --port {p} app:asgi", "", "stays", "ends"),
}
DEBIAN = ("socat", "haproxy", "etcd", "beanstalkd", "Redis", "memcached", "mosquitto", "caddy", "lighttpd")


def fate(name, number, setting):
    """What becomes of it at the signal. `setting` is what the shell that starts it does first."""
    port = free_port()
    words = {"p": port, "c": f"{W}/{name}.conf", "d": f"{W}/{name}{time.monotonic_ns()}", "W": W}
    command, text = SERVERS[name][:2]
    Path(words["c"]).write_text(text.format(**words))
    env = {key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH" or name in DEBIAN}
    with open(f"{name}.out", "wb") as out:
        process = subprocess.Popen(["sh", "-c", f"{setting} exec {command.format(**words)}"], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env,
                                   start_new_session=True)
    if not until(lambda: accepts(port), 30):
        print(f"  {name} did not come up")
        os._exit(2)
    time.sleep(0.3)
    process.send_signal(number)
    ended = until(lambda: process.poll() is not None, 3 if setting else 10) is True
    seen = "ends" if ended else "stays" if accepts(port) else "stays, without its port"
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    return seen


def life(name):
    return fate(name, signal.SIGINT, ""), fate(name, signal.SIGHUP, "trap '' HUP;"), fate(name, signal.SIGINT, "trap '' INT;")


with ThreadPoolExecutor(3) as pool:
    seen = dict(zip(SERVERS, pool.map(life, SERVERS)))
for name, (plain, hangup, interrupt) in seen.items():
    show(f"{name}: at SIGINT it {plain}; at SIGHUP, ignored by its parent, it {hangup}; at SIGINT, ignored by its parent, it {interrupt}")
finish(*((seen[name] == ("ends", *SERVERS[name][2:]), name) for name in SERVERS))
PY
