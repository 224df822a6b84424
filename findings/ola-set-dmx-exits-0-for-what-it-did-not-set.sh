#!/usr/bin/env bash
# Guess: a light value that cannot be (DMX knows 0 to 255), a universe or a device that does not exist, is refused, at least by the
#        exit status; there are no more than 512 channels.
# Seen:  300 is set as 44, -1 as 255, "abc" as 0, both by `ola_set_dmx` and over HTTP, where the answer is "ok". Of 600 values the
#        first 512 are set. A universe and a device that do not exist are "Universe doesn't exist" and "Device doesn't exist" with
#        status 0 (HTTP: 500). Without olad the status is 1.
# With:  ola 0.10.9 (Debian 12), its dummy device; not as root, which olad refuses.
# Why:   300 meant as "full" is almost dark, -1 is full; a script whose universe was never patched reports success.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need curl setpriv
deb_install ola=0.10.9.nojsmin-2 libola1=0.10.9.nojsmin-2 libftdi1-2 liblo7 libmicrohttpd12 libprotobuf32 libusb-1.0-0
listens 9010 && unable "something listens on 9010, where the clients look for olad"
mkdir -p settings
chmod 755 "$WORK"
chmod 777 "$HOME" settings
as=()
[ "$(id -u)" != 0 ] || as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
attempt() { local code=0; bounded 20 "$@" >said 2>&1 || code=$?; echo "$code $(tail -1 said)"; }
without=$(attempt ola_set_dmx -u 1 -d 1)
port=$(free_port)
"${as[@]}" olad -c "$WORK/settings" -p "$port" --no-register-with-dns-sd >olad.log 2>&1 &
wait_for 30 listens "$port" || unable "olad did not come up: $(tail -1 olad.log)"
dummy=$(ola_dev_info | sed -n 's/^Device \([0-9]*\): Dummy Device/\1/p')
[ -n "$dummy" ] || unable "no dummy device"
values() { curl -s "http://127.0.0.1:$port/get_dmx?u=1" | sed -n 's/.*"dmx": \[\(.*\)\].*/\1/p'; }
universe=$(attempt ola_set_dmx -u 99 -d 1)
device=$(attempt ola_patch -d 99 -p 0 -u 1)
attempt ola_patch -d "$dummy" -p 0 -u 1 >/dev/null
beyond="$(attempt ola_set_dmx -u 1 -d 300,-1,abc,7), set: $(values)"
many="$(attempt ola_set_dmx -u 1 -d "$(seq -s, 1 600)"), channels: $(values | tr ',' '\n' | wc -l)"
http="$(curl -s "http://127.0.0.1:$port/set_dmx" -d 'u=1&d=300,-1,abc,7'), set: $(values)"
http_universe=$(curl -s -o /dev/null -w "%{http_code}" "http://127.0.0.1:$port/set_dmx" -d "u=99&d=1")
observed "300,-1,abc,7: status $beyond; 600 values: status $many; over HTTP: $http"
observed "a universe that does not exist: status $universe, over HTTP $http_universe; a device: status $device; without olad: status ${without%% *}"
[ "$beyond/$many/$http" = "0 , set: 44,255,0,7/0 , channels: 512/ok, set: 44,255,0,7" ] \
    && [ "$universe/$device/$http_universe/${without%% *}" = "0 Universe doesn't exist/0 Device doesn't exist/500/1" ] && verdict 0
verdict 1
