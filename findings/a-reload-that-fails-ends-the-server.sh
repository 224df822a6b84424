#!/usr/bin/env bash
# Guess: a reload whose new configuration or application is broken fails and says so, and what ran before goes on.
# Seen:  supervisord, Unbound, sshd, gunicorn and granian end. Before that `supervisorctl reload` prints "Restarted
#        supervisord" and `unbound-control reload` "ok", both with status 0; supervisord stops its programs first.
#        nginx goes on with what it had where a new address is taken, but `nginx -t` and `nginx -s reload` both give 0.
#        uvicorn keeps the old worker.
# With:  supervisor 4.3.0, gunicorn 27.0.1, granian 2.8.9, uvicorn 0.54.0 (PyPI), unbound 1.17.1, nginx 1.22.1,
#        openssh-server 9.2 (Debian 12).
# Why:   a typo in one file ends everything that a supervisor runs, or the only way into a machine, and the command that
#        did it says that all is well. The state has to be read afterwards.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || unable "needs root: sshd and unbound"
need curl ssh-keygen
pip_install supervisor==4.3.0 gunicorn==27.0.1 granian==2.8.9 uvicorn==0.54.0
deb_install unbound=1.17.1-2+deb12u4 nginx=1.22.1-9+deb12u11 openssh-server=1:9.2p1-2+deb12u10 libevent-2.1-7 libprotobuf-c1 libpython3.11 \
    libpython3.11-stdlib libpython3.11-minimal libsystemd0 libwrap0 libpcre2-8-0
debian="env LD_LIBRARY_PATH=$LD_LIBRARY_PATH"
unset LD_LIBRARY_PATH # Python's own library is among them
seen=
ends() { ! kill -0 "$1" 2>/dev/null; }
fate() { # NAME PID: whether it is there some seconds later
    local fate=goes-on
    wait_for "${3:-8}" ends "$2" && fate=ended
    seen="$seen $1:$fate"
}

cat >supervisord.conf <<INI
[unix_http_server]
file=$WORK/supervisor.sock
[supervisord]
nodaemon=true
logfile=$WORK/supervisord.log
pidfile=$WORK/supervisord.pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[program:shop]
command=sleep 600
startsecs=0
INI
printf '[supervisorctl]\nserverurl=unix://%s\n' "$WORK/supervisor.sock" >ctl.conf
supervisord -c supervisord.conf >supervisord.out 2>&1 &
server=$!
ctl() { bounded 20 supervisorctl -c ctl.conf "$@" </dev/null; }
wait_for 20 ctl status shop || unable "supervisord did not come up"
shop=$(ctl pid shop)
printf '[program:second]\ncommand=sleep 600\nnumprocs=one\n' >>supervisord.conf
said=$(ctl reload) && code=0 || code=$?
fate supervisord "$server" 15
fate its-program "$shop"
observed "supervisorctl reload: '$said', status $code; $(tail -2 supervisord.out | head -1)"
seen="$seen $code/$said"

port=$(free_port)
cat >unbound.conf <<CONF
server:
  interface: 127.0.0.1@$port
  do-daemonize: no
  use-syslog: no
  chroot: ""
  username: ""
  directory: "$WORK"
  pidfile: "$WORK/unbound.pid"
remote-control:
  control-enable: yes
  control-interface: $WORK/unbound.sock
CONF
cp unbound.conf unbound-control.conf
$debian unbound -d -c unbound.conf >unbound.log 2>&1 &
server=$!
wait_for 10 listens "$port" || unable "unbound did not come up: $(tail -1 unbound.log)"
printf 'server:\n  prefetched: yes\n' >>unbound.conf
said=$(bounded 10 $debian unbound-control -c unbound-control.conf reload) && code=0 || code=$?
fate unbound "$server"
observed "unbound-control reload: '$said', status $code; $(tail -1 unbound.log | sed 's/^\[[^ ]* //')"
seen="$seen $code/$said"

port=$(free_port)
other=$(free_port)
mkdir -p nginx/logs
cat >nginx/nginx.conf <<CONF
pid $WORK/nginx/pid; daemon off; error_log $WORK/nginx/log;
events {}
http {
  access_log off; client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d; scgi_temp_path e;
  server { listen 127.0.0.1:$port; location / { return 200 "one"; } }
}
CONF
$debian nginx -p "$WORK/nginx" -c "$WORK/nginx/nginx.conf" 2>nginx.out &
server=$!
wait_for 10 listens "$port" || unable "nginx did not come up: $(tail -1 nginx.out)"
python3 -m http.server --bind 127.0.0.1 "$other" >/dev/null 2>&1 &
wait_for 10 listens "$other"
sed -i "s/\"one\"/\"two\"/; s/server {/server { listen 127.0.0.1:$other;/" nginx/nginx.conf
checked=0 code=0
$debian nginx -p "$WORK/nginx" -c "$WORK/nginx/nginx.conf" -t 2>nginx.out || checked=$?
$debian nginx -p "$WORK/nginx" -c "$WORK/nginx/nginx.conf" -s reload 2>nginx.out || code=$?
wait_for 10 grep -q 'still could not bind' nginx/log || true
answer=$(curl -s "http://127.0.0.1:$port")
fate nginx "$server" 1
kill "$server" # its title takes the place of its environment
observed "nginx -t: status $checked, nginx -s reload: status $code, then it answers '$answer'"
seen="$seen $checked/$code/$answer"

port=$(free_port)
ssh-keygen -q -t ed25519 -N '' -f "$WORK/key"
mkdir -p /run/sshd
printf 'Port %s\nListenAddress 127.0.0.1\nHostKey %s\nPidFile none\nUsePAM no\n' "$port" "$WORK/key" >sshd.conf
$debian "$WORK/deb/usr/sbin/sshd" -D -f "$WORK/sshd.conf" -E sshd.log &
server=$!
wait_for 10 listens "$port" || unable "sshd did not come up: $(tail -1 sshd.log)"
echo 'PermitRootLogins no' >>sshd.conf
kill -HUP "$server"
fate sshd "$server"

mkdir apps
wsgi() { printf 'def app(environ, start):\n    start("200 OK", [])\n    return [b"one"]\n' >apps/shop.py; }
reload_application() { # NAME COMMAND…: a server in apps that gets SIGHUP once shop.py cannot be imported
    local name=$1 server
    shift
    (cd apps && exec "$@") >"$name.log" 2>&1 &
    server=$!
    answers() { curl -sf -m 2 "http://127.0.0.1:$port" | grep -q one; }
    wait_for 20 answers || unable "$name did not come up: $(tail -1 "$name.log")"
    echo 'import no_such_module' >>apps/shop.py
    kill -HUP "$server"
    wait_for 10 grep -q no_such_module "$name.log" || true
    fate "$name" "$server"
    ! answers || seen="$seen/answers"
}
wsgi
port=$(free_port)
reload_application gunicorn gunicorn --no-control-socket -b "127.0.0.1:$port" shop:app
wsgi
port=$(free_port)
reload_application granian granian --interface wsgi --port "$port" shop:app
cat >apps/shop.py <<'PY'
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one"})
PY
port=$(free_port)
reload_application uvicorn uvicorn --workers 2 --port "$port" shop:app
observed "$(tr ' ' '\n' <<<"$seen" | grep : | xargs)"
expected=" supervisord:ended its-program:ended 0/Restarted supervisord unbound:ended 0/ok nginx:goes-on 0/0/one sshd:ended"
expected="$expected gunicorn:ended granian:ended uvicorn:goes-on/answers"
[ "$seen" = "$expected" ] && verdict 0
verdict 1
