#!/usr/bin/env bash
# Guess: snmpget fails when the device does not have the value that it is asked for.
# Seen:  with version 2c, and so with 3, the answer "No Such Instance" or "No Such Object" is a value like others: it is
#        printed on stdout, and the status is 0. snmpwalk of nothing ends with 0, too. With version 1 the same question ends
#        with 2. What fails with every version is no answer at all (1, also for a wrong community).
# With:  snmp and snmpd 5.9.3 (Debian 12).
# Why:   "snmpget … succeeded" as a health check proves that the agent answers and nothing of the printer, UPS or switch
#        port that was meant; after a change of version a check that worked is always green.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
version=5.9.3+dfsg-2+deb12u1
deb_install "snmp=$version" "snmpd=$version" "libsnmp40=$version" libpci3
export MIBS="" SNMP_PERSISTENT_DIR="$WORK/kept" SNMPCONFPATH="$WORK"
mkdir kept
port=$(python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
printf 'agentAddress udp:127.0.0.1:%s\nrocommunity public 127.0.0.1\nsysLocation here\n' "$port" >agent.conf
snmpd -f -Lo -C -c agent.conf >agent.log 2>&1 &
ask() { # COMMAND VERSION COMMUNITY OID: status and answer
    local code=0
    "$1" "-v$2" -c "$3" -r 1 -t 2 -Oqv "127.0.0.1:$port" "$4" >answer 2>/dev/null || code=$?
    echo "$code $(head -1 answer)"
}
there() { [[ $(ask snmpget 2c public 1.3.6.1.2.1.1.6.0) == *here* ]]; }
wait_for 20 there || unable "snmpd did not answer: $(tail -1 agent.log)"
instance=$(ask snmpget 2c public 1.3.6.1.2.1.1.6.7)
object=$(ask snmpget 2c public 1.3.6.1.4.1.99999.1.0)
walk=$(ask snmpwalk 2c public 1.3.6.1.4.1.99999)
first=$(ask snmpget 1 public 1.3.6.1.4.1.99999.1.0)
silent=$(ask snmpget 2c other 1.3.6.1.2.1.1.6.0)
observed "version 2c: '$instance'; '$object'; snmpwalk: '$walk'; version 1: '$first'; a wrong community: '$silent'"
[[ $instance == "0 No Such Instance"* && $object == "0 No Such Object"* && $walk == "0 No Such Object"* ]] \
    && [ "$first/$silent" = "2 /1 " ] && verdict 0
verdict 1
