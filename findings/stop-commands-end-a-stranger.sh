#!/usr/bin/env bash
# Guess: a server's own stop command looks whether the process that the pidfile names is that server, and fails if it is not.
# Seen:  with the number of a running `sleep` in the pidfile, as after a crash and some time, all of six send it their signal and return 0:
#        nginx -s stop, apache2 -k stop, uwsgi --stop, NUT's upsd -c stop, celery multi stop and start-stop-daemon --stop --pidfile.
# With:  nginx 1.22.1, apache2 2.4.71, uwsgi-core 2.0.21, NUT 2.8.0, dpkg 1.21.22 (Debian 12), celery 5.7.0 (PyPI), as root.
# Why:   numbers come again soon in a container, or after a boot: a stop of what had crashed kills another program of the same user, and
#        reports a success. What stops a service has to compare the process's start time or its command, too.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || unable "needs root"
[ -x /sbin/start-stop-daemon ] || unable "needs start-stop-daemon"
version_is dpkg "$(dpkg-query -W -f '${Version}' dpkg)" 1.21.22
pip_install celery==5.7.0
deb_install nginx=1.22.1-9+deb12u11 apache2-bin=2.4.71-1~deb12u1 uwsgi-core=2.0.21-5.1 nut-server=2.8.0-7 nut-client=2.8.0-7 libupsclient6=2.8.0-7 \
    libpcre3 libyajl2 libmatheval1 libjansson4 libaprutil1 libapr1 libcap2 libzmq5 libpgm-5.3-0 libnorm1 libsodium23
export LD_LIBRARY_PATH="$LD_LIBRARY_PATH:$WORK/deb/lib/$(uname -m)-linux-gnu"
chmod 755 "$WORK"
modules="$WORK/deb/usr/lib/apache2/modules"
printf 'pid %s/nginx.pid; error_log stderr; events {} http {}' "$WORK" >nginx.conf
printf '%s\n' "ServerRoot $WORK" "DefaultRuntimeDir $WORK" "PidFile $WORK/apache.pid" "ErrorLog $WORK/apache.log" "ServerName here" \
    "Listen 127.0.0.1:$(free_port)" "LoadModule mpm_event_module $modules/mod_mpm_event.so" \
    "LoadModule authz_core_module $modules/mod_authz_core.so" >apache.conf
export NUT_CONFPATH=$WORK NUT_STATEPATH=$WORK NUT_ALTPIDPATH=$WORK
ok=yes
try() { # NAME PIDFILE COMMAND…
    local name=$1 file=$2 code=0 stranger fate=lives
    shift 2
    python3 -c 'import os, signal, sys
for one in (signal.SIGINT, signal.SIGQUIT): signal.signal(one, signal.SIG_DFL)
os.execvp("sleep", ["sleep", "300"])' &
    stranger=$!
    disown
    wait_for 10 grep -q '^sleep' "/proc/$stranger/cmdline" || unable "sleep"
    echo "$stranger" >"$file"
    bounded 30 "$@" >said 2>&1 </dev/null || code=$?
    if wait_for 3 eval "! kill -0 $stranger"; then fate=ended; fi
    observed "$name: status $code, the sleep: $fate"
    [ "$code/$fate" = 0/ended ] || { ok=no; tail -2 said; }
    kill -9 "$stranger" 2>/dev/null || true
}
try "nginx -s stop" nginx.pid nginx -p "$WORK" -c "$WORK/nginx.conf" -e stderr -s stop
try "apache2 -k stop" apache.pid apache2 -f "$WORK/apache.conf" -k stop
try "uwsgi --stop" uwsgi.pid uwsgi-core --stop "$WORK/uwsgi.pid"
try "upsd -c stop" upsd.pid "$WORK/deb/lib/nut/upsd" -c stop
try "celery multi stop" worker.pid env -u LD_LIBRARY_PATH celery multi stop worker --pidfile="$WORK/%n.pid"
try "start-stop-daemon --stop" service.pid /sbin/start-stop-daemon --stop --pidfile "$WORK/service.pid"
[ "$ok" = yes ] && verdict 0
verdict 1
