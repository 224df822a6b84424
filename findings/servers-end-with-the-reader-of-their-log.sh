#!/usr/bin/env bash
# Guess: a server whose output goes to a pipe does not notice that the reader has ended: it loses log lines and keeps serving; or all
#        are ended by SIGPIPE.
# Seen:  at its next line caddy, like each Go program that logs to stdout or stderr, is killed by SIGPIPE, Rust's println! ends the
#        program with 101, Node's console.log with 1. Where an application prints under gunicorn, each request is closed without an answer,
#        and nothing is logged; under waitress each is a 500; http.server closes each without an answer. uvicorn, hypercorn,
#        granian, Java, nginx, haproxy, tinyproxy, memcached and etcd (in Go as well) serve as before.
# With:  caddy 2.6.2, nginx 1.22.1, haproxy 2.6.12, tinyproxy 1.11.1, memcached 1.6.18, etcd 3.4.23 (Debian 12), gunicorn
#        27.0.1, waitress 3.0.2, uvicorn 0.54.0, hypercorn 0.18.0, granian 2.8.9 (PyPI), CPython 3.11's http.server, Node 20,
#        Go 1.26, Rust, Java 17's HttpServer.
# Why:   a supervisor that reads its services' logs from pipes takes some of them along when it is killed, and others answer errors
#        whose cause is in no log. A log file has no reader that can end.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node go rustc java
version_is Node "$(node -p 'process.versions.node.split(".")[0]')" 20
version_is Python "$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')" 3.11
pip_install gunicorn==27.0.1 waitress==3.0.2 uvicorn==0.54.0 hypercorn==0.18.0 granian==2.8.9
deb_install caddy=2.6.2-5 nginx=1.22.1-9+deb12u11 haproxy=2.6.12-1+deb12u4 tinyproxy-bin=1.11.1-2.1+deb12u1 \
    memcached=1.6.18-1+deb12u1 etcd-server=3.4.23-4+b4 libevent-2.1-7 liblua5.3-0 liblua5.4-0 libopentracing-c-wrapper0
cat >app.py <<'PY'
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": kind + ".complete"})
            if kind == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def prints(environ, start):
    print("a request", flush=True)
    start("200 OK", [("Content-Length", "5")])
    return [b"hello"]
PY
echo "require('http').createServer((_, answer) => { console.log('a request'); answer.end('hello') }).listen(+process.argv[2], '127.0.0.1')" >app.js
mkdir program
cat >program/main.go <<'GO'
package main

import (
	"log"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) { log.Print("a request"); answer.Write([]byte("hello")) })
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
GO
(cd program && export HOME="$USER_HOME" && go mod init program && go build -buildvcs=false -o ../in-go .) >go.log 2>&1 || unable "the program in Go"
cat >main.rs <<'RS'
use std::io::{Read, Write};

fn main() {
    let port = std::env::args().nth(1).unwrap();
    for peer in std::net::TcpListener::bind(format!("127.0.0.1:{port}")).unwrap().incoming() {
        let mut peer = peer.unwrap();
        let _ = peer.read(&mut [0; 1000]);
        println!("a request");
        let _ = peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    }
}
RS
HOME="$USER_HOME" rustc -o in-rust main.rs || unable "the program in Rust"
cat >Main.java <<'JAVA'
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

class Main {
    public static void main(String[] args) throws Exception {
        var server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 0);
        server.createContext("/", call -> {
            System.out.println("a request");
            call.sendResponseHeaders(200, -1);
            call.close();
        });
        server.start();
    }
}
JAVA
PYTHON=python judge 115 <<'PY'
import signal
import socket
from pathlib import Path

from wire import *

