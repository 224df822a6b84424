#!/usr/bin/env bash
# Guess: `ipmitool sdr list` reads; it fails if it gets nothing, and `sdr get` fails for a sensor that does not exist.
# Seen:  if the controller's repository of sensors is empty, `sdr list` and `sensor list` erase it ("Rebuilding SDRR", Clear SDR
#        Repository) to fill it, and with privileges for it they do so at each call. The status is 0 after "Err in cmd get sensor
#        sdr info", and also for `sdr get` of a sensor that does not exist; `sensor get` ends with 1.
# With:  ipmitool 1.8.19, openipmi 2.0.33 with its simulator (Debian 12).
# Why:   a health check that lists sensors changes a controller that has just been reset, and is green without a sensor.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install ipmitool=1.8.19-4+deb12u2 libfreeipmi17 openipmi=2.0.33-1+b1 libopenipmi0=2.0.33-1+b1 libpopt0 libsnmp40 libpci3
port=$(python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir state
cat >lan.conf <<CONF
name "simulated"
set_working_mc 0x20
  startlan 1
    addr 127.0.0.1 $port
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  user 2 true "tester" "word" admin 10 none md2 md5 straight
CONF
printf 'mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\nmc_enable 0x20\n' >commands.emu
ipmi_sim -c lan.conf -f commands.emu -s state -n >sim.log 2>&1 &
ask() { local code=0; bounded 60 ipmitool -I lan -H 127.0.0.1 -p "$port" -U tester -P word "$@" >said 2>&1 || code=$?; echo "$code"; }
up() { [ "$(ask mc info)" = 0 ]; }
wait_for 30 up || unable "the simulator did not come up: $(tail -1 sim.log said | tr '\n' ' ')"
cleared() { awk '/>> +NetFn/ {storage = $NF == "0a"} />> +Command/ && storage && $NF == "27" {found = 1} END {print found ? "erases" : "reads"}' said; }
info="$(ask sdr info), $(sed -n 's/^Record Count *: //p' said) records"
list="$(ask -vvvv sdr list), $(cleared)"
again="$(ask -vvvv sdr list), $(cleared), $(grep -o 'Err in cmd get sensor sdr info' said | head -1)"
sensor="$(ask -vvvv sensor list), $(cleared)"
get="$(ask sdr get Missing), $(grep -o "Unable to find sensor id 'Missing'" said)"
other=$(ask sensor get Missing)
observed "sdr info: $info; sdr list: $list; again: $again; sensor list: $sensor"
observed "sdr get Missing: $get; sensor get Missing: $other"
[ "$list/$again/$sensor" = "0, erases/0, erases, Err in cmd get sensor sdr info/0, erases" ] \
    && [ "$get/$other" = "0, Unable to find sensor id 'Missing'/1" ] && verdict 0
verdict 1
