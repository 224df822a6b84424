#!/usr/bin/env bash
# Guess: an exception in one Listener is that listener's matter; a bus that opened has an adapter behind it; what an
#        adapter sends that is no frame raises a CanError.
# Seen:  the first exception of one listener ends the Notifier's thread: no listener gets another frame, `stopped` stays
#        False, and nothing is raised where the program is; only `exception` knows. Bus(interface="slcan") opens any serial
#        device and sends "successfully" to one that never answers. A torn line from the adapter raises a bare IndexError.
# With:  python-can 4.6.1, pyserial 3.5 (PyPI), a pseudo-terminal as the device, Linux.
# Why:   a logger next to a decoder with a bug records nothing from then on, and the recording looks quiet; "connected" and
#        "sent" are no proof of an adapter.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install python-can==4.6.1 pyserial==3.5
PYTHON=python judge 60 <<'PY'
import pty
import threading

import can

from wire import *

threading.excepthook = lambda _: None  # it would print the traceback
sender, receiver = can.Bus("one", interface="virtual"), can.Bus("one", interface="virtual")
log = []


class Decoder(can.Listener):
    def on_message_received(self, msg):
        if msg.arbitration_id == 2:
            raise KeyError(msg.arbitration_id)


notifier = can.Notifier(receiver, [log.append, Decoder()], timeout=0.1)
for number in range(1, 6):
    sender.send(can.Message(arbitration_id=number, is_extended_id=False))
    time.sleep(0.2)
threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
seen = [message.arbitration_id for message in log]
show(f"the other listener got frames {seen} of 1 to 5; stopped {notifier.stopped}, exception {notifier.exception!r}, threads {threads}")
notifier.stop()
sender.shutdown()
receiver.shutdown()

near, far = pty.openpty()
bus = can.Bus(os.ttyname(far), interface="slcan", bitrate=500000, sleep_after_open=0, timeout=1)
bus.send(can.Message(arbitration_id=1, data=[1], is_extended_id=False))
state = bus.state
written = os.read(near, 100)
os.write(near, b"t00\r")
try:
    torn = repr(bus.recv(1))
except Exception as error:
    torn = type(error).__name__, isinstance(error, can.CanError)
show(f"slcan with a device that never answers: open, sent, state {state.name}, bytes written {written!r}; a torn line: {torn}")
finish((seen == [1, 2] and not threads, "the notifier"), (isinstance(notifier.exception, KeyError), "its exception"),
       (state.name == "ACTIVE" and written.endswith(b"t001101\r"), "slcan"), (torn == ("IndexError", False), f"a torn line: {torn}"))
PY
