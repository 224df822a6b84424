#!/usr/bin/env bash
# Guess: a measured point of an IEC 60870-5-104 client that has no connection yet, no longer, or that the station does not
#        have, has no value or a quality that is not good.
# Seen:  its value is 0.0 and its quality good before the first connection, and for ever if the station does not know it.
#        After the connection is lost it keeps the last value, with good quality. `client.start()` returns None with no
#        server there. Only `connection.is_connected`, and `processed_at` or a failed read(), tell.
# With:  c104 2.2.1 (PyPI).
# Why:   an alarm on 0 MW, or a display that shows the last power for hours, with the flag that exists to say so set to good.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install c104==2.2.1
cat >station.py <<'PY'
import sys, time
import c104
server = c104.Server(ip="127.0.0.1", port=int(sys.argv[1]))
point = server.add_station(common_address=1).add_point(io_address=11, type=c104.Type.M_ME_NC_1)
point.value = 7.5
server.start()
time.sleep(60)
PY
PYTHON=python judge 60 <<'PY'
import socket
import sys

import c104

from wire import *

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
client = c104.Client()
connection = client.add_connection(ip="127.0.0.1", port=port, init=c104.Init.ALL)
station = connection.add_station(common_address=1)
known, unknown = (station.add_point(io_address=number, type=c104.Type.M_ME_NC_1) for number in (11, 12))


def until(holds, seconds=30):
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.1)


def now():
    return connection.is_connected, [(point.value, point.quality.is_good()) for point in (known, unknown)]


started = client.start()
time.sleep(1)
before = now()
device = subprocess.Popen([sys.executable, "station.py", str(port)])
until(lambda: connection.is_connected)
until(lambda: connection.unmute() and connection.interrogation(common_address=1) and known.value != 0, 15)
during = now()
device.kill()
device.wait()
until(lambda: not connection.is_connected)
after, read = now(), known.read()
client.stop()
show(f"start() without a server: {started}; connected, (value, is_good) of a point and of one that the station has not: {before}")
show(f"connected: {during}; lost: {after}, read() {read}")
finish((started is None and before == (False, [(0.0, True), (0.0, True)]), f"before: {before}"), (during == (True, [(7.5, True), (0.0, True)]), f"during: {during}"),
       (after == (False, [(7.5, True), (0.0, True)]) and not read, f"after: {after}, {read}"))
PY
