#!/usr/bin/env bash
# Guess: `ssh -o ExitOnForwardFailure=yes -L 8080:…` ends when another program listens on 127.0.0.1:8080.
# Seen:  it is for either of 127.0.0.1 and ::1: what the other program left free is enough. ssh prints "Address already in
#        use", stays, and forwards on ::1 alone; who connects to 127.0.0.1 reaches the other program. With the address
#        spelled out, `-L 127.0.0.1:8080:…`, it ends with 255.
# With:  OpenSSH 9.2 (Debian 12), on a machine with IPv6.
# Why:   "ssh runs, and its port accepts" is true, and the queries go to the database of somebody else.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need ssh sshd ssh-keygen
version_is ssh "$(ssh -V 2>&1 | grep -o '^OpenSSH_[0-9.]*')" OpenSSH_9.2
python3 -c "import socket; socket.create_server((\"::1\", 0), family=socket.AF_INET6)" 2>/dev/null || unable "no IPv6 here"
ssh-keygen -q -t ed25519 -N '' -f host
ssh-keygen -q -t ed25519 -N '' -f key
port=$(free_port)
local=$(free_port)
cat >sshd.conf <<CONF
Port $port
ListenAddress 127.0.0.1
HostKey $WORK/host
AuthorizedKeysFile $WORK/key.pub
StrictModes no
PidFile none
CONF
[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
"$(command -v sshd)" -D -e -f sshd.conf >sshd.log 2>&1 &
wait_for 10 listens "$port" || unable "sshd did not come up: $(tail -1 sshd.log)"
cat >other.py <<'PY'
import socket
import sys

server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    client, _ = server.accept()
    client.sendall(b"the other program")
    client.close()
PY
python3 other.py "$local" &
wait_for 10 listens "$local"
tunnel() { # -L argument
    bounded 60 ssh -F none -N -o BatchMode=yes -o ExitOnForwardFailure=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        -i key -p "$port" -L "$1" "$(id -un)@127.0.0.1" >"$2" 2>&1
}
first() { bounded 5 python3 -c 'import socket, sys; print(socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).recv(17).decode())' "$@" 2>/dev/null || true; }
on_v6() { [[ $(first ::1 "$local") == SSH-2.0* ]]; }
code=0
tunnel "127.0.0.1:$local:127.0.0.1:$port" named.log || code=$?
tunnel "$local:127.0.0.1:$port" plain.log &
client=$!
wait_for 15 on_v6 && both=forwarded || both=refused
kill -0 "$client" 2>/dev/null && alive=yes || alive=no
v4=$(first 127.0.0.1 "$local")
observed "-L port:…: alive $alive, ::1 is $both, 127.0.0.1 answers '$v4', it printed '$(grep -c 'Address already in use' plain.log)' line of a failed bind"
observed "-L 127.0.0.1:port:…: status $code"
[ "$alive/$both/$v4/$code" = "yes/forwarded/the other program/255" ] && verdict 0
verdict 1
