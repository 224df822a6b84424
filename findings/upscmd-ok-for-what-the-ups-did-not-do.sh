#!/usr/bin/env bash
# Guess: a command or value that a UPS's driver did not carry out is a failure, at least when the client waits for the result; a
#        variable of type NUMBER takes numbers; upsd does not start, or says so in its list, when a driver is missing.
# Seen:  `upscmd load.off`, which the driver does not carry out, is "OK" with status 0; with -w, which waits, it is "ERR UNKNOWN"
#        with status 0. `upsrw -s battery.charge.low=abc` of a NUMBER is "OK", with -w "SUCCESS", and stored. While the driver is
#        stopped (SIGSTOP), a set is "OK", the old value is read with status 0 for several seconds, and the set is carried out
#        when the driver runs again. upsd starts without its drivers, and `upsc -l` lists them. A second `upsdrvctl start` ends
#        the driver that runs, and starts another, with status 0.
# With:  NUT 2.8.0 (Debian 12), its dummy-ups driver.
# Why:   "OK" means that upsd took it; a load that was to be switched off is on, and a low-battery limit of "abc" is none.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install nut-server=2.8.0-7 nut-client=2.8.0-7 libupsclient6=2.8.0-7
mkdir etc state
chmod 700 state
export NUT_CONFPATH="$WORK/etc" NUT_STATEPATH="$WORK/state" NUT_ALTPIDPATH="$WORK/state"
export PATH="$WORK/deb/sbin:$PATH" LD_LIBRARY_PATH="$LD_LIBRARY_PATH:$WORK/deb/lib/$(uname -m)-linux-gnu"
user=$(id -un)
port=$(free_port)
printf 'driverpath = %s\nuser = %s\n[lab]\n driver = dummy-ups\n port = lab.dev\n' "$WORK/deb/lib/nut" "$user" >etc/ups.conf
printf 'ups.status: OL\nbattery.charge: 90\nbattery.charge.low: 20\n' >etc/lab.dev
printf 'LISTEN 127.0.0.1 %s\n' "$port" >etc/upsd.conf
printf '[admin]\n password = pw\n actions = SET\n instcmds = ALL\n' >etc/upsd.users
chmod 600 etc/*
ups="lab@127.0.0.1:$port"
attempt() { local code=0; bounded 20 "$@" >said 2>&1 || code=$?; echo "$code $(grep -v "Init SSL" said | tail -1)"; }
read_value() { attempt upsc "$ups" "$1"; }
started=$(attempt "$WORK/deb/lib/nut/upsd" -u "$user")
wait_for 20 listens "$port" || unable "upsd did not come up: $(tail -1 said)"
without="$(attempt upsc -l "127.0.0.1:$port"), read: $(read_value ups.status | cut -c1)"
attempt upsdrvctl -u "$user" start >/dev/null
ready() { [ "$(read_value ups.status)" = "0 OL" ]; }
wait_for 30 ready || unable "the driver did not come up: $(tail -1 said)"
attempt upscmd -l "$ups" >/dev/null
offered=$(grep -c load.off said || true)
off="$(attempt upscmd -u admin -p pw "$ups" load.off), waiting: $(attempt upscmd -w -u admin -p pw "$ups" load.off)"
attempt upsrw "$ups" >/dev/null
kind=$(sed -n '/^.battery.charge.low/,/^$/s/^Type: //p' said)
low="$(attempt upsrw -s battery.charge.low=abc -u admin -p pw "$ups"), waiting: $(attempt upsrw -w -s battery.charge.low=abc -u admin -p pw "$ups"), read: $(read_value battery.charge.low)"
driver=$(cat state/dummy-ups-lab.pid)
kill -STOP "$driver"
stopped="$(attempt upsrw -s battery.charge=77 -u admin -p pw "$ups"), read: $(read_value battery.charge)"
kill -CONT "$driver"
carried() { [ "$(read_value battery.charge)" = "0 77" ]; }
wait_for 20 carried && later=yes || later=no
again=$(attempt upsdrvctl -u "$user" start | cut -c1)
replaced() { [ -s state/dummy-ups-lab.pid ] && [ "$(cat state/dummy-ups-lab.pid)" != "$driver" ] && ! kill -0 "$driver"; }
wait_for 20 replaced && other="another process" || other="the same process"
attempt upsdrvctl -u "$user" stop >/dev/null
attempt "$WORK/deb/lib/nut/upsd" -c stop >/dev/null
observed "upsd without a driver: ${started%% *}, list: $without; load.off (offered: $offered): $off"
observed "battery.charge.low, a $kind, as abc: $low; with the driver stopped, 77: $stopped, carried out later: $later; a second start: $again, $other"
[ "${started%% *}/$without/$offered/$off" = "0/0 lab, read: 1/1/0 OK, waiting: 0 ERR UNKNOWN" ] \
    && [ "$kind/$low" = "NUMBER/0 OK, waiting: 0 SUCCESS, read: 0 abc" ] && [ "$stopped/$later/$again/$other" = "0 OK, read: 0 90/yes/0/another process" ] && verdict 0
verdict 1
