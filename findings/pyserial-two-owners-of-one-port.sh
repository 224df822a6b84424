#!/usr/bin/env bash
# Guess: opening a serial port that is open already fails; after the device has gone, is_open is false and every method
#        raises SerialException.
# Seen:  a second Serial() on the port succeeds, and from then on each byte goes to whoever reads first: a message is
#        split between the two. Only when both ask for exclusive=True does the second fail. After the device is gone
#        is_open stays true; read raises a SerialException that speaks of "multiple access", reset_input_buffer a bare
#        termios.error, which is none. What arrived while no one had the port open is dropped by the next open.
# With:  pyserial 3.5 (PyPI), socat 1.7.4.4 (Debian 12) for a pair of pseudo-terminals, Linux.
# Why:   two agents, or a server and a monitor, on one board get half a line each and no error; code that catches
#        SerialException to reconnect dies on the unplugged device.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install pyserial==3.5
deb_install socat=1.7.4.4-2
socat pty,raw,echo=0,link="$WORK/near" pty,raw,echo=0,link="$WORK/far" 2>socat.log &
device=$!
wait_for 10 test -e near -a -e far || unable "socat did not come up"

judge 60 "$device" <<'PY'
import sys

import serial

from wire import *


def attempt(act):
    try:
        return act()
    except Exception as error:
        return f"{type(error).__module__}.{type(error).__name__}"


far = serial.Serial("far", timeout=2)
first, second = serial.Serial("near", timeout=2), serial.Serial("near", timeout=2)
far.write(b"temperature")
time.sleep(0.5)
parts = [first.read(4), second.read(7)]
show(f"opened twice; one message of 11 bytes: the first owner reads {parts[0]}, the second {parts[1]}")
first.close()
second.close()
held = []
exclusive = [attempt(lambda: held.append(serial.Serial("near", exclusive=True)) or "opened") for _ in range(2)]
show(f"both exclusive: {exclusive}")
for port in held:
    port.close()
far.write(b"unread")
time.sleep(0.5)
near = serial.Serial("near", timeout=1)
late = near.read(6)
show(f"sent while no one had the port open: {late!r}")
os.kill(int(sys.argv[1]), 9)
time.sleep(0.5)
gone = {"read": attempt(lambda: near.read(1)), "reset_input_buffer": attempt(near.reset_input_buffer)}
show(f"device gone: is_open {near.is_open}, {gone}")
finish((parts == [b"temp", b"erature"], "a second owner is refused or both get all"),
       (exclusive == ["opened", "serial.serialutil.SerialException"], "exclusive"), (late == b"", "unread bytes are kept"),
       (near.is_open and gone == {"read": "serial.serialutil.SerialException", "reset_input_buffer": "termios.error"}, "after the loss"))
PY
