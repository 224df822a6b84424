#!/usr/bin/env bash
# Guess: to connect to a port and to close the connection at once, as a readiness probe does, changes nothing in the
#        program behind it.
# Seen:  it is taken for the one client that a debug server waits for. Delve's `--headless` closes its port for good, and
#        the process stays; `dlv dap` exits with 0; debugpy with `--wait-for-client` closes its port, and the script never
#        begins. None of them writes why. With `--accept-multiclient` Delve goes on listening, and so do gdbserver, the
#        JVM's debug agent and Node's inspector.
# With:  github.com/go-delve/delve 1.27.2, debugpy 1.8.22 (PyPI); gdbserver 13.1 (Debian 12), Java 17, Node 20.
# Why:   the probe that finds the server ready has used it up: the client that comes next is refused. Whether it listens can
#        be read from the system's table of sockets, or from its log.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need go gcc java node
pip_install debugpy==1.8.22
go_install github.com/go-delve/delve@v1.27.2//cmd/dlv
deb_install gdbserver=13.1-3
printf 'package main\n\nimport "time"\n\nfunc main() { time.Sleep(time.Hour) }\n' >main.go
go build -o sleeper main.go 2>go.log || unable "go build"
echo 'public class Sleeper { public static void main(String[] a) throws Exception { Thread.sleep(3600000); } }' >Sleeper.java
printf 'import time\nprint("begun", flush=True)\ntime.sleep(3600)\n' >sleeper.py
judge 120 <<'PY'
import socket
from pathlib import Path

from wire import *


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def listens(port):
    rows = [line.split() for name in ("tcp", "tcp6") for line in open(f"/proc/net/{name}")]
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


SERVERS = {
    "dlv exec --headless": "dlv exec --headless --listen=127.0.0.1:{port} ./sleeper",
    "dlv dap": "dlv dap --listen=127.0.0.1:{port}",
    "debugpy --wait-for-client": "python -m debugpy --listen 127.0.0.1:{port} --wait-for-client sleeper.py",
    "dlv exec --headless --accept-multiclient": "dlv exec --headless --accept-multiclient --listen=127.0.0.1:{port} ./sleeper",
    "gdbserver": "gdbserver 127.0.0.1:{port} ./sleeper",
    "java, suspend=y": "java -agentlib:jdwp=transport=dt_socket,server=y,suspend=y,address=127.0.0.1:{port} Sleeper.java",
    "node --inspect-brk": "node --inspect-brk=127.0.0.1:{port} -e 0",
}
USED_UP = ["dlv exec --headless", "dlv dap", "debugpy --wait-for-client"]
facts = []
for number, (name, command) in enumerate(SERVERS.items()):
    port, log = free_port(), Path(f"log{number}")
    with log.open("w") as file:
        server = subprocess.Popen(command.format(port=port).split(), stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    if not until(lambda: listens(port), 30):
        raise SystemExit(2)
    socket.create_connection(("127.0.0.1", port), 5).close()
    time.sleep(2)
    closed = not until(lambda: listens(port), 2)  # gdbserver closes its port for a moment
    status = until(lambda: server.poll() is not None, 1) and server.poll()
    show(f"{name}: one connection, and its port is {'closed' if closed else 'open'}, "
         f"its process {'runs' if status is False else f'exited with {status}'}")
    facts += [(closed == (name in USED_UP), f"{name}: the port"), (status == (0 if name == "dlv dap" else False) and
              (status is False) == (name != "dlv dap"), f"{name}: the process"),
              ("begun" not in log.read_text(), f"{name}: the script does not begin")]
    server.kill()
finish(*facts)
PY
