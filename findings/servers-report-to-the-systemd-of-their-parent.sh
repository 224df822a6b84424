#!/usr/bin/env bash
# Guess: a server reports to systemd when it is told to (`supervised systemd`, `-Ws`, a unit of Type=notify), not because a variable
#        came along from a parent that is itself a unit.
# Seen:  of fifteen with an inherited NOTIFY_SOCKET ten report, without an option: mosquitto, caddy, unbound, BIND, Knot DNS, rsyslog, sshd,
#        tor, etcd and gunicorn send READY=1, BIND and tor their own MAINPID, and when they are stopped caddy, unbound, BIND and Knot DNS
#        send STOPPING=1, all in the name of the unit that started the supervisor. Redis, memcached, nginx, haproxy and uvicorn do not.
# With:  mosquitto 2.0.11, caddy 2.6.2, unbound 1.17.1, BIND 9.18.49, Knot DNS 3.2.6, rsyslog 8.2302.0, openssh 9.2, tor 0.4.9.11, Redis
#        7.0.15, memcached 1.6.18, nginx 1.22.1, haproxy 2.6.12, etcd 3.4.23 (Debian 12), gunicorn 27.0.1, uvicorn 0.54.0 (PyPI), as root.
# Why:   what runs as a unit of Type=notify and starts services is "ready" when the first of them is, "stopping" when one is stopped, and
#        may lose its main process to one; with NotifyAccess=main only the log has it. What starts programs has to remove the variable.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || unable "needs root, as which mosquitto and memcached are started"
[ -d /run/sshd ] || unable "needs /run/sshd, which Debian's openssh-server makes"
need ssh-keygen
ssh-keygen -q -t ed25519 -N '' -f key </dev/null
pip_install gunicorn==27.0.1 uvicorn==0.54.0
deb_install mosquitto=2.0.11-1.2+deb12u2 caddy=2.6.2-5 unbound=1.17.1-2+deb12u4 bind9=1:9.18.49-1~deb12u3 bind9-libs=1:9.18.49-1~deb12u3 \
    knot=3.2.6-1 libknot13=3.2.6-1 libdnssec9=3.2.6-1 libzscanner4=3.2.6-1 rsyslog=8.2302.0-1+deb12u2 openssh-server=1:9.2p1-2+deb12u10 \
    tor=0.4.9.11-0+deb12u1 redis-server=5:7.0.15-1~deb12u10 redis-tools=5:7.0.15-1~deb12u10 memcached=1.6.18-1+deb12u1 nginx=1.22.1-9+deb12u11 \
    haproxy=2.6.12-1+deb12u4 etcd-server=3.4.23-4+b4 liblzf1 libjemalloc2 libevent-2.1-7 libwebsockets17 libcjson1 libev4 libdlt2 libprotobuf-c1 \
    libwrap0 liblua5.3-0 liblua5.4-0 libatomic1 libpython3.11 libopentracing-c-wrapper0 libestr0 libfastjson4 liblognorm5 libfstrm0 liblmdb0 \
    libmaxminddb0 liburcu8 libxdp1
chmod 755 "$WORK"
PYTHON=python judge 150 <<'PY'
import signal
import socket
from pathlib import Path

from wire import *

