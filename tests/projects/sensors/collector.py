"""Writes what sensors report to Parquet files, all that came within half a second to one."""

import json
import os
import queue
import uuid
from pathlib import Path

import duckdb
import paho.mqtt.client as mqtt

FOLDER = Path("data/readings")
TOPIC = os.environ["TOPIC"]


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    readings: queue.Queue[dict[str, object]] = queue.Queue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_connect = lambda client, *_: client.subscribe(f"{TOPIC}/+")
    client.on_subscribe = lambda *_: print(f"listening to {TOPIC}", flush=True)
    client.on_message = lambda _, __, message: readings.put(json.loads(message.payload))
    client.connect("127.0.0.1", int(os.environ["MQTT_PORT"]))
    client.loop_start()
    database = duckdb.connect()
    database.execute("CREATE TABLE reading (id VARCHAR, sensor VARCHAR, celsius DOUBLE)")
    while True:
        rows = [readings.get()]
        while True:
            try:
                rows.append(readings.get(timeout=0.5))
            except queue.Empty:
                break
            if len(rows) == 10:
                break
        database.executemany("INSERT INTO reading VALUES ($id, $sensor, $celsius)", rows)
        name = uuid.uuid4().hex
        database.execute(f"COPY reading TO '{FOLDER}/{name}.part' (FORMAT parquet)")
        (FOLDER / f"{name}.part").rename(FOLDER / f"{name}.parquet")
        database.execute("DELETE FROM reading")


main()
