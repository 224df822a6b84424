#!/usr/bin/env bash
# Guess: `svc -u` of a name that is misspelled fails, and svstat of a service that is down or that no one supervises.
# Seen:  the status is 0 for all of them; svc writes a warning, svstat has its sentence on stdout. Only svok tells, and that
#        of the supervisor alone.
# With:  daemontools 0.76 (Debian 12: 1:0.76-8.1).
# Why:   `svc -u /service/wbe && echo started` says started; a health check has to read svstat's words.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install daemontools=1:0.76-8.1
mkdir -p bad
printf '#!/bin/sh\nexit 1\n' >bad/run
chmod +x bad/run
supervise bad >supervise.log 2>&1 &
wait_for 10 svok bad || unable "supervise did not come up: $(tail -1 supervise.log)"
attempt() { local code=0; "$@" >out 2>err || code=$?; echo "$code $(cat out err | head -1)"; }
misspelled=$(attempt svc -u wbe)
unknown=$(attempt svstat wbe)
known=$(attempt svok wbe)
svc -d bad
down() { svstat bad | grep -q ' down '; }
wait_for 10 down
stopped=$(attempt svstat bad)
observed "svc -u wbe → $misspelled; svstat wbe → $unknown; svok wbe → $known; svstat of what is down → $stopped"
svc -x bad
[ "${misspelled%% *}${unknown%% *}${stopped%% *}" = 000 ] && [ "${known%% *}" = 111 ] && verdict 0
verdict 1
