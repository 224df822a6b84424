#!/usr/bin/env bash
# Guess: a server that puts itself into the background returns when it is ready, and with a failure if its port is in use.
# Seen:  of thirteen seven return 0 first and look at the port later: Redis, memcached, mosquitto, rsync, sshd and tinyproxy are
#        gone a moment later, their reason is in a log file if one is set; PgBouncer stays, and serves only its Unix socket.
#        unbound, lighttpd, dnsmasq, stunnel, nginx and haproxy fail as guessed. In the foreground each of the first six fails.
# With:  redis 7.0.15, memcached 1.6.18, mosquitto 2.0.11, rsync 3.5.0, openssh 9.2, tinyproxy 1.11.1, pgbouncer 1.18.0, unbound
#        1.17.1, lighttpd 1.4.69, dnsmasq 2.90, stunnel 5.68, nginx 1.22.1, haproxy 2.6.12 (Debian 12).
# Why:   a start script, a unit of type forking and a supervisor's start command all report success, and whatever answers on the
#        port is somebody else's. Start them in the foreground, and check whose the port is.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || unable "needs root, as which PgBouncer and others choose a user"
[ -d /run/sshd ] || unable "needs /run/sshd, which Debian's openssh-server makes"
deb_install redis-server=5:7.0.15-1~deb12u10 redis-tools=5:7.0.15-1~deb12u10 memcached=1.6.18-1+deb12u1 \
    mosquitto=2.0.11-1.2+deb12u2 rsync=3.5.0+ds1-0+deb12u1 openssh-server=1:9.2p1-2+deb12u10 tinyproxy-bin=1.11.1-2.1+deb12u1 \
    pgbouncer=1.18.0-1+deb12u1 unbound=1.17.1-2+deb12u4 lighttpd=1.4.69-1 dnsmasq-base=2.90-4~deb12u2 \
    stunnel4=3:5.68-2+deb12u1 nginx=1.22.1-9+deb12u11 haproxy=2.6.12-1+deb12u4 liblzf1 libjemalloc2 libevent-2.1-7 \
    libwebsockets17 libcjson1 libev4 libdlt2 libpopt0 libxxhash0 libprotobuf-c1 libc-ares2 libnetfilter-conntrack3 \
    libnfnetlink0 libnftables1 libnftnl11 libmnl0 libwrap0 liblua5.3-0 liblua5.4-0 libatomic1 libpython3.11 \
    libopentracing-c-wrapper0 libjansson4
