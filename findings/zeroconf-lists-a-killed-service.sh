#!/usr/bin/env bash
# Guess: a service that was announced over mDNS by a process that is killed disappears from a ServiceBrowser soon, or
#        get_service_info() finds that it does not answer.
# Seen:  nothing is reported. The browser keeps it for up to 75 minutes (its pointer record lives 4,500 s, asked for again only at
#        75 % of that), and get_service_info() in the same process answers at once from the cache with the old address and
#        port, for two minutes after the last announcement. A browser that starts afterwards does not see it.
# With:  zeroconf 0.154.0 (PyPI), on the loopback interface.
# Why:   a printer, camera or board that lost its power is offered for over an hour; a new one under the same name and another
#        port is met by the old one's. Each use has to try the address.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install zeroconf==0.154.0
cat >device.py <<'PY'
import socket
import time

from zeroconf import ServiceInfo, Zeroconf

zeroconf = Zeroconf(interfaces=["127.0.0.1"])
zeroconf.register_service(ServiceInfo("_finding._tcp.local.", "board._finding._tcp.local.", addresses=[socket.inet_aton("127.0.0.1")], port=4711))
print("announced", flush=True)
time.sleep(600)
PY
PYTHON=python judge 90 <<'PY'
import sys

from zeroconf import ServiceBrowser, Zeroconf, current_time_millis

from wire import *

KIND, NAME = "_finding._tcp.local.", "board._finding._tcp.local."


def watch():
    zeroconf, events = Zeroconf(interfaces=["127.0.0.1"]), []
    ServiceBrowser(zeroconf, KIND, handlers=[lambda zeroconf, service_type, name, state_change: events.append(state_change.name)])
    return zeroconf, events


device = subprocess.Popen([sys.executable, "device.py"], stdout=subprocess.PIPE)
if device.stdout.readline() != b"announced\n":
    raise SystemExit(2)
early, events = watch()
for _ in range(200):
    if events:
        break
    time.sleep(0.1)
found = early.get_service_info(KIND, NAME, timeout=3000)
device.kill()
device.wait()
time.sleep(10)
begun = time.monotonic()
again = early.get_service_info(KIND, NAME, timeout=3000)
took = time.monotonic() - begun
[record] = early.cache.entries_with_name(KIND)
left = record.get_remaining_ttl(current_time_millis())
late, others = watch()
time.sleep(3)
show(f"before: {events}, port {found and found.port}; 10 s after kill -9: {events}, get_service_info gives port {again and again.port}, asked "
     f"{'nobody' if took < 0.5 else 'the network'}; the record is kept for {left:.0f} s more; a new browser sees {others}")
finish((events == ["Added"], f"events: {events}"), (bool(again) and again.port == 4711 and took < 0.5, f"info: {again}, {took}"),
       (4300 < left <= 4500, f"left: {left}"), (not others, f"a new browser: {others}"))
PY
