#!/usr/bin/env bash
# Guess: a serial port that a program holds for itself cannot be opened by another one; whichever of the two comes first keeps the other out.
# Seen:  of six there are three kinds. Node's serialport, picocom and pyserial with exclusive=True take flock, and keep out each other alone.
#        pyserial without it and socat ask for nothing: they open what those three hold. Go's go.bug.st/serial asks the kernel (TIOCEXCL):
#        it opens what any of the five holds, and from then on no one, whatever it uses, can open the port again.
# With:  pyserial 3.5 (PyPI), serialport 13.0.0 (npm), Node 20, go.bug.st/serial 1.6.4 (Go), picocom 3.1, socat 1.7.4.4 (Debian 12), on a pty,
#        without CAP_SYS_ADMIN, with which the kernel lets a program pass TIOCEXCL.
# Why:   two programs of one device each get a part of its bytes, with no error in either; a terminal that is attached to a service's device
#        to look at it can take it away from the service's next start.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || unable "needs root, to run programs without CAP_SYS_ADMIN on a pty"
need node go setpriv
version_is Node "$(node -p 'process.versions.node.split(".")[0]')" 20
pip_install pyserial==3.5
npm_install serialport@13.0.0
deb_install picocom=3.1-4 socat=1.7.4.4-2 libwrap0
mkdir program
cat >program/main.go <<'GO'
package main

import (
	"os"
	"time"

	"go.bug.st/serial"
)

func main() {
	if _, err := serial.Open(os.Args[1], &serial.Mode{BaudRate: 9600}); err != nil {
		os.Exit(1)
	}
	time.Sleep(10 * time.Minute)
}
GO
(cd program && export HOME="$USER_HOME" GOFLAGS="-mod=mod -buildvcs=false" && go mod init program && go mod edit -require go.bug.st/serial@v1.6.4 \
    && timeout 200 go build -o ../in-go .) >go.log 2>&1 || { tail -3 go.log >&2; unable "the program in Go"; }
cat >port.js <<'JS'
const {SerialPort} = require('serialport')
new SerialPort({path: process.argv[2], baudRate: 9600}, error => { if (error) process.exit(1) })
setInterval(() => {}, 1000)
JS
cat >port.py <<'PY'
import sys
import time

import serial

port = serial.Serial(sys.argv[1], 9600, exclusive=True if sys.argv[2] == "exclusive" else None)
time.sleep(600)
PY
PYTHON=python judge 150 <<'PY'
import pty
import signal
from concurrent.futures import ThreadPoolExecutor

from wire import *

PROGRAMS = {"pyserial": "python port.py {} shared", "socat": "socat -u {},rawer STDOUT", "pyserial exclusive": "python port.py {} exclusive",
            "Node": "node port.js {}", "picocom": "picocom -b 9600 {}", "Go": "./in-go {}"}
FLOCK = ("pyserial exclusive", "Node", "picocom")
ENV = os.environ | {"NODE_PATH": f"{os.environ['WORK']}/node/node_modules"}


class Program:
    def __init__(self, name, path):
        self.path = path
        self.terminal, given = pty.openpty()  # picocom wants one
        command = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", *PROGRAMS[name].format(path).split()]
        env = {key: value for key, value in ENV.items() if key != "LD_LIBRARY_PATH" or name in ("picocom", "socat")}
        self.process = subprocess.Popen(command, stdin=given, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, start_new_session=True)
        os.close(given)

    def opens(self):
        """Whether it has the port open, and keeps it for a second."""
        deadline = time.monotonic() + 15
        while self.process.poll() is None and not self._has_it() and time.monotonic() < deadline:
            time.sleep(0.05)
        try:
            self.process.wait(1)
        except subprocess.TimeoutExpired:
            return self._has_it()
        return False

    def _has_it(self):
        folder = f"/proc/{self.process.pid}/fd"
        try:
            return any(os.readlink(f"{folder}/{one}") == self.path for one in os.listdir(folder))
        except OSError:
            return False

    def end(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.terminal)


def meet(pair):
    device, port = pty.openpty()
    path = os.ttyname(port)
    os.close(port)
    holder = Program(pair[0], path)
    if not holder.opens():
        print(f"  {pair[0]} does not open a free port")
        os._exit(2)
    other = Program(pair[1], path)
    seen = other.opens()
    other.end()
    holder.end()
    os.close(device)
    return seen


pairs = [(holder, other) for holder in PROGRAMS for other in PROGRAMS]
with ThreadPoolExecutor(3) as pool:
    seen = dict(zip(pairs, pool.map(meet, pairs)))
for holder in PROGRAMS:
    show(f"what {holder} holds is opened by {[other for other in PROGRAMS if seen[holder, other]]}")
finish(*((seen[holder, other] == (holder != "Go" and not (holder in FLOCK and other in FLOCK)), f"{holder}, {other}") for holder, other in pairs))
PY
