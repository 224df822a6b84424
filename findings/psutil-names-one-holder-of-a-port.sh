#!/usr/bin/env bash
# Guess: psutil.net_connections() lists every process that holds a listening socket, or the one that opened it.
# Seen:  a socket shared after fork has one row with one pid: not the parent that opened it and still has it, but the
#        child with the highest place in the process list. The others hold it too, as Process(pid).net_connections()
#        shows for each. When the named child ends, the row names another.
# With:  psutil 7.2.2 (PyPI), Linux.
# Why:   "who holds port 8000?" for pre-forking servers (gunicorn, uvicorn workers) names a worker; a check "is it the
#        process I started" is answered no, and killing the named one frees nothing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install psutil==7.2.2

judge 60 <<'PY'
import signal
import socket

import psutil

from wire import *

listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    children.append(child)
family = [os.getpid(), *children]


def named():
    return [row.pid for row in psutil.net_connections("tcp") if row.laddr and row.laddr.port == port and row.status == "LISTEN"]


def holders():
    return [pid for pid in family if any(row.laddr.port == port for row in psutil.Process(pid).net_connections("tcp"))]


rows, holding = named(), holders()
names = {pid: "parent" if pid == family[0] else f"child {family.index(pid)}" for pid in family}
show(f"asked of the system: {[names[pid] for pid in rows]}; asked of each process: {[names[pid] for pid in holding]}")
os.kill(rows[0], signal.SIGKILL)
os.waitpid(rows[0], 0)
family.remove(rows[0])
again = named()
show(f"the named one killed: {[names[pid] for pid in again]}")
for child in family[1:]:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
finish((len(rows) == 1 and rows[0] != os.getpid(), "all holders or the opener are named"),
       (len(holding) == 4, "each process says that it holds the socket"),
       (len(again) == 1 and again != rows, "another is named once the first is gone"))
PY
