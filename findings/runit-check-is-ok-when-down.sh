#!/usr/bin/env bash
# Guess: `sv status` or `sv check` of a service that is down or that dies at once exits non-zero; when the supervisor gets
#        SIGTERM the services end.
# Seen:  both exit 0 for a service that is down, and for one whose every start fails ("down, normally up, want up"): they
#        report whether the supervisor answers. After SIGTERM to runsvdir, its runsv processes and the services run on;
#        SIGHUP would be the signal that takes them along.
# With:  runit 2.1.2 (Debian 12: runit 2.1.2-54).
# Why:   a health command `sv check web` is always green; stopping the supervisor stops nothing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install runit=2.1.2-54
mkdir -p services/web services/bad
printf '#!/bin/sh\nexec sleep 60\n' >services/web/run
printf '#!/bin/sh\nexit 1\n' >services/bad/run
chmod +x services/*/run
runsvdir services >runit.log 2>&1 &
supervisor=$!
wait_for 10 test -p services/web/supervise/control && wait_for 10 test -p services/bad/supervise/control || unable "runsvdir did not come up"
status() { local code=0; sv "$@" >answer 2>&1 || code=$?; printf '%s ' "$code"; cut -d: -f1-2 answer | head -1; }
sleep 2
bad_status=$(status status ./services/bad)
bad_check=$(status check ./services/bad)
sv stop ./services/web >/dev/null
down_status=$(status status ./services/web)
down_check=$(status check ./services/web)
observed "a service that dies at once: status → $bad_status, check → $bad_check"
observed "a stopped service: status → $down_status, check → $down_check"
sv start ./services/web >/dev/null
pid=$(cat services/web/supervise/pid)
kill -TERM "$supervisor"
wait "$supervisor" || true
sleep 1
left=gone
kill -0 "$pid" 2>/dev/null && left=running
observed "after SIGTERM to runsvdir the service is $left"
for name in web bad; do sv exit "./services/$name" >/dev/null 2>&1 || true; done
[ "${bad_status%% *}${bad_check%% *}${down_status%% *}${down_check%% *}" = 0000 ] && [ $left = running ] && verdict 0
verdict 1
