#!/usr/bin/env bash
# Guess: mosquitto_pub of a message that the broker's access list refuses fails, at the latest with QoS 1, where the
#        broker acknowledges; subscribing to a refused topic fails too.
# Seen:  the exit status is 0. With MQTT 3.1.1, the default, QoS 0 and 1 look exactly like success, the acknowledgement
#        included. With MQTT 5 and QoS 1 there is a warning "Not authorized" on stderr, and status 0 as well. A refused
#        subscription with a time limit ends with 27, the same as "no message came".
# With:  mosquitto and mosquitto-clients 2.0.11 (Debian 12).
# Why:   "the message was acknowledged" is no proof of delivery; a check has to read it back through a second client.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
version=2.0.11-1.2+deb12u2
deb_install "mosquitto=$version" "mosquitto-clients=$version" "libmosquitto1=$version" libcjson1 libwebsockets17 libev4 libdlt2
port=$(free_port)
printf 'topic readwrite open/#\n' >access
printf 'listener %s 127.0.0.1\nallow_anonymous true\nacl_file %s\n' "$port" "$WORK/access" >broker.conf
chmod 755 "$WORK" && chmod 644 access broker.conf
mosquitto -c broker.conf >broker.log 2>&1 &
wait_for 10 listens "$port" || unable "mosquitto did not come up: $(tail -1 broker.log)"
attempt() { local code=0; bounded 10 "$@" -p "$port" >answer 2>&1 || code=$?; echo "$code $(head -1 answer)"; }
q0=$(attempt mosquitto_pub -t closed/a -m x)
q1=$(attempt mosquitto_pub -t closed/a -m x -q 1)
v5=$(attempt mosquitto_pub -t closed/a -m x -q 1 -V 5)
refused=$(attempt mosquitto_sub -t closed/a -C 1 -W 2)
quiet=$(attempt mosquitto_sub -t open/a -C 1 -W 2)
observed "refused publish: QoS 0 → '$q0', QoS 1 → '$q1', MQTT 5 QoS 1 → '$v5'"
observed "refused subscribe → '$refused', allowed but silent topic → '$quiet'"
[ "$q0" = "0 " ] && [ "$q1" = "0 " ] && [ "${v5%% *}" = 0 ] && [[ $v5 == *"Not authorized"* ]] \
    && [ "${refused%% *}" = 27 ] && [ "${quiet%% *}" = 27 ] && verdict 0
verdict 1
