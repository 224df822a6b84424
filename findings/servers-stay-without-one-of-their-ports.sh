#!/usr/bin/env bash
# Guess: a server that is configured with two addresses, one of them in use, does not start.
# Seen:  of twelve four start, listen on the other one and stay: sshd, Icecast, rsyslog and BIND; only their logs say so. Eight end
#        with a status other than 0; of these nginx first accepts connections on the free address for about two seconds.
# With:  redis 7.0.15, memcached 1.6.18, mosquitto 2.0.11, openssh 9.2, unbound 1.17.1, lighttpd 1.4.69, nginx 1.22.1, haproxy 2.6.12,
#        icecast 2.4.4, rsyslog 8.2302.0, BIND 9.18.49, Knot DNS 3.2.6 (Debian 12), in the foreground, run as root.
# Why:   the address that a health check asks may be the one that works, while clients of the other one talk to another program.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ -d /run/sshd ] || unable "needs /run/sshd, which Debian's openssh-server makes"
deb_install redis-server=5:7.0.15-1~deb12u10 redis-tools=5:7.0.15-1~deb12u10 memcached=1.6.18-1+deb12u1 \
    mosquitto=2.0.11-1.2+deb12u2 openssh-server=1:9.2p1-2+deb12u10 unbound=1.17.1-2+deb12u4 lighttpd=1.4.69-1 nginx=1.22.1-9+deb12u11 \
    haproxy=2.6.12-1+deb12u4 icecast2=2.4.4-4+b1 rsyslog=8.2302.0-1+deb12u2 bind9=1:9.18.49-1~deb12u3 bind9-libs=1:9.18.49-1~deb12u3 \
    knot=3.2.6-1 libknot13=3.2.6-1 libdnssec9=3.2.6-1 libzscanner4=3.2.6-1 liblzf1 libjemalloc2 libevent-2.1-7 libwebsockets17 libcjson1 \
    libev4 libdlt2 libprotobuf-c1 libwrap0 liblua5.3-0 liblua5.4-0 libatomic1 libpython3.11 libopentracing-c-wrapper0 libspeex1 libtheora0 \
    libestr0 libfastjson4 liblognorm5 libfstrm0 liblmdb0 libmaxminddb0 liburcu8 libxdp1
need ssh-keygen
ssh-keygen -q -t ed25519 -N '' -f key
chmod 755 "$WORK"
judge 110 <<'PY'
import socket
from pathlib import Path

from wire import *

WORK = os.environ["WORK"]
both = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
taken = both[0].getsockname()[1]
both[1].bind(("127.0.0.1", taken))


