#!/usr/bin/env bash
# Guess: a pidfile that a killed server left does not keep the next one from starting, when its number belongs to another program
#        by now; a server that looks at it asks which program that is.
# Seen:  with the number of a running `sleep` in its pidfile, of fifteen six end with an error instead of starting: rsyslog,
#        PgBouncer, NUT's upsd, gunicorn, celery beat and twistd ("already running"). Nine start and replace the file. With the number
#        of a process that is gone all fifteen start.
# With:  redis 7.0.15, memcached 1.6.18, mosquitto 2.0.11, openssh 9.2, unbound 1.17.1, lighttpd 1.4.69, haproxy 2.6.12, BIND 9.18.49,
#        Knot DNS 3.2.6, rsyslog 8.2302.0, PgBouncer 1.18.0, NUT 2.8.0 (Debian 12), gunicorn 27.0.1, celery 5.7.0, Twisted 26.10.0
#        (PyPI), as root.
# Why:   numbers come again soon in a container, or after a boot: after a crash the service does not come up, with a message about a
#        server that does not exist.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ -d /run/sshd ] || unable "needs /run/sshd, which Debian's openssh-server makes"
need ssh-keygen
ssh-keygen -q -t ed25519 -N '' -f key
pip_install gunicorn==27.0.1 celery==5.7.0 twisted==26.10.0
deb_install redis-server=5:7.0.15-1~deb12u10 redis-tools=5:7.0.15-1~deb12u10 memcached=1.6.18-1+deb12u1 \
    mosquitto=2.0.11-1.2+deb12u2 openssh-server=1:9.2p1-2+deb12u10 unbound=1.17.1-2+deb12u4 lighttpd=1.4.69-1 \
    haproxy=2.6.12-1+deb12u4 rsyslog=8.2302.0-1+deb12u2 bind9=1:9.18.49-1~deb12u3 bind9-libs=1:9.18.49-1~deb12u3 \
    pgbouncer=1.18.0-1+deb12u1 nut-server=2.8.0-7 nut-client=2.8.0-7 libupsclient6=2.8.0-7 knot=3.2.6-1 libknot13=3.2.6-1 \
    libdnssec9=3.2.6-1 libzscanner4=3.2.6-1 liblzf1 libjemalloc2 libevent-2.1-7 libwebsockets17 libcjson1 libev4 libdlt2 libprotobuf-c1 \
    libwrap0 liblua5.3-0 liblua5.4-0 libatomic1 libpython3.11 libopentracing-c-wrapper0 libc-ares2 libestr0 libfastjson4 liblognorm5 \
    libfstrm0 liblmdb0 libmaxminddb0 liburcu8 libxdp1
mkdir state
chmod 700 state
chmod 777 "$WORK"
judge 115 <<'PY'
import socket
from pathlib import Path

from wire import *

