#!/usr/bin/env bash
# Guess: with a vehicle that sends nothing any more `motors_armed()` and `flightmode` change or raise, `location()` fails, a
#        command to it fails, a closed TCP link raises; a second ground station on the same UDP port fails.
# Seen:  motors_armed() and flightmode say for good what the last heartbeat said. location() waits for ever, for a position
#        newer than the last one. Commands return None, over a closed TCP link too; receiving there returns None, as
#        silence does, and prints "EOF on TCP socket" thousands of times a second. The second station opens the port as
#        well and gets all that comes; the first one gets nothing, without a word.
# With:  pymavlink 2.4.50 (PyPI), Linux.
# Why:   only time_since("HEARTBEAT") tells that a vehicle is gone. Two checkouts that simulate on 14550 take each other's
#        vehicle.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install pymavlink==2.4.50
PYTHON=python judge 60 <<'PY'
import contextlib
import io
import socket

from pymavlink import mavutil

from wire import *

ARMED = 128


def send(port, times):
    vehicle = mavutil.mavlink_connection(f"udpout:127.0.0.1:{port}", source_system=1)
    for number in range(times):
        vehicle.mav.heartbeat_send(2, 3, ARMED | 81, 0, 4)
        vehicle.mav.global_position_int_send(number, 471234567, 81234567, 0, 0, 0, 0, 0, 0)
        vehicle.mav.gps_raw_int_send(number, 3, 471234567, 81234567, 0, 0, 0, 0, 0, 0)
        vehicle.mav.vfr_hud_send(0, 0, 0, 0, 0, 0)
    vehicle.close()


def received(station):
    count = 0
    while station.recv_match(blocking=True, timeout=0.5):
        count += 1
    return count


ground = mavutil.mavlink_connection("udpin:127.0.0.1:0")
port = ground.port.getsockname()[1]
send(port, 3)
first = received(ground)
before = bool(ground.motors_armed()), ground.flightmode
time.sleep(2)
after = bool(ground.motors_armed()), ground.flightmode
age = ground.time_since("HEARTBEAT")
waiting = threading.Thread(target=ground.location, daemon=True)
waiting.start()
command = ground.mav.command_long_send(1, 1, 400, 0, 0, 0, 0, 0, 0, 0, 0)
waiting.join(5)
stuck = waiting.is_alive()
one = mavutil.mavlink_connection("udpin:127.0.0.1:0")
port = one.port.getsockname()[1]
two = mavutil.mavlink_connection(f"udpin:127.0.0.1:{port}")
send(port, 3)
shares = received(one), received(two)

with socket.create_server(("127.0.0.1", 0)) as listener:
    link = mavutil.mavlink_connection(f"tcp:127.0.0.1:{listener.getsockname()[1]}")
    listener.accept()[0].close()
printed = io.StringIO()
with contextlib.redirect_stdout(printed):
    silence = link.recv_match(blocking=True, timeout=1)
    answers = [link.mav.heartbeat_send(6, 8, 0, 0, 0) for _ in range(3)]
lines = printed.getvalue().count("EOF on TCP socket")
show(f"{first} messages came; armed and mode: then {before}, {age:.0f} s after the last heartbeat {after}; location() still waits: {stuck}; command: {command}")
show(f"of 12 messages the first station gets {shares[0]}, the second on the same port {shares[1]}")
show(f"a closed TCP link: receive {silence}, send {answers}, 'EOF on TCP socket' {'more' if lines > 1000 else 'less'} than 1,000 times in a second")
finish((before == after and before[0] and first == 12, f"armed: {before}, {after}"), (stuck, "location()"), (command is None, "command"),
       (shares == (0, 12), f"two stations: {shares}"), (silence is None and answers == [None] * 3 and lines > 100, f"TCP: {silence}, {answers}, {lines}"))
PY