W = os.environ["WORK"]
Path("app.py").write_text("def wsgi(environ, start):\n    start('200 OK', [])\n    return [b'']\n\n\nasync def asgi(scope, receive, send):\n    pass\n")
TEMP = " ".join(f"{name}_temp_path {W}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
SERVERS = {  # name: (command, text of its configuration file, what it sends when it starts, and when it is stopped)
    "mosquitto": ("mosquitto -c {c}", "user root\nallow_anonymous true\nlistener {p} 127.0.0.1\n", "READY", ""),
    "caddy": ("caddy run --adapter caddyfile --config {c}", "{{\n admin off\n auto_https off\n}}\nhttp://127.0.0.1:{p} {{\n respond hello\n}}\n", "READY RELOADING", "STOPPING"),
    "unbound": ("unbound -d -c {c}", 'server:\n interface: 127.0.0.1@{p}\n use-syslog: no\n logfile: ""\n pidfile: ""\n chroot: ""\n username: ""\n directory: "{W}"\n',
                "READY", "STOPPING"),
    "BIND": ("named -g -c {c}", 'options {{ directory "{W}"; listen-on port {p} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; pid-file "{W}/named.pid";'
             ' session-keyfile "{W}/named.key"; managed-keys-directory "{W}"; dnssec-validation no; }};\ncontrols {{ }};\n', "MAINPID READY", "STOPPING"),
    "Knot DNS": ("knotd -c {c}", "server:\n  listen: 127.0.0.1@{p}\n  rundir: {W}\ndatabase:\n  storage: {W}/knot\ncontrol:\n  listen: {W}/knot.sock\n", "READY", "STOPPING"),
    "rsyslog": ("rsyslogd -n -i {W}/rsyslog.pid -f {c}",
                'module(load="imtcp")\ninput(type="imtcp" port="{p}" address="127.0.0.1")\naction(type="omfile" file="{W}/all.log")\n', "READY", ""),
    "sshd": ("{W}/deb/usr/sbin/sshd -D -e -f /dev/null -h {W}/key -o ListenAddress=127.0.0.1:{p} -o PidFile=none", "", "READY", ""),
    "tor": ("tor -f {c}", "SocksPort 127.0.0.1:{p}\nDataDirectory {W}/tor\n", "MAINPID READY", ""),
    "gunicorn": ("gunicorn --no-control-socket -b 127.0.0.1:{p} app:wsgi", "", "READY", ""),
    "Redis": ("redis-server --bind 127.0.0.1 --port {p} --save ''", "", "", ""),
    "memcached": ("memcached -u root -l 127.0.0.1:{p}", "", "", ""),
    "nginx": ("nginx -p {W} -c {c}", "daemon off; pid {W}/nginx.pid; error_log stderr; events {{}} http {{ access_log off; {T} server {{ listen 127.0.0.1:{p}; }} }}", "", ""),
    "haproxy": ("haproxy -W -db -f {c}", "defaults\n mode http\n timeout client 9s\n timeout server 9s\n timeout connect 9s\nlisten a\n bind 127.0.0.1:{p}\n", "", ""),
    "etcd": ("etcd --data-dir {W}/etcd --listen-client-urls http://127.0.0.1:{p} --advertise-client-urls http://127.0.0.1:{p}"
             " --listen-peer-urls http://127.0.0.1:0", "", "READY", ""),
    "uvicorn": ("uvicorn --port {p} app:asgi", "", "", ""),
}
ON_OWN_LIBRARIES = ("sshd", "gunicorn", "uvicorn")


def start(name):
    command, text = SERVERS[name][:2]
    port = free_port()
    words = {"p": port, "c": f"{W}/{name.split()[0]}.conf", "W": W, "T": TEMP}
    Path(words["c"]).write_text(text.format(**words))
    env = {key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH" or name not in ON_OWN_LIBRARIES}
    env |= {"RSYSLOG_MODDIR": f"{W}/deb/usr/lib/{os.uname().machine}-linux-gnu/rsyslog", "NOTIFY_SOCKET": f"{W}/notify"}
    with open(f"{name.split()[0]}.out", "wb") as out:
        process = subprocess.Popen(["sh", "-c", "exec " + command.format(**words)], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, start_new_session=True)
    until(lambda: accepts(port) or process.poll() is not None, 30)
    return process


def end(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def received(systemd):
    words = set()
    while True:
        try:
            words |= {line.partition("=")[0] for line in systemd.recv(4096).decode().split("\n") if line}
        except BlockingIOError:
            return words - {"STATUS"}


systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
systemd.bind(f"{W}/notify")
systemd.setblocking(False)
facts = []
for name, (_, _, at_start, at_stop) in SERVERS.items():
    process = start(name)
    if process.poll() is not None:
        print(f"  {name} did not come up")
        raise SystemExit(2)
    started = set()
    until(lambda: started.update(received(systemd)) or "READY" in started, 10 if at_start else 2)
    process.terminate()
    until(lambda: process.poll() is not None, 10)
    stopped = received(systemd)
    end(process)
    seen = " ".join(sorted(started)), " ".join(sorted(stopped))
    show(f"{name}: sends {seen[0] or 'nothing'}, when it is stopped {seen[1] or 'nothing'}")
    facts.append((seen == (at_start, at_stop), f"{name}: {seen}"))
finish(*facts)
PY
