#!/usr/bin/env bash
# Guess: `rigctl … F abc`, a mode that does not exist or a level that the radio does not have, fail.
# Seen:  the status is 0 for each; "Invalid parameter" or "Feature not available" is on stdout, of an unknown mode nothing at
#        all. Only a radio that cannot be opened is a failure (2). rotctl ends with 2 for a position out of range.
# With:  libhamlib-utils 4.5.4 (Debian 12), its dummy radio.
# Why:   "tuned" is said of a frequency that was never set; it has to be read back.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install libhamlib-utils=4.5.4-1+b1 libhamlib4=4.5.4-1+b1 libusb-1.0-0 libreadline8 libindiclient1 libnova-0.16-0 libcfitsio10
attempt() { local code=0; bounded 20 "$@" </dev/null >out 2>/dev/null || code=$?; echo "$code $(grep -m1 -oE 'Invalid parameter|Feature not available' out || true)"; }
facts=()
for command in "rigctl -m 1 F 14074000" "rigctl -m 1 F abc" "rigctl -m 1 M NOSUCH 0" "rigctl -m 1 L NOSUCH 1" "rigctl -m 2 -r 127.0.0.1:1 f" \
    "rotctl -m 1 P 9999 0"; do
    # shellcheck disable=SC2086
    answer=$(attempt $command)
    observed "$command → $answer"
    facts+=("$answer")
done
[ "$(printf '%s,' "${facts[@]}")" = "0 ,0 Invalid parameter,0 ,0 Feature not available,2 ,2 Invalid parameter," ] && verdict 0
verdict 1