need ssh-keygen
port=$(free_port)
python3 -c 'import socket, sys, time; taken = socket.create_server(("127.0.0.1", int(sys.argv[1]))); time.sleep(300)' "$port" &
wait_for 10 listens "$port" || unable "the port could not be taken"
chmod 755 "$WORK"
mkdir -m 777 run
run="$WORK/run"
printf 'listener %s 127.0.0.1\nallow_anonymous true\nuser root\nlog_dest file %s/mosquitto.log\n' "$port" "$run" >mosquitto.conf
printf 'port=%s\naddress=127.0.0.1\nuse chroot=no\npid file=%s/rsync.pid\nlog file=%s/rsync.log\n' "$port" "$run" "$run" >rsync.conf
printf 'Port %s\nListen 127.0.0.1\nPidFile "%s/tinyproxy.pid"\nLogFile "%s/tinyproxy.log"\n' "$port" "$run" "$run" >tinyproxy.conf
printf '[databases]\na = host=127.0.0.1\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=%s\nauth_type=any\nlogfile=%s/pgbouncer.log\npidfile=%s/pgbouncer.pid\nunix_socket_dir=%s\n' "$port" "$run" "$run" "$run" >pgbouncer.ini
printf 'server:\n interface: 127.0.0.1@%s\n do-daemonize: yes\n use-syslog: no\n logfile: "%s/unbound.log"\n pidfile: "%s/unbound.pid"\n chroot: ""\n username: ""\n directory: "%s"\n' "$port" "$run" "$run" "$run" >unbound.conf
printf 'server.document-root = "%s"\nserver.port = %s\nserver.bind = "127.0.0.1"\nserver.pid-file = "%s/lighttpd.pid"\nserver.errorlog = "%s/lighttpd.log"\n' "$run" "$port" "$run" "$run" >lighttpd.conf
printf 'pid = %s/stunnel.pid\noutput = %s/stunnel.log\n[a]\nclient = yes\naccept = 127.0.0.1:%s\nconnect = 127.0.0.1:1\n' "$run" "$run" "$port" >stunnel.conf
printf 'pid %s/nginx.pid; error_log %s/nginx.log; events {} http { access_log off; client_body_temp_path %s/1; proxy_temp_path %s/2; fastcgi_temp_path %s/3; uwsgi_temp_path %s/4; scgi_temp_path %s/5; server { listen 127.0.0.1:%s; } }' "$run" "$run" "$run" "$run" "$run" "$run" "$run" "$port" >nginx.conf
printf 'defaults\n mode http\n timeout client 9s\n timeout server 9s\n timeout connect 9s\nlisten a\n bind 127.0.0.1:%s\n' "$port" >haproxy.cfg
ssh-keygen -q -t ed25519 -N '' -f key </dev/null
redis=(redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$run" --logfile "$run/redis.log" --daemonize)
memcached=(memcached -u root -l 127.0.0.1 -p "$port")
sshd=("$WORK/deb/usr/sbin/sshd" -f /dev/null -p "$port" -o ListenAddress=127.0.0.1 -h "$WORK/key" -E "$run/sshd.log" -o "PidFile=$run/sshd.pid")
attempt() { local code=0; bounded 30 "$@" </dev/null >said 2>&1 || code=$?; printf '%s ' "$code"; }
early="$(attempt "${redis[@]}" yes; attempt "${memcached[@]}" -d; attempt mosquitto -d -c mosquitto.conf)"
early+="$(attempt rsync --daemon --config=rsync.conf; attempt "${sshd[@]}"; attempt tinyproxy -c tinyproxy.conf)"
left() { local pid; for pid in $(marked); do tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null || true; echo; done | grep -cE '^[^ ]*(redis-server|memcached|mosquitto|rsync|sshd|tinyproxy)[ :]'; }
gone() { [ "$(left)" = 0 ]; }
ended=no
wait_for 15 gone && ended=yes
front="$(attempt "${redis[@]}" no; attempt "${memcached[@]}"; attempt mosquitto -c mosquitto.conf)"
front+="$(attempt rsync --daemon --no-detach --config=rsync.conf; attempt "${sshd[@]}" -D; attempt tinyproxy -d -c tinyproxy.conf)"
bouncer=$(attempt pgbouncer -d -u nobody pgbouncer.ini)
stays=no
wait_for 10 test -S "$run/.s.PGSQL.$port" && sleep 1 && kill -0 "$(cat "$run/pgbouncer.pid")" && stays=yes
right="$(attempt unbound -c unbound.conf; attempt lighttpd -f lighttpd.conf -m "$WORK/deb/usr/lib/lighttpd")"
right+="$(attempt dnsmasq -C /dev/null -p "$port" --listen-address=127.0.0.1 --bind-interfaces -x "$run/dnsmasq.pid" -u root -R)"
right+="$(attempt stunnel4 stunnel.conf; attempt nginx -p "$run" -c "$WORK/nginx.conf"; attempt haproxy -D -f haproxy.cfg)"
kill "$(cat "$run/pgbouncer.pid")" 2>/dev/null || true
observed "Redis, memcached, mosquitto, rsync, sshd, tinyproxy: $early, a moment later gone: $ended; in the foreground: $front"
observed "PgBouncer: $bouncer, stays without its port: $stays; unbound, lighttpd, dnsmasq, stunnel, nginx, haproxy: $right"
[ "$early$ended" = "0 0 0 0 0 0 yes" ] && [[ $front =~ ^([1-9][0-9]*\ ){6}$ ]] && [ "$bouncer$stays" = "0 yes" ] \
    && [ "$right" = "1 255 2 1 1 1 " ] && verdict 0
verdict 1
