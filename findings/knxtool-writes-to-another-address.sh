#!/usr/bin/env bash
# Guess: a group address or a value that cannot be is refused; a read that nothing answers fails; a switch is on when a device, or at
#        least the bus, has confirmed it.
# Seen:  with status 0 `knxtool groupswrite` writes to 0/0/1 for 1/2/999 and to 0/0/50 for 32/1/1, sends 0 for the value 300, 0x10
#        for 10 and 0x3F for "zz". `groupreadresponse` without an answer ends with 0. xknx's switch is on after
#        set_on(), on a bus without a device.
# With:  knxd and knxd-tools 0.14.54.1 (Debian 12), xknx 4.0.0 (PyPI), knxd's driver "dummy" for an empty bus.
# Why:   a typing mistake switches something else; exit status and state show that a telegram was sent, not that anything happened.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install knxd=0.14.54.1+b1 knxd-tools=0.14.54.1+b1 libev4=1:4.33-1 libfmt9=9.1.0+ds1-2 libusb-1.0-0=2:1.0.26-1
pip_install xknx==4.0.0
port=$(free_port)
tunnel=$(free_port)
cat >knxd.ini <<INI
[main]
addr = 0.0.1
client-addrs = 0.0.2:30
connections = bus,tools,router
[bus]
driver = dummy
[tools]
server = knxd_tcp
port = $port
[router]
server = ets_router
port = $tunnel
interface = lo
tunnel = tunnel
[tunnel]
INI
knxd knxd.ini >knxd.log 2>&1 &
wait_for 20 listens "$port" || unable "knxd did not come up: $(tail -1 knxd.log)"
stdbuf -oL knxtool groupsocketlisten "ip:127.0.0.1:$port" >heard 2>&1 &
attempt() { local code=0 what=$1; shift; bounded 30 knxtool "$what" "ip:127.0.0.1:$port" "$@" >said 2>&1 || code=$?; echo "$code"; }
listening() { attempt groupswrite 5/5/5 1 >/dev/null && grep -q 'to 5/5/5: 01' heard; }
wait_for 20 listening || unable "nothing is heard on the bus"
facts=()
try() { # ADDRESS VALUE: the status, and what went to the bus
    local before code
    before=$(wc -l <heard)
    code=$(attempt groupswrite "$1" "$2")
    more() { [ "$(wc -l <heard)" -gt "$before" ]; }
    wait_for 3 more || true
    facts+=("$1 $2 → $code, $(tail -n "+$((before + 1))" heard | sed 's/.* to //')")
}
try 1/2/3 1
try 1/2/999 1
try 32/1/1 1
try 1/2/3 300
try 1/2/3 10
try 1/2/3 zz
read=$(attempt groupreadresponse 1/2/3)
answer=$(grep -c Response said || true)
state=$(python - "$tunnel" <<'PY'
import asyncio
import sys

from xknx import XKNX
from xknx.devices import Switch
from xknx.io import ConnectionConfig, ConnectionType


async def main():
    config = ConnectionConfig(connection_type=ConnectionType.TUNNELING, gateway_ip="127.0.0.1", gateway_port=int(sys.argv[1]))
    async with XKNX(connection_config=config) as xknx:
        switch = Switch(xknx, name="s", group_address="1/2/3")
        xknx.devices.async_add(switch)
        before = switch.state
        await switch.set_on()
        for _ in range(100):
            if switch.state is not None:
                break
            await asyncio.sleep(0.1)
        print(before, switch.state)


asyncio.run(main())
PY
)
for fact in "${facts[@]}"; do observed "groupswrite $fact"; done
observed "groupreadresponse: status $read, answers $answer; xknx's switch before and after set_on: $state"
[ "$(printf '%s;' "${facts[@]}")" = "1/2/3 1 → 0, 1/2/3: 01;1/2/999 1 → 0, 0/0/1: 01;32/1/1 1 → 0, 0/0/50: 01;1/2/3 300 → 0, 1/2/3: 00;1/2/3 10 → 0, 1/2/3: 10;1/2/3 zz → 0, 1/2/3: 3F;" ] \
    && [ "$read/$answer/$state" = "0/0/None True" ] && verdict 0
verdict 1
