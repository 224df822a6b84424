#!/usr/bin/env bash
# Guess: `publish` that the broker refuses is not `is_published()`, or raises; one with an error code is not sent; a refused
#        subscription is not granted.
# Seen:  paho's `wait_for_publish()` returns and `is_published()` is true for a message that the broker refused, with MQTT 5 too,
#        where the answer says "Not authorized": only the callback on_publish has it. aiomqtt's `publish` returns. A publish
#        before the connection returns MQTT_ERR_NO_CONN, `is_published()` raises "Message publish failed", and with QoS 1 the
#        message is sent all the same once there is a connection. mosquitto grants a subscription of topics that may not be read.
# With:  paho-mqtt 2.2.0, aiomqtt 2.5.1 (PyPI), mosquitto 2.0.11 (Debian 12).
# Why:   a command to a device is "published" and never arrives, and one that "failed" is repeated by the program and arrives twice.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
version=2.0.11-1.2+deb12u2
deb_install "mosquitto=$version" "libmosquitto1=$version" libcjson1 libwebsockets17 libev4 libdlt2
pip_install paho-mqtt==2.2.0 aiomqtt==2.5.1
port=$(free_port)
chmod 755 .
echo "topic readwrite allowed/#" >acl
printf '%s\n' "listener $port 127.0.0.1" "allow_anonymous true" "acl_file $WORK/acl" "user $(id -un)" >mosquitto.conf
mosquitto -c mosquitto.conf >mosquitto.log 2>&1 &
wait_for 20 listens "$port" || unable "mosquitto did not come up: $(tail -1 mosquitto.log)"
PYTHON="$WORK/venv/bin/python" judge 60 "$port" <<'PY'
import asyncio
import queue
import sys

import aiomqtt
import paho.mqtt.client as mqtt

from wire import finish, show

PORT = int(sys.argv[1])


def connected(version):
    client, seen = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=version), queue.Queue()
    client.on_connect = lambda *_: seen.put("connected")
    client.on_publish = lambda _client, _data, _mid, reason, _properties: seen.put(str(reason))
    client.on_subscribe = lambda _client, _data, _mid, reasons, _properties: seen.put(str(reasons[0]))
    client.on_message = lambda _client, _data, message: seen.put(message.payload.decode())
    return client, seen


def denied(version):
    client, seen = connected(version)
    client.connect("127.0.0.1", PORT)
    client.loop_start()
    seen.get(timeout=10)
    sent = client.publish("secret/door", "open", qos=1)
    sent.wait_for_publish(10)
    reason = seen.get(timeout=10)
    client.subscribe("secret/#", 1)
    granted = seen.get(timeout=10)
    client.disconnect()
    client.loop_stop()
    return sent.is_published(), reason, granted


old, new = denied(mqtt.MQTTv311), denied(mqtt.MQTTv5)
show(f"refused, MQTT 3.1.1: is_published {old[0]}, callback {old[1]!r}, subscription {old[2]!r}; MQTT 5: {new[0]}, {new[1]!r}, {new[2]!r}")
listener, heard = connected(mqtt.MQTTv5)
listener.connect("127.0.0.1", PORT)
listener.loop_start()
heard.get(timeout=10)
listener.subscribe("allowed/#", 1)
heard.get(timeout=10)
early, _ = connected(mqtt.MQTTv5)
sent = early.publish("allowed/door", "open", qos=1)
try:
    said = sent.is_published()
except RuntimeError as error:
    said = str(error)
early.connect("127.0.0.1", PORT)
early.loop_start()
arrived = heard.get(timeout=10)
early.loop_stop()
listener.loop_stop()
show(f"before the connection: {mqtt.error_string(sent.rc)} {said}; after it, a subscriber gets {arrived!r}")


async def publish():
    async with aiomqtt.Client("127.0.0.1", PORT, protocol=aiomqtt.ProtocolVersion.V5) as client:
        try:
            return f"returns {await client.publish('secret/door', 'open', qos=1)}"
        except aiomqtt.MqttError as error:
            return f"raises {error}"


other = asyncio.run(publish())
show(f"aiomqtt, refused: {other}")
finish((old == (True, "Success", "Granted QoS 1") and new == (True, "Not authorized", "Granted QoS 1"), "refused"),
       (sent.rc == mqtt.MQTT_ERR_NO_CONN and "failed" in str(said) and arrived == "open", "before the connection"),
       (other == "returns None", "aiomqtt"))
PY
