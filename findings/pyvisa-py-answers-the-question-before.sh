#!/usr/bin/env bash
# Guess: after a query that timed out the next query gets its own answer, or an error; clear() puts things right; a
#        resource that opens has an instrument.
# Seen:  each query after the timeout gets the answer to the question before it, without an error, for as long as the session
#        is used. clear() puts it right for a socket; for a serial port it raises "not supported", and the answers stay one
#        behind. A socket resource opens where nothing listens.
# With:  PyVISA 1.16.2, PyVISA-py 0.8.1, pyserial 3.5 (PyPI), a simulated SCPI instrument on a socket and on a pseudo-terminal.
# Why:   one slow measurement, caught and logged, and from then on voltages are stored as currents.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install PyVISA==1.16.2 PyVISA-py==0.8.1 pyserial==3.5
cat >instrument.py <<'PY'
import os
import pty
import socket
import threading
import time
import tty


def answer(read, write):
    rest = b""
    while data := read():
        rest += data
        while b"\n" in rest:
            question, rest = rest.split(b"\n", 1)
            if question == b"SLOW?":
                time.sleep(1)
            write(b"answer to " + question + b"\n")


server = socket.create_server(("127.0.0.1", 0))
near, far = pty.openpty()
tty.setraw(far)
threading.Thread(target=answer, args=(lambda: os.read(near, 100), lambda data: os.write(near, data)), daemon=True).start()
print(server.getsockname()[1], os.ttyname(far), flush=True)
while True:
    client, _ = server.accept()
    threading.Thread(target=answer, args=(lambda: client.recv(100), client.sendall), daemon=True).start()
PY
PYTHON=python judge 60 "$(free_port)" <<'PY'
import sys

import pyvisa

from wire import *

process = subprocess.Popen([sys.executable, "instrument.py"], stdout=subprocess.PIPE, text=True)
port, device = process.stdout.readline().split()
manager = pyvisa.ResourceManager("@py")


def attempt(act):
    try:
        return act()
    except pyvisa.VisaIOError as error:
        return error.abbreviation


def life(resource):
    instrument = manager.open_resource(resource, read_termination="\n", write_termination="\n")
    instrument.timeout = 500
    answers = [attempt(lambda: instrument.query(question)) for question in ("A?", "SLOW?")]
    time.sleep(1)
    answers += [attempt(lambda: instrument.query(question)) for question in ("B?", "C?", "D?")]
    answers.append(attempt(instrument.clear))
    return [*answers, attempt(lambda: instrument.query("E?"))]


late = ["answer to A?", "VI_ERROR_TMO", "answer to SLOW?", "answer to B?", "answer to C?"]
network, serial = life(f"TCPIP::127.0.0.1::{port}::SOCKET"), life(f"ASRL{device}::INSTR")
show(f"A?, SLOW?, B?, C?, D?, clear(), E? of a socket: {network}")
show(f"the same of a serial port: {serial}")
nobody = attempt(lambda: type(manager.open_resource(f"TCPIP::127.0.0.1::{sys.argv[1]}::SOCKET")).__name__)
show(f"a socket resource where nothing listens: {nobody}")
finish((network == [*late, None, "answer to E?"], f"socket: {network}"), (serial == [*late, "VI_ERROR_NSUP_OPER", "answer to D?"], f"serial: {serial}"),
       (nobody == "TCPIPSocket", f"nobody: {nobody}"))
PY