W = os.environ["WORK"]
TEMP = " ".join(f"{name}_temp_path {W}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
SERVERS = {  # name: (command, text of its configuration file, what becomes of it)
    "caddy": ("caddy run --adapter caddyfile --config {c}", "{{\n admin off\n auto_https off\n}}\nhttp://127.0.0.1:{p} {{\n log\n respond hello\n}}\n", "ends with -13"),
    "Go": ("./in-go {p}", "", "ends with -13"),
    "Rust": ("./in-rust {p}", "", "ends with 101"),
    "Node": ("node app.js {p}", "", "ends with 1"),
    "gunicorn": ("gunicorn --no-control-socket -b 127.0.0.1:{p} app:prints", "", "no answer"),
    "http.server": ("python -u -m http.server --bind 127.0.0.1 {p}", "", "no answer"),
    "waitress": ("waitress-serve --listen=127.0.0.1:{p} app:prints", "", "500"),
    "uvicorn": ("uvicorn --port {p} app:app", "", "200"),
    "hypercorn": ("hypercorn --access-logfile - -b 127.0.0.1:{p} app:app", "", "200"),
    "granian": ("granian --access-log --interface asgi --port {p} app:app", "", "200"),
    "Java": ("java Main.java {p}", "", "200"),
    "nginx": ("nginx -p {W} -c {c}", "daemon off; pid {W}/nginx.pid; error_log stderr debug; events {{}} http {{ access_log /dev/stdout; {T}"
              " server {{ listen 127.0.0.1:{p}; return 200 hello; }} }}", "200"),
    "haproxy": ("haproxy -db -f {c}", "defaults\n mode http\n option httplog\n log stdout format raw local0\n timeout client 9s\n timeout server 9s\n"
                " timeout connect 9s\nlisten a\n bind 127.0.0.1:{p}\n http-request return status 200\n", "200"),
    "tinyproxy": ("tinyproxy -d -c {c}", "Port {p}\nListen 127.0.0.1\n", "500"),
    "memcached": ("memcached -u root -l 127.0.0.1 -p {p} -vv", "", "VERSION"),
    "etcd": ("etcd --log-level debug --data-dir {W}/etcd --listen-client-urls http://127.0.0.1:{p} --advertise-client-urls http://127.0.0.1:{p}"
             " --listen-peer-urls http://127.0.0.1:0", "", "404"),
}
DEBIAN = ("caddy", "nginx", "haproxy", "tinyproxy", "memcached", "etcd")


def ask(name, port):
    """The status of the answer to a request, which each of them logs."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as peer:
            peer.settimeout(5)
            peer.sendall(b"version\r\n" if name == "memcached" else b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            said = peer.recv(500).decode(errors="replace").split()
    except OSError:
        return "no answer"
    return "no answer" if not said else said[0] if name == "memcached" else said[1]


def logged(reader):
    try:
        return len(os.read(reader, 1 << 20))
    except BlockingIOError:
        return 0


facts = []
for name, (command, text, expected) in SERVERS.items():
    port = free_port()
    words = {"p": port, "c": f"{W}/{name}.conf", "W": W, "T": TEMP}
    Path(words["c"]).write_text(text.format(**words))
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    env = {key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH" or name in DEBIAN}
    process = subprocess.Popen(["sh", "-c", "exec " + command.format(**words)], stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, env=env,
                               start_new_session=True)
    os.close(writer)
    if not until(lambda: logged(reader) < 0 or ask(name, port) != "no answer", 30):
        print(f"  {name} did not come up")
        raise SystemExit(2)
    time.sleep(0.3)
    logged(reader)
    before = ask(name, port)
    if name != "etcd" and not until(lambda: logged(reader), 5):
        print(f"  {name} does not log a request")
        raise SystemExit(2)
    os.close(reader)
    answers = [ask(name, port) for _ in range(3)]
    until(lambda: process.poll() is not None, 2)
    seen = f"ends with {process.poll()}" if process.poll() is not None else answers[-1] if len(set(answers)) == 1 else str(answers)
    show(f"{name}: answered {before}; without its log's reader: {seen}")
    facts.append((seen == expected, f"{name}: {seen}"))
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
finish(*facts)
PY
