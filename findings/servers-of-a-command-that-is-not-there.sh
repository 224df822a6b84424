#!/usr/bin/env bash
# Guess: a server that is to run a command for each client does not start if the command does not exist, or answers with an error.
# Seen:  of six only websocketd exits. webhook answers 200 for it, for a command that fails too, as it does for one that works;
#        shellinabox answers 200 with its page; socat, tcpserver and inetd accept and close.
# With:  webhook 2.8.0, shellinabox 2.21, websocketd 0.4.1, socat 1.7.4.4, ucspi-tcp 0.88, inetutils-inetd 2.4 (Debian 12).
# Why:   the process runs, the port is open and HTTP says 200, for a misspelled command. A check has to read what the command
#        says.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install webhook=2.8.0-4+b6 shellinabox=2.21+b2 websocketd=0.4.1-1+b11 socat=1.7.4.4-2 ucspi-tcp=1:0.88-7 inetutils-inetd=2:2.4-2+deb12u3 libwrap0
need curl
missing="$WORK/no-such-command"
declare -A pids ports
run() { # NAME PORT COMMAND…
    local name=$1
    ports[$name]=$2
    shift 2
    "$@" >"$name.log" 2>&1 &
    pids[$name]=$!
}
echo "[{\"id\": \"missing\", \"execute-command\": \"$missing\"}, {\"id\": \"fails\", \"execute-command\": \"/bin/false\"}, {\"id\": \"works\", \"execute-command\": \"/bin/true\"}]" >hooks.json
port=$(free_port)
run webhook "$port" webhook -hooks hooks.json -ip 127.0.0.1 -port "$port"
port=$(free_port)
run shellinabox "$port" shellinaboxd -t -p "$port" --localhost-only -s "/:$(id -u):$(id -g):/:$missing"
port=$(free_port)
run websocketd "$port" websocketd --address=127.0.0.1 --port="$port" "$missing"
port=$(free_port)
run socat "$port" socat "TCP-LISTEN:$port,bind=127.0.0.1,fork" "EXEC:$missing"
port=$(free_port)
run tcpserver "$port" tcpserver -H -R 127.0.0.1 "$port" "$missing"
port=$(free_port)
echo "127.0.0.1:$port stream tcp nowait $(id -un) $missing missing" >inetd.conf
run inetd "$port" inetutils-inetd -d -p "$WORK/inetd.pid" "$WORK/inetd.conf"
stays=
for name in webhook shellinabox socat tcpserver inetd; do
    wait_for 15 listens "${ports[$name]}" || true
    kill -0 "${pids[$name]}" 2>/dev/null && stays+="$name "
done
ended() { ! kill -0 "${pids[websocketd]}" 2>/dev/null; }
wait_for 15 ended || stays+=websocketd
code=0
wait "${pids[websocketd]}" || code=$?
status() { curl -s -o out -w '%{http_code} ' --max-time 10 "$1" || true; }
hook() { status "http://127.0.0.1:${ports[webhook]}/hooks/$1"; }
hooks="$(hook missing)$(hook fails)$(hook works)"
page=$(status "http://127.0.0.1:${ports[shellinabox]}/")
closed=$(python3 - "${ports[socat]}" "${ports[tcpserver]}" "${ports[inetd]}" <<'PY'
import socket
import sys

for port in sys.argv[1:]:
    with socket.create_connection(("127.0.0.1", int(port)), 10) as client:
        client.settimeout(10)
        print(len(client.recv(100)), end=" ")
PY
)
observed "stay: $stays; websocketd exits with $code"
observed "webhook: a missing command, one that fails, one that works: $hooks; shellinabox: $page; bytes from socat, tcpserver, inetd before they close: $closed"
[ "$stays$code/$hooks$page/$closed" = "webhook shellinabox socat tcpserver inetd 1/200 200 200 200 /0 0 0 " ] && verdict 0
verdict 1
