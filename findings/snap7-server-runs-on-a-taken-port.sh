#!/usr/bin/env bash
# Guess: a second PLC on a port fails; a write that does not fit changes nothing; plc_stop stops the PLC; a client of a stopped
#        one is not connected.
# Seen:  the second server's start() returns 0 and its status is "Running"; chance decides which of the two a client gets. A
#        write of 8 bytes of which 2 fit raises, and has written the 2. plc_stop() returns 0 and the PLC stays in "Run". After
#        the server's stop() get_connected() is true and one more read answers with data.
# With:  python-snap7 3.3.0 (PyPI), its own server and client.
# Why:   tests of two projects talk to one or the other simulator; "connected", "stopped" and a raised error are no proof of
#        the state of the device.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install python-snap7==3.3.0
PYTHON="$WORK/venv/bin/python" judge 60 "$(free_port)" "$(free_port)" <<'PY'
import ctypes
import logging
import sys

import snap7
from snap7.server import Server
from snap7.type import SrvArea
from wire import finish, show

logging.disable(logging.CRITICAL)
port = int(sys.argv[1])
first, second = Server(log=False), Server(log=False)
memory, other = (ctypes.c_uint8 * 16)(), (ctypes.c_uint8 * 16)(*[9] * 16)
first.register_area(SrvArea.DB, 1, memory)
second.register_area(SrvArea.DB, 1, other)
first.start(tcp_port=port)
again = second.start(tcp_port=port), second.get_status()[:2]
answers = set()
for _ in range(40):
    client = snap7.client.Client()
    client.connect("127.0.0.1", 0, 1, port)
    answers.add(client.db_read(1, 0, 1)[0])
    client.disconnect()
show(f"second start on the port: {again[0]}, {again[1]}; forty clients of the port get the answers of {len(answers)} servers")
first.stop()
second.stop()
first = Server(log=False)
first.register_area(SrvArea.DB, 1, memory)
first.start(tcp_port=int(sys.argv[2]))
client = snap7.client.Client()
client.connect("127.0.0.1", 0, 1, int(sys.argv[2]))
try:
    refused = f"returned {client.db_write(1, 14, bytearray([7] * 8))}"
except Exception as error:
    refused = type(error).__name__
written = list(client.db_read(1, 12, 4))
show(f"8 bytes of which 2 fit: {refused}, the last four bytes are {written}")
stopped = client.plc_stop(), str(client.get_cpu_state())
show(f"plc_stop: {stopped[0]}, then {stopped[1]}")
first.stop()
connected = client.get_connected()
try:
    read = len(client.db_read(1, 0, 4))
except Exception as error:
    read = type(error).__name__
show(f"after the server's stop: connected {connected}, read {read}")
finish((again == (0, ("Running", "Run")) and len(answers) == 2, "a second server on the port is refused"),
       (refused == "S7ProtocolError" and written == [0, 0, 7, 7], "a write that does not fit"),
       (stopped[0] == 0 and "Run" in stopped[1], "plc_stop"), (connected is True and read == 4, "after the stop"))
PY
