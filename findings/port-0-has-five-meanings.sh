#!/usr/bin/env bash
# Guess: a server told to listen on port 0 gets a free port, as from bind(2), and says which, or refuses the number.
# Seen:  of fourteen five get a free port, and only caddy's output names it: PgBouncer, unbound, webhook and tcpserver do not.
#        lighttpd and websocketd listen on 80, rsync on 873, their defaults. mosquitto makes a Unix socket named 127.0.0.1 of
#        the address, in the folder it runs in, and says "running". Redis says that it listens nowhere, and exits. sshd,
#        nginx, haproxy and tinyproxy refuse it.
# With:  lighttpd 1.4.69, websocketd 0.4.1, rsync 3.5.0, mosquitto 2.0.11, redis 7.0.15, openssh 9.2, nginx 1.22.1, haproxy
#        2.6.12, tinyproxy 1.11.1, pgbouncer 1.18.0, unbound 1.17.1, webhook 2.8.0, caddy 2.6.2, ucspi-tcp 0.88 (Debian 12).
# Why:   a supervisor cannot pass 0 and read the port from the log; it has to choose a port, or look at the process's sockets.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || unable "needs root, for the ports 80 and 873"
[ -d /run/sshd ] || unable "needs /run/sshd, which Debian's openssh-server makes"
need ss ssh-keygen
for port in 80 873; do if listens "$port"; then unable "something listens on port $port"; fi; done
deb_install lighttpd=1.4.69-1 websocketd=0.4.1-1+b11 rsync=3.5.0+ds1-0+deb12u1 mosquitto=2.0.11-1.2+deb12u2 \
    redis-server=5:7.0.15-1~deb12u10 redis-tools=5:7.0.15-1~deb12u10 openssh-server=1:9.2p1-2+deb12u10 \
    nginx=1.22.1-9+deb12u11 haproxy=2.6.12-1+deb12u4 tinyproxy-bin=1.11.1-2.1+deb12u1 pgbouncer=1.18.0-1+deb12u1 \
    unbound=1.17.1-2+deb12u4 webhook=2.8.0-4+b6 caddy=2.6.2-5 ucspi-tcp=1:0.88-7 liblzf1 libjemalloc2 libevent-2.1-7 \
    libwebsockets17 libcjson1 libev4 libdlt2 libpopt0 libxxhash0 libprotobuf-c1 libc-ares2 libwrap0 liblua5.3-0 liblua5.4-0 \
    libatomic1 libpython3.11 libopentracing-c-wrapper0 libjansson4
chmod 755 "$WORK"
mkdir -m 777 run
run="$WORK/run"
printf 'listener 0 127.0.0.1\nallow_anonymous true\nuser root\n' >mosquitto.conf
printf 'port=0\naddress=127.0.0.1\nuse chroot=no\n' >rsync.conf
printf 'Port 0\nListen 127.0.0.1\n' >tinyproxy.conf
printf '[databases]\na = host=127.0.0.1\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=0\nauth_type=any\nunix_socket_dir=%s\n' "$run" >pgbouncer.ini
printf 'server:\n interface: 127.0.0.1@0\n do-udp: no\n use-syslog: no\n logfile: ""\n pidfile: ""\n chroot: ""\n username: ""\n directory: "%s"\n' "$run" >unbound.conf
printf 'server.document-root = "%s"\nserver.port = 0\nserver.bind = "127.0.0.1"\n' "$run" >lighttpd.conf
printf 'daemon off; master_process off; pid %s/nginx.pid; error_log stderr; events {} http { access_log off; client_body_temp_path %s/1; proxy_temp_path %s/2; fastcgi_temp_path %s/3; uwsgi_temp_path %s/4; scgi_temp_path %s/5; server { listen 127.0.0.1:0; } }' "$run" "$run" "$run" "$run" "$run" "$run" >nginx.conf
printf 'defaults\n mode http\n timeout client 9s\n timeout server 9s\n timeout connect 9s\nlisten a\n bind 127.0.0.1:0\n' >haproxy.cfg
printf '{\n admin off\n auto_https off\n}\nhttp://127.0.0.1:0 {\n bind 127.0.0.1\n respond hello\n}\n' >Caddyfile
echo '[]' >hooks.json
ssh-keygen -q -t ed25519 -N '' -f key </dev/null
judge 90 <<'PY'
import os
import re
import subprocess
import time

from wire import finish, show

WORK = os.environ["WORK"]
COMMANDS = {
    "lighttpd": ["lighttpd", "-D", "-f", "lighttpd.conf", "-m", f"{WORK}/deb/usr/lib/lighttpd"],
    "rsync": ["rsync", "--daemon", "--no-detach", "--config=rsync.conf"],
    "mosquitto": ["mosquitto", "-c", "mosquitto.conf"],
    "redis": ["redis-server", "--port", "0", "--bind", "127.0.0.1", "--save", "", "--dir", f"{WORK}/run"],
    "sshd": [f"{WORK}/deb/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-p", "0", "-h", f"{WORK}/key"],
    "nginx": ["nginx", "-p", f"{WORK}/run", "-c", f"{WORK}/nginx.conf"],
    "haproxy": ["haproxy", "-db", "-f", "haproxy.cfg"],
    "tinyproxy": ["tinyproxy", "-d", "-c", "tinyproxy.conf"],
    "pgbouncer": ["pgbouncer", "-u", "nobody", f"{WORK}/pgbouncer.ini"],
    "unbound": ["unbound", "-d", "-c", "unbound.conf"],
    "webhook": ["webhook", "-verbose", "-hooks", "hooks.json", "-port", "0", "-ip", "127.0.0.1"],
    "caddy": ["caddy", "run", "--config", "Caddyfile", "--adapter", "caddyfile"],
    "tcpserver": ["tcpserver", "-v", "-H", "-R", "127.0.0.1", "0", "/bin/cat"],
    "websocketd": ["websocketd", "--address=127.0.0.1", "--port=0", "/bin/cat"],
}


def ports(process):
    table = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True).stdout
    return [int(line.split()[3].rpartition(":")[2]) for line in table.splitlines() if f"pid={process.pid}," in line]


def outcome(name):
    with open(f"{name}.out", "wb") as out:
        process = subprocess.Popen(COMMANDS[name], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    deadline, found = time.monotonic() + (8 if name != "mosquitto" else 3), []
    while process.poll() is None and not found and time.monotonic() < deadline:
        time.sleep(0.1)
        found = ports(process)
    ended = process.poll()
    time.sleep(0.5 if found else 0)  # what it says of it may come later
    process.kill()
    process.wait()
    said = open(f"{name}.out", errors="replace").read()
    if ended is not None:
        return "nowhere" if "not listen anywhere" in said else "refused" if ended else "ended with 0"
    if not found:
        return "a socket" if os.path.exists("127.0.0.1") and "running" in said else "no port"
    if found[0] in (80, 873):
        return str(found[0])
    return "free, named" if re.search(rf"\b{found[0]}\b", said) else "free"


WANT = {"lighttpd": "80", "websocketd": "80", "rsync": "873", "mosquitto": "a socket", "redis": "nowhere", "caddy": "free, named",
        **dict.fromkeys(("pgbouncer", "unbound", "webhook", "tcpserver"), "free"),
        **dict.fromkeys(("sshd", "nginx", "haproxy", "tinyproxy"), "refused")}
seen = {name: outcome(name) for name in COMMANDS}
show(", ".join(f"{name}: {what}" for name, what in seen.items()))
finish(*[(seen[name] == WANT[name], f"{name}: {seen[name]}, not {WANT[name]}") for name in COMMANDS])
PY
