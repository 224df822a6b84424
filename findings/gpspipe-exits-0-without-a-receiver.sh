#!/usr/bin/env bash
# Guess: gpsd ends, or says so to its clients, when its receiver is not there; a client that asked for four sentences, or for a
#        receiver that is not there, and did not get them, fails.
# Seen:  with a control socket gpsd accepts, greets, lists no device and stays. gpspipe ends with 0 after its time without
#        the sentences it was to wait for, and after "No such device". Started as it is by default, in the background,
#        gpsd without a control socket gives 0, too, and is gone; in the foreground it ends with 1.
# With:  gpsd and gpsd-clients 3.22 (Debian 12).
# Why:   the port, the greeting and the status are those of a working receiver; a check has to read a TPV of mode 2 or more.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install gpsd=3.22-4.1+deb12u1 gpsd-clients=3.22-4.1+deb12u1 libgps28=3.22-4.1+deb12u1 libusb-1.0-0 libbluetooth3
port=$(free_port)
attempt() { local code=0; bounded 20 "$@" </dev/null >said 2>&1 || code=$?; echo "$code"; }
gpsd -N -n -S "$port" -F "$WORK/control" "$WORK/no-such-receiver" >gpsd.log 2>&1 &
server=$!
wait_for 15 listens "$port" || unable "gpsd did not come up: $(tail -1 gpsd.log)"
sleep 1
stays=$(kill -0 "$server" 2>/dev/null && echo stays || echo ends)
four=$(attempt gpspipe -w -n 9 -x 3 "localhost:$port")
devices=$(grep -c '"class":"DEVICES","devices":\[\]' said || true)
sentences=$(grep -c '"class":"TPV"' said || true)
lines=$(grep -c class said || true)
other=$(attempt gpspipe -w -n 9 -x 3 "localhost:$port:/dev/no-such-other")
error=$(grep -c 'No such device' said || true)
kill "$server"
code=0
wait "$server" || code=$?
nobody=$(attempt gpspipe -w -n 9 -x 3 "localhost:$port")
front=$(attempt gpsd -N -n -S "$port" "$WORK/no-such-receiver")
back=$(attempt gpsd -n -S "$port" "$WORK/no-such-receiver")
sleep 2
gone=$(listens "$port" && echo listens || echo gone)
observed "gpsd without its receiver $stays, after SIGTERM $code; nine messages asked for: $lines came, $sentences positions, empty lists of devices $devices, status $four"
observed "a receiver that is not there: 'No such device' $error, status $other; no gpsd: status $nobody"
observed "gpsd without a control socket: in the foreground $front, in the background $back and $gone"
[ "$stays $code $four $devices $sentences $lines" = "stays 0 0 1 0 3" ] && [ "$other $error $nobody" = "0 1 1" ] && [ "$front $back $gone" = "1 0 gone" ] && verdict 0
verdict 1