WORK = os.environ["WORK"]
os.environ.update(NUT_CONFPATH=f"{WORK}/state", NUT_STATEPATH=f"{WORK}/state", NUT_ALTPIDPATH=f"{WORK}/state")
LIB = f"{WORK}/deb/usr/lib"
SERVERS = {  # name: (command, configuration file, its text)
    "Redis": ("redis-server --bind 127.0.0.1 --port {port} --save '' --pidfile {pid}", None, None),
    "memcached": ("memcached -u root -l 127.0.0.1:{port} -P {pid}", None, None),
    "mosquitto": ("mosquitto -c mosquitto.conf", "mosquitto.conf", "user root\nallow_anonymous true\nlistener {port} 127.0.0.1\npid_file {pid}\n"),
    "sshd": ("{W}/deb/usr/sbin/sshd -D -e -f /dev/null -h {W}/key -o ListenAddress=127.0.0.1:{port} -o PidFile={pid}", None, None),
    "unbound": ("unbound -d -c unbound.conf", "unbound.conf",
                'server:\n interface: 127.0.0.1@{port}\n use-syslog: no\n pidfile: "{pid}"\n chroot: ""\n username: ""\n directory: "{W}"\n'),
    "lighttpd": ("lighttpd -D -f lighttpd.conf -m {L}/lighttpd", "lighttpd.conf",
                 'server.document-root = "{W}"\nserver.bind = "127.0.0.1"\nserver.port = {port}\nserver.pid-file = "{pid}"\n'),
    "haproxy": ("haproxy -db -p {pid} -f haproxy.cfg", "haproxy.cfg",
                "defaults\n mode http\n timeout client 9s\n timeout server 9s\n timeout connect 9s\nlisten a\n bind 127.0.0.1:{port}\n"),
    "BIND": ("named -g -c {W}/named.conf", "named.conf",
             'options {{ directory "{W}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; pid-file "{pid}";'
             ' session-keyfile "{W}/named.key"; managed-keys-directory "{W}"; dnssec-validation no; }};\ncontrols {{ }};\n'),
    "Knot": ("knotd -c knot.conf", "knot.conf",
             "server:\n  listen: 127.0.0.1@{port}\n  rundir: {W}\n  pidfile: {pid}\ndatabase:\n  storage: {W}/knot\ncontrol:\n  listen: {W}/knot.sock\n"),
    "rsyslog": ("rsyslogd -n -i {pid} -f rsyslog.conf", "rsyslog.conf",
                'module(load="imtcp")\ninput(type="imtcp" port="{port}" address="127.0.0.1")\naction(type="omfile" file="{W}/all.log")\n'),
    "PgBouncer": ("pgbouncer -u nobody pgb.ini", "pgb.ini",
                  "[databases]\n* = host=127.0.0.1\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\npidfile = {pid}\nunix_socket_dir =\n"),
    "upsd": ("{W}/deb/lib/nut/upsd -u root -F", "state/upsd.conf", "LISTEN 127.0.0.1 {port}\n"),
    "gunicorn": ("gunicorn -b 127.0.0.1:{port} -p {pid} app:app", "app.py", "def app(environ, start):\n    start('200 OK', [])\n    return [b'']\n"),
    "celery": ("celery -A tasks beat --pidfile {pid} -s {W}/times", "tasks.py", "from celery import Celery\n\napp = Celery(broker='memory://')\n"),
    "twistd": ("twistd -n --pidfile {pid} web --listen tcp:{port}:interface=127.0.0.1", None, None),
}
Path("state/ups.conf").write_text("[lab]\ndriver = dummy-ups\nport = lab.dev\n")
Path("state/upsd.users").write_text("")


def up(name, port):
    if name == "celery":
        return "beat: Starting" in Path(f"{name}.out").read_text(errors="replace")
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def start(name, holder):
    command, file, text = SERVERS[name]
    words = {"port": free_port(), "pid": f"{WORK}/state/upsd.pid" if name == "upsd" else f"{WORK}/{name}.pid", "W": WORK, "L": LIB}
    if file:
        Path(file).write_text(text.format(**words))
    Path(words["pid"]).write_text(f"{holder}\n")
    Path(words["pid"]).chmod(0o666)
    own = {"RSYSLOG_MODDIR": f"{LIB}/{os.uname().machine}-linux-gnu/rsyslog"}
    env = {key: value for key, value in os.environ.items() if name not in ("gunicorn", "celery", "twistd") or key != "LD_LIBRARY_PATH"}
    with open(f"{name}.out", "wb") as out:
        process = subprocess.Popen(["sh", "-c", "exec " + command.format(**words)], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**env, **own})
    deadline = time.monotonic() + 25
    while process.poll() is None and not up(name, words["port"]) and time.monotonic() < deadline:
        time.sleep(0.1)
    if name == "celery":
        time.sleep(1)
    status = process.poll()
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return "starts" if status is None else f"ends with {status}"


other = subprocess.Popen(["sleep", "600"])
gone = subprocess.Popen(["true"])
gone.wait()
seen = {name: (start(name, gone.pid), start(name, other.pid)) for name in SERVERS}
show(f"start with the number of a process that is gone: {({name: one for name, (one, _) in seen.items() if one != 'starts'}) or 'all fifteen start'}")
show(f"with that of a running sleep: {({name: one for name, (_, one) in seen.items() if one != 'starts'})}; the others start")
REFUSE = ("rsyslog", "PgBouncer", "upsd", "gunicorn", "celery", "twistd")
finish(*((one == "starts" and (two.startswith("ends with") and two != "ends with 0" if name in REFUSE else two == "starts"), f"{name}: {one}, {two}")
         for name, (one, two) in seen.items()))
PY
