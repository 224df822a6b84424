#!/usr/bin/env bash
# Guess: a port-forward whose SSH connection is gone is not listed any more, or its local port is closed.
# Seen:  after the connection ended the forward is listed as before, and its local port still accepts connections: each is
#        reset or closed before a byte comes. Only `ssh_list_sessions` says `connected: false`. So it stays until it is
#        closed.
# With:  mcp-remote-ssh 0.4.0 with its paramiko (PyPI), OpenSSH's sshd of Debian.
# Why:   neither the list nor a TCP connect to the port proves that a forward leads anywhere; a check must read through it
#        or ask for the session.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
PATH="$PATH:/usr/sbin"
need sshd ssh-keygen
pip_install mcp-remote-ssh==0.4.0
ssh-keygen -q -t ed25519 -N "" -f host
ssh-keygen -q -t ed25519 -N "" -f user
port=$(free_port)
cat >sshd.conf <<CONF
Port $port
ListenAddress 127.0.0.1
HostKey $WORK/host
AuthorizedKeysFile $WORK/user.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
CONF
[ "$(id -u)" -ne 0 ] || mkdir -p /run/sshd
"$(command -v sshd)" -D -e -f "$WORK/sshd.conf" >sshd.log 2>&1 &
sshd=$!
wait_for 10 listens "$port" || unable "sshd did not start"
judge 90 "$port" "$sshd" "$(id -un)" <<'PY'
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from wire import *

port, sshd, user = int(sys.argv[1]), sys.argv[2], sys.argv[3]
target = socket.create_server(("127.0.0.1", 0))


def greet():
    while True:
        one, _ = target.accept()
        one.sendall(b"hello")
        one.close()


threading.Thread(target=greet, daemon=True).start()
server = Stdio("mcp-remote-ssh")
server.hello()


def ask(tool, **arguments):
    return json.loads(text_of(server.call(tool, arguments)["result"]))


def through(local):
    with socket.create_connection(("127.0.0.1", local), 5) as one:
        one.settimeout(5)
        try:
            return one.recv(5).decode() or "closed"
        except ConnectionResetError:
            return "reset"


session = ask("ssh_connect", host="127.0.0.1", port=port, username=user, key_path=f"{os.environ['WORK']}/user")["session_id"]
local = ask("ssh_forward_port", session_id=session, remote_port=target.getsockname()[1], remote_host="127.0.0.1")["local_port"]
before = through(local)
for child in subprocess.run(["ps", "--ppid", sshd, "-o", "pid="], capture_output=True, text=True).stdout.split():
    os.kill(int(child), signal.SIGKILL)
deadline = time.monotonic() + 20
while (connected := ask("ssh_list_sessions")[0]["connected"]) and time.monotonic() < deadline:
    time.sleep(0.1)
listed = [forward["local_port"] for forward in ask("ssh_list_forwards", session_id=session)]
after = through(local)
show(f"through the forward: {before!r}; its connection killed: session connected: {connected}, forward listed: {local in listed}, through it: {after}")
server.kill()
finish(
    (before == "hello", "the forward worked"),
    (not connected, "the session is known to be gone"),
    (local in listed, "the forward is listed"),
    (after in ("reset", "closed"), "its port accepts, and leads nowhere"),
)
PY
