#!/usr/bin/env bash
# Guess: caproto-put of a value that the device refuses, and caproto-get of a process variable that no one serves, fail.
# Seen:  the status is 0: for a value that is read-only or outside the limits (the message is "ErrorResponse(…"), for text
#        where a number belongs, for a state that does not exist, and for a name that nobody answers ("Timed out").
# With:  caproto 1.3.0 (PyPI), its command line and its server.
# Why:   `caproto-put magnet:current 80 && start_scan` starts the scan with the old current.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install caproto==1.3.0 numpy==2.4.6
EPICS_CA_SERVER_PORT=$(free_port)
EPICS_CA_REPEATER_PORT=$(free_port)
export EPICS_CA_SERVER_PORT EPICS_CA_REPEATER_PORT EPICS_CA_ADDR_LIST=127.0.0.1 EPICS_CA_AUTO_ADDR_LIST=NO
export EPICS_CAS_AUTO_BEACON_ADDR_LIST=NO EPICS_CAS_BEACON_ADDR_LIST=127.0.0.1
cat >magnet.py <<'PY'
from caproto import ChannelType
from caproto.server import PVGroup, pvproperty, run


class Magnet(PVGroup):
    current = pvproperty(value=1.0, lower_ctrl_limit=0.0, upper_ctrl_limit=10.0)
    serial = pvproperty(value=2.0, read_only=True)
    mode = pvproperty(value="off", enum_strings=["off", "on"], dtype=ChannelType.ENUM)


run(Magnet(prefix="magnet:").pvdb, interfaces=["127.0.0.1"])
PY
python magnet.py >server.log 2>&1 &
there() { caproto-get -w 1 magnet:mode | grep -q off; }
wait_for 30 there || unable "the server did not come up: $(tail -1 server.log)"
attempt() { local code=0; bounded 30 "$@" >answer 2>&1 || code=$?; echo "$code $(tail -1 answer)"; }
facts=()
for command in "put magnet:current 5" "put magnet:current 80" "put magnet:serial 3" "put magnet:mode broken" "put magnet:current fast" \
    "get -w 1 magnet:field"; do
    # shellcheck disable=SC2086
    answer=$(attempt caproto-$command)
    observed "caproto-$command → ${answer:0:90}"
    facts+=("${answer%% *}")
done
kept="$(caproto-get --terse magnet:current)/$(caproto-get --terse magnet:serial)/$(caproto-get --terse magnet:mode)"
observed "what the device has afterwards: $kept"
[ "${facts[*]}" = "0 0 0 0 0 0" ] && [ "$kept" = "5/2/off" ] && verdict 0
verdict 1
