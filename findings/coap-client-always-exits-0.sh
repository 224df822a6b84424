#!/usr/bin/env bash
# Guess: coap-client fails for 4.04 and 4.05, at the latest when no server answers at all.
# Seen:  the status is 0 for all of them. What was refused is on stderr, with an empty stdout; without a server stdout has a
#        warning where the value would be. aiocoap-client ends with 1 for each.
# With:  libcoap3-bin 4.3.1 (Debian 12), aiocoap 0.4.17 (PyPI).
# Why:   a probe of a sensor with coap-client is green with the device switched off; what is on stdout has to be looked at.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install libcoap3-bin=4.3.1-1 libcoap3=4.3.1-1
venv_install "$WORK/aiocoap" aiocoap==0.4.17
udp_port() { python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=$(udp_port)
nobody=$(udp_port)
coap-server-notls -A 127.0.0.1 -p "$port" >server.log 2>&1 &
there() { [ -n "$(coap-client-notls -B 1 -m get "coap://127.0.0.1:$port/time" 2>/dev/null)" ]; }
wait_for 10 there || unable "coap-server did not come up: $(tail -1 server.log)"
status() { local code=0; bounded 20 "$@" >out 2>err || code=$?; printf '%s%s ' "$code" "$([ -s out ] && echo , printed)"; }
libcoap=$(status coap-client-notls -m get "coap://127.0.0.1:$port/time"; status coap-client-notls -m get "coap://127.0.0.1:$port/nope"
    status coap-client-notls -m put -e x "coap://127.0.0.1:$port/"; status coap-client-notls -B 2 -m get "coap://127.0.0.1:$nobody/time")
aiocoap=$(status aiocoap/bin/aiocoap-client "coap://127.0.0.1:$port/time"; status aiocoap/bin/aiocoap-client "coap://127.0.0.1:$port/nope"
    status aiocoap/bin/aiocoap-client -m PUT --payload x "coap://127.0.0.1:$port/"; status aiocoap/bin/aiocoap-client "coap://127.0.0.1:$nobody/time")
observed "status for a value, 4.04, 4.05, no server: coap-client $libcoap; aiocoap-client $aiocoap"
[ "$libcoap" = "0, printed 0 0 0, printed " ] && [ "$aiocoap" = "0, printed 1 1 1 " ] && verdict 0
verdict 1
