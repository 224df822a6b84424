"""A sensor in the kitchen, which reports twice a second."""

import json
import os
import random
import time
import uuid

import paho.mqtt.client as mqtt

client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.connect("127.0.0.1", int(os.environ["MQTT_PORT"]))
client.loop_start()
while True:
    reading = {"id": uuid.uuid4().hex, "sensor": "a1", "celsius": round(random.gauss(21, 1), 2)}
    client.publish(f"{os.environ['TOPIC']}/a1", json.dumps(reading))
    time.sleep(0.5)
