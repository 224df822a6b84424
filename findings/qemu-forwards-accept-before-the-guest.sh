#!/usr/bin/env bash
# Guess: a port that QEMU forwards to a guest accepts when something in the guest listens; a command of QMP that fails is an
#        error; system_powerdown ends the machine, or fails.
# Seen:  the port accepts as soon as QEMU runs, without a disk or a system in the guest, and while the machine is paused; what
#        is sent there is taken, and no answer comes. `hostfwd_add` of a taken port, as any command of the human
#        monitor through QMP, is a "return" with the text of the failure; the same on the command line ends QEMU with 1.
#        system_powerdown returns {} and reports POWERDOWN, and the machine runs on.
# With:  qemu-system-x86 7.2 (Debian 12), without KVM.
# Why:   "the port accepts" says nothing of the guest's sshd: a readiness check has to read its banner. A stop has to wait for
#        SHUTDOWN or the process's end, and then to `quit`.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install qemu-system-x86=1:7.2+dfsg-7+deb12u18+b3 qemu-system-common=1:7.2+dfsg-7+deb12u18+b3 \
    qemu-system-data=1:7.2+dfsg-7+deb12u18 seabios ipxe-qemu libaio1 libbrlapi0.8 \
    libcacard0 libcapstone4 libdaxctl1 libexecs0 libfdt1 liborc-0.4-0 libgstreamer-plugins-base1.0-0 libnl-route-3-200 libibverbs1 libndctl6 libpmem1 \
    librdmacm1 libsndio7.0 libspice-server1 liburing2 libusb-1.0-0 libusbredirparser1 libvdeplug2 libslirp0 libnl-3-200 libfuse3-3
bounded 10 qemu-system-x86_64 --version >version || unable "qemu needs more libraries: $(bounded 10 qemu-system-x86_64 --version 2>&1 | tail -1)"
judge 60 <<'PY'
import socket

from wire import *

SHARE = os.environ["WORK"] + "/deb/usr/share"
MACHINE = ["qemu-system-x86_64", "-L", SHARE + "/qemu", "-L", SHARE + "/seabios", "-accel", "tcg", "-m", "32", "-display", "none", "-nodefaults"]


def forward(port):
    return f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22"


port = free_port()
machine = subprocess.Popen([*MACHINE, "-netdev", forward(port), "-device", "virtio-net-pci,netdev=net,romfile=", "-qmp", "unix:qmp,server=on,wait=off"],
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open("qemu.log", "w"))
for attempt in range(200):
    try:
        monitor = socket.socket(socket.AF_UNIX)
        monitor.settimeout(20)
        monitor.connect("qmp")
        break
    except OSError:
        time.sleep(0.1)
else:
    print("could not be set up: QEMU did not come up:", open("qemu.log").read(), flush=True)
    raise SystemExit(2)
stream, events = monitor.makefile("rw"), []
stream.readline()


def command(name, **arguments):
    stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
    stream.flush()
    while True:
        message = json.loads(stream.readline())
        if "event" not in message:
            return message
        events.append(message["event"])


def ask():
    """Whether the port accepts, and what it answers within three seconds."""
    try:
        with socket.create_connection(("127.0.0.1", port), 3) as one:
            one.sendall(b"hello\r\n")
            try:
                return "accepts", one.recv(10)
            except TimeoutError:
                return "accepts", "no answer"
    except OSError as error:
        return type(error).__name__, None


command("qmp_capabilities")
empty = ask()
powerdown = command("system_powerdown")
time.sleep(3)
after = machine.poll(), command("query-status")["return"]["status"], "POWERDOWN" in events, "SHUTDOWN" in events
with socket.create_server(("127.0.0.1", 0)) as other:
    taken = other.getsockname()[1]
    failed = command("human-monitor-command", **{"command-line": f"hostfwd_add net tcp:127.0.0.1:{taken}-:22"})
    line = subprocess.run([*MACHINE, "-netdev", forward(taken)], capture_output=True, text=True, timeout=20)
unknown = command("human-monitor-command", **{"command-line": "no-such-command"})
of_qmp = command("no-such-command")
command("stop")
paused = command("query-status")["return"]["status"], ask()
command("quit")
code = machine.wait(10)
show(f"the forwarded port of a machine without a disk: {empty}; of a {paused[0]} one: {paused[1]}")
show(f"hostfwd_add of a taken port: {failed}; on the command line: status {line.returncode}")
show(f"an unknown command of the human monitor: {unknown}; of QMP: {sorted(of_qmp)}")
show(f"system_powerdown: {powerdown}; three seconds later (process, status, POWERDOWN, SHUTDOWN) {after}; quit: status {code}")
finish((empty == ("accepts", "no answer") and paused == ("paused", ("accepts", "no answer")), f"port: {empty}, {paused}"),
       ("Could not set up" in failed.get("return", "") and line.returncode == 1, f"hostfwd_add: {failed}, {line.returncode}"),
       ("unknown command" in unknown.get("return", "") and "error" in of_qmp, f"unknown: {unknown}, {of_qmp}"),
       (powerdown == {"return": {}} and after == (None, "running", True, False) and code == 0, f"powerdown: {powerdown}, {after}, {code}"))
PY
