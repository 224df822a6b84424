#!/usr/bin/env bash
# Guess: a configuration that a server's own check accepts can be started, and a port that does not exist is refused.
# Seen:  of eight only `nginx -t` refuses an address that this machine does not have; haproxy, unbound, lighttpd, Caddy, Apache,
#        dnsmasq and sshd accept it (status 0), and do not start with it. unbound and lighttpd accept port 99999, too, and
#        listen on 34463. A folder to serve that does not exist is refused by Apache alone; nginx, lighttpd and Caddy start.
# With:  nginx 1.22.1, haproxy 2.6.12, unbound 1.17.1, lighttpd 1.4.69, caddy 2.6.2, apache2 2.4.71, dnsmasq 2.90, openssh 9.2
#        (Debian 12).
# Why:   a check before a restart passes, the running server is stopped, and the new one does not come up. An address is lost
#        with each change of a network or a VPN.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || unable "needs root, as which dnsmasq and sshd are started"
[ -d /run/sshd ] || unable "needs /run/sshd, which Debian's openssh-server makes"
need ss ssh-keygen
deb_install nginx=1.22.1-9+deb12u11 haproxy=2.6.12-1+deb12u4 unbound=1.17.1-2+deb12u4 lighttpd=1.4.69-1 caddy=2.6.2-5 \
    apache2-bin=2.4.71-1~deb12u1 dnsmasq-base=2.90-4~deb12u2 openssh-server=1:9.2p1-2+deb12u10 libevent-2.1-7 libprotobuf-c1 \
    libpython3.11 libaprutil1 libapr1 liblua5.3-0 liblua5.4-0 libopentracing-c-wrapper0 libjansson4 libnetfilter-conntrack3 \
    libnfnetlink0 libnftables1 libnftnl11 libmnl0 libwrap0
chmod 755 "$WORK"
mkdir -m 777 run folder
run="$WORK/run" modules="$WORK/deb/usr/lib/apache2/modules"
ssh-keygen -q -t ed25519 -N '' -f key </dev/null
configure() { # ADDRESS PORT FOLDER
    printf 'daemon off; master_process off; pid %s/nginx.pid; error_log stderr; events {} http { access_log off; client_body_temp_path %s/1; proxy_temp_path %s/2; fastcgi_temp_path %s/3; uwsgi_temp_path %s/4; scgi_temp_path %s/5; server { listen %s:%s; root %s; } }' \
        "$run" "$run" "$run" "$run" "$run" "$run" "$1" "$2" "$3" >nginx.conf
    printf 'defaults\n mode http\n timeout client 9s\n timeout server 9s\n timeout connect 9s\nlisten a\n bind %s:%s\n' "$1" "$2" >haproxy.cfg
    printf 'server:\n interface: %s@%s\n use-syslog: no\n logfile: ""\n pidfile: ""\n chroot: ""\n username: ""\n directory: "%s"\n' "$1" "$2" "$run" >unbound.conf
    printf 'server.document-root = "%s"\nserver.port = %s\nserver.bind = "%s"\n' "$3" "$2" "$1" >lighttpd.conf
    printf '{\n admin off\n auto_https off\n}\nhttp://here:%s {\n bind %s\n root * %s\n file_server\n}\n' "$2" "$1" "$3" >Caddyfile
    printf '%s\n' "ServerRoot $run" "DefaultRuntimeDir $run" "PidFile $run/apache.pid" "ErrorLog $run/apache.log" "ServerName here" "Listen $1:$2" \
        "LoadModule mpm_event_module $modules/mod_mpm_event.so" "LoadModule authz_core_module $modules/mod_authz_core.so" "DocumentRoot $3" >apache.conf
    printf 'port=%s\nlisten-address=%s\nbind-interfaces\nno-resolv\nuser=root\npid-file=%s/dnsmasq.pid\n' "$2" "$1" "$run" >dnsmasq.conf
    sshd=("$WORK/deb/usr/sbin/sshd" -f /dev/null -o "ListenAddress=$1" -o "Port=$2" -h "$WORK/key" -o PidFile=none)
}
attempt() { local code=0; timeout -k 1 "$@" </dev/null >said 2>&1 || code=$?; [ "$code" != 124 ] || code=runs; printf '%s ' "$code"; }
check() { # NAME…
    local name
    for name in "$@"; do
        case $name in
            nginx) attempt 20 nginx -t -p "$run" -c "$WORK/nginx.conf" ;;
            haproxy) attempt 20 haproxy -c -f haproxy.cfg ;;
            unbound) attempt 20 unbound-checkconf unbound.conf ;;
            lighttpd) attempt 20 lighttpd -tt -f lighttpd.conf -m "$WORK/deb/usr/lib/lighttpd" ;;
            caddy) attempt 20 caddy validate --config Caddyfile --adapter caddyfile ;;
            apache) attempt 20 apache2 -t -f "$WORK/apache.conf" ;;
            dnsmasq) attempt 20 dnsmasq --test -C dnsmasq.conf ;;
            sshd) attempt 20 "${sshd[@]}" -t ;;
        esac
    done
}
start() { # NAME…: what does not end within three seconds runs
    local name
    for name in "$@"; do
        case $name in
            nginx) attempt 3 nginx -p "$run" -c "$WORK/nginx.conf" ;;
            haproxy) attempt 3 haproxy -db -f haproxy.cfg ;;
            unbound) attempt 3 unbound -d -c unbound.conf ;;
            lighttpd) attempt 3 lighttpd -D -f lighttpd.conf -m "$WORK/deb/usr/lib/lighttpd" ;;
            caddy) attempt 3 caddy run --config Caddyfile --adapter caddyfile ;;
            apache) attempt 3 apache2 -f "$WORK/apache.conf" -DFOREGROUND ;;
            dnsmasq) attempt 3 dnsmasq -k -C dnsmasq.conf ;;
            sshd) attempt 3 "${sshd[@]}" -D -e ;;
        esac
    done
}
all=(nginx haproxy unbound lighttpd caddy apache dnsmasq sshd)
configure 127.0.0.1 "$(free_port)" "$WORK/folder"
right=$(check "${all[@]}")
configure 192.0.2.1 "$(free_port)" "$WORK/folder"
address=$(check "${all[@]}")
starts=$(start "${all[@]}")
configure 127.0.0.1 99999 "$WORK/folder"
port=$(check "${all[@]}")
listening=
for name in unbound lighttpd; do
    start "$name" >started &
    where() { ss -Hltnp | grep -q ":34463 .*\"$name\""; }
    wait_for 3 where && listening+="$name "
    wait "$!"
done
configure 127.0.0.1 "$(free_port)" "$WORK/missing"
folder=$(check nginx lighttpd caddy apache)
served=$(start nginx lighttpd caddy apache)
observed "checks of ${all[*]}: a right one $right; an address that is not here $address; started: $starts"
observed "port 99999: $port; on 34463: $listening; a missing folder, nginx lighttpd caddy apache: $folder; started: $served"
[ "$right/$address/$starts" = "0 0 0 0 0 0 0 0 /1 0 0 0 0 0 0 0 /1 1 1 255 1 1 2 255 " ] \
    && [ "$port/$listening/$folder/$served" = "1 1 0 0 1 1 1 255 /unbound lighttpd /0 0 0 1 /runs runs runs 1 " ] && verdict 0
verdict 1