def nginx(port):
    temp = " ".join(f"{name}_temp_path {WORK}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    listen = "".join(f"server {{ listen 127.0.0.1:{one}; }}" for one in (taken, port))
    return f"pid {WORK}/nginx.pid; error_log {WORK}/nginx.log; events {{}} http {{ access_log off; {temp} {listen} }}"


def icecast(port):
    listen = "".join(f"<listen-socket><port>{one}</port><bind-address>127.0.0.1</bind-address></listen-socket>" for one in (taken, port))
    paths = f"<paths><logdir>{WORK}/ice</logdir><webroot>{WORK}/deb/usr/share/icecast2/web</webroot><adminroot>{WORK}/deb/usr/share/icecast2/admin</adminroot></paths>"
    owner = "<security><changeowner><user>nobody</user><group>nogroup</group></changeowner></security>"
    words = "<authentication><source-password>p</source-password><admin-user>a</admin-user><admin-password>p</admin-password></authentication>"
    return f"<icecast>{words}<hostname>localhost</hostname>{listen}{paths}<logging><errorlog>e</errorlog><accesslog>a</accesslog></logging>{owner}</icecast>"


LIB = f"{WORK}/deb/usr/lib"
TRIPLE = f"{LIB}/{os.uname().machine}-linux-gnu"
SERVERS = {  # name: (command, configuration file, its text); {0} is the port in use, {1} the free one
    "Redis": ("redis-server --bind 127.0.0.1 127.0.0.2 --port {0} --save ''", None, None),
    "memcached": ("memcached -u root -l 127.0.0.1:{0},127.0.0.1:{1}", None, None),
    "mosquitto": ("mosquitto -c mosquitto.conf", "mosquitto.conf", "user root\nallow_anonymous true\nlistener {0} 127.0.0.1\nlistener {1} 127.0.0.1\n"),
    "sshd": ("{W}/deb/usr/sbin/sshd -D -e -f /dev/null -h {W}/key -o ListenAddress=127.0.0.1:{0} -o ListenAddress=127.0.0.1:{1} -o PidFile={W}/sshd.pid", None, None),
    "unbound": ("unbound -d -c unbound.conf", "unbound.conf",
                'server:\n interface: 127.0.0.1@{0}\n interface: 127.0.0.1@{1}\n use-syslog: no\n pidfile: "{W}/unbound.pid"\n chroot: ""\n username: ""\n directory: "{W}"\n'),
    "lighttpd": ("lighttpd -D -f lighttpd.conf -m {L}/lighttpd", "lighttpd.conf",
                 'server.document-root = "{W}"\nserver.bind = "127.0.0.1"\nserver.port = {1}\n$SERVER["socket"] == "127.0.0.1:{0}" {{ }}\n'),
    "nginx": ("nginx -p {W} -c {W}/nginx.conf -g 'daemon off;'", "nginx.conf", nginx),
    "haproxy": ("haproxy -db -f haproxy.cfg", "haproxy.cfg",
                "defaults\n mode http\n timeout client 9s\n timeout server 9s\n timeout connect 9s\nlisten a\n bind 127.0.0.1:{0}\n bind 127.0.0.1:{1}\n"),
    "Icecast": ("icecast2 -c icecast.xml", "icecast.xml", icecast),
    "rsyslog": ("rsyslogd -n -i {W}/rsyslog.pid -f rsyslog.conf", "rsyslog.conf",
                'module(load="imtcp")\ninput(type="imtcp" port="{0}" address="127.0.0.1")\ninput(type="imtcp" port="{1}" address="127.0.0.1")\naction(type="omfile" file="{W}/all.log")\n'),
    "BIND": ("named -g -c {W}/named.conf", "named.conf",
             'options {{ directory "{W}"; listen-on port {0} {{ 127.0.0.1; }}; listen-on port {1} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; pid-file "{W}/named.pid";'
             ' session-keyfile "{W}/named.key"; managed-keys-directory "{W}"; dnssec-validation no; }};\ncontrols {{ }};\n'),
    "Knot": ("knotd -c knot.conf", "knot.conf", "server:\n  listen: [127.0.0.1@{0}, 127.0.0.1@{1}]\n  rundir: {W}\ndatabase:\n  storage: {W}/knot\ncontrol:\n  listen: {W}/knot.sock\n"),
}
Path("ice").mkdir()
Path("ice").chmod(0o777)


def accepts(host, port):
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True


def life(name):
    command, file, text = SERVERS[name]
    port = free_port()

    def fill(words):
        return words.format(taken, port, W=WORK, L=LIB)

    if file:
        Path(file).write_text(text(port) if callable(text) else fill(text))
    where = ("127.0.0.2", taken) if name == "Redis" else ("127.0.0.1", port)
    with open(f"{name}.out", "wb") as out:
        process = subprocess.Popen(["sh", "-c", "exec " + fill(command)], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   env={**os.environ, "RSYSLOG_MODDIR": f"{TRIPLE}/rsyslog"})
    deadline = time.monotonic() + 25
    while process.poll() is None and not accepts(*where) and time.monotonic() < deadline:
        time.sleep(0.1)
    accepted = accepts(*where)
    try:
        process.wait(6)
    except subprocess.TimeoutExpired:
        pass
    status = process.poll()
    process.kill()
    process.wait()
    return "stays" if status is None else f"ends with {status}", accepted


seen = {name: life(name) for name in SERVERS}
for name, (end, accepted) in seen.items():
    show(f"{name}: {end}{', after it accepted on the free address' if accepted and end != 'stays' else ''}")
STAY = ("sshd", "Icecast", "rsyslog", "BIND")
finish(*((seen[name][0] == "stays" if name in STAY else seen[name][0].startswith("ends with") and seen[name][0] != "ends with 0", name) for name in SERVERS),
       (seen["nginx"][1], "nginx accepts first"))
PY
