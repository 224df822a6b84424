#!/usr/bin/env bash
# Guess: a server that keeps data locks its folder, so a second one of the same folder, on another port, is refused; if it is not,
#        both have the same data.
# Seen:  of six, beanstalkd refuses it, and etcd waits, with a port that accepts. NATS with JetStream, Redis, mosquitto
#        and InfluxDB start a second one, which says nothing and has a state of its own: each acknowledges what it is given
#        (JetStream both with sequence 1), and what the folder holds in the end is what the one that was stopped last had. The
#        other's messages, keys and databases are gone, though both were stopped by SIGTERM and ended with status 0.
# With:  nats-server 2.15.3 (Go), Redis 7.0.15, mosquitto 2.0.11, InfluxDB 1.6.7, etcd 3.4.23, beanstalkd 1.12 (Debian 12).
# Why:   a supervisor that lost sight of a server, or a second project with the same path, starts one more on a free port; both are
#        healthy, and acknowledged data is lost at the stop. A lock around the start, such as flock, has to do what they do not.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need curl
deb_install redis-server=5:7.0.15-1~deb12u10 redis-tools=5:7.0.15-1~deb12u10 liblzf1 libjemalloc2 libatomic1 liblua5.1-0 lua-bitop lua-cjson \
    mosquitto=2.0.11-1.2+deb12u2 mosquitto-clients=2.0.11-1.2+deb12u2 libmosquitto1 libcjson1 libdlt2 libwebsockets17 libev4 libuv1 \
    influxdb=1.6.7~rc0-1+b13 etcd-server=3.4.23-4+b4 beanstalkd=1.12-2+b1
go_install github.com/nats-io/nats-server/v2@v2.15.3
cat >nats.py <<'PY'
import json
import socket
import sys

port, act = int(sys.argv[1]), sys.argv[2]
peer = socket.create_connection(("127.0.0.1", port), 10)
lines = peer.makefile("rb")
lines.readline()
peer.sendall(b'CONNECT {"verbose":false}\r\nSUB inbox 1\r\n')


def ask(subject, body):
    peer.sendall(b"PUB %s inbox %d\r\n%s\r\n" % (subject.encode(), len(body), body))
    while not (line := lines.readline()).startswith(b"MSG"):
        if line.startswith(b"PING"):
            peer.sendall(b"PONG\r\n")
    return json.loads(lines.read(int(line.split()[-1]) + 2))


if act == "make":
    ask("$JS.API.STREAM.CREATE.kept", json.dumps({"name": "kept", "subjects": ["kept.>"]}).encode())
elif act == "put":
    print(ask("kept." + sys.argv[3], b"1")["seq"])
else:
    print(*sorted(ask("$JS.API.STREAM.INFO.kept", b'{"subjects_filter": ">"}')["state"].get("subjects") or {}))
PY
start() { # SERVER PORT: the server of the folder SERVER, as a job
    local data=$WORK/$1 url=http://127.0.0.1:$2
    mkdir -p "$data"
    case $1 in
        nats) nats-server -a 127.0.0.1 -p "$2" -js -sd "$data" ;;
        redis) redis-server --bind 127.0.0.1 --port "$2" --dir "$data" ;;
        mosquitto)
            printf 'listener %s 127.0.0.1\nuser %s\nallow_anonymous true\npersistence true\npersistence_location %s/\n' "$2" "$(id -un)" "$data" >"$2.conf"
            mosquitto -c "$2.conf"
            ;;
        influxdb)
            printf '%s\n' 'reporting-disabled = true' "bind-address = \"127.0.0.1:$(free_port)\"" '[meta]' "dir = \"$data/meta\"" '[data]' "dir = \"$data/data\"" \
                "wal-dir = \"$data/wal\"" '[http]' "bind-address = \"127.0.0.1:$2\"" >"$2.conf"
            influxd -config "$2.conf"
            ;;
        etcd) etcd --data-dir "$data" --listen-client-urls "$url" --advertise-client-urls "$url" --listen-peer-urls http://127.0.0.1:0 ;;
        beanstalkd) beanstalkd -l 127.0.0.1 -p "$2" -b "$data" ;;
    esac >"$1-$2.log" 2>&1
}
put() { # SERVER PORT NAME: store NAME; prints what was answered
    case $1 in
        nats) python3 nats.py "$2" put "$3" ;;
        redis) redis-cli -p "$2" set "$3" 1 ;;
        mosquitto) mosquitto_pub -p "$2" -q 1 -r -t "$3" -m 1 && echo status 0 ;;
        influxdb) curl -s -m 10 -o said -w '%{http_code}\n' "http://127.0.0.1:$2/query" --data-urlencode "q=create database $3" ;;
    esac
}
names() { # SERVER PORT: which of "one" and "two" it has
    case $1 in
        nats) python3 nats.py "$2" list ;;
        redis) redis-cli -p "$2" keys '*' ;;
        mosquitto) mosquitto_sub -p "$2" -t '#' -W 2 -F %t 2>&1 || true ;;
        influxdb) curl -s -m 10 "http://127.0.0.1:$2/query" --data-urlencode 'q=show databases' ;;
    esac | grep -ow 'one\|two' | sort | tr '\n' ' '
}
answers() { # SERVER PORT
    case $1 in
        etcd) curl -sf -m 2 -o said "http://127.0.0.1:$2/health" ;;
        *) listens "$2" ;;
    esac
}
ended() { ! kill -0 "$1" 2>/dev/null; }
leave() { local code=0; kill "$(child "$1")"; wait "$1" || code=$?; codes="$codes $code"; }
child() { # the server that the job started
    local pid
    for pid in /proc/[0-9]*; do [ "$(awk '{print $4}' "$pid/stat" 2>/dev/null)" != "$1" ] || echo "${pid#/proc/}"; done
}
refused=""
for server in etcd beanstalkd; do
    first=$(free_port)
    start "$server" "$first" &
    wait_for 60 answers "$server" "$first" || unable "$server did not come up: $(tail -1 "$server-$first.log")"
    second=$(free_port)
    start "$server" "$second" &
    job=$!
    wait_for 10 answers "$server" "$second" && how=answers || how="does not answer"
    ended "$job" && how="$how and has ended" || { listens "$second" && how="$how, but its port accepts"; }
    refused="$refused$server: $how; "
done
observed "a second one of the folder: $refused"
ok=yes
for server in nats redis mosquitto influxdb; do
    first=$(free_port)
    start "$server" "$first" &
    one=$!
    wait_for 30 listens "$first" || unable "$server did not come up: $(tail -1 "$server-$first.log")"
    sleep 1
    second=$(free_port)
    start "$server" "$second" &
    two=$!
    wait_for 30 listens "$second" || ok=no
    sleep 1
    [ "$server" != nats ] || for port in "$first" "$second"; do python3 nats.py "$port" make; done
    said="'$(put "$server" "$first" one)' '$(put "$server" "$second" two)'"
    has="'$(names "$server" "$first")' '$(names "$server" "$second")'"
    codes=
    leave "$one"
    leave "$two"
    again=$(free_port)
    start "$server" "$again" &
    wait_for 30 listens "$again" || ok=no
    sleep 1
    after=$(names "$server" "$again")
    observed "$server: both start; the first is given 'one', the second 'two', answers $said; they have $has; SIGTERM:$codes; afterwards: '$after'"
    [ "$has/$codes/$after" = "'one ' 'two '/ 0 0/two " ] || ok=no
done
[ "$ok" = yes ] && [ "$refused" = "etcd: does not answer, but its port accepts; beanstalkd: does not answer and has ended; " ] \
    && verdict 0
verdict 1
