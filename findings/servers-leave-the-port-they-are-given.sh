#!/usr/bin/env bash
# Guess: a server that is given a port by option listens there, or fails when the port is taken; one that switches ports says
#        so and can be told not to.
# Seen:  serve listens on any other port and does not mention it, with --no-port-switching as well; browser-sync takes the
#        next one and does not mention it either; live-server takes any other and says so. servor prints that the port is
#        in use and exits with 0. http-server alone fails.
# With:  serve 14.2.7, browser-sync 3.0.4, live-server 1.2.2, servor 4.0.2, http-server 14.1.1 (npm).
# Why:   in a second checkout, or after a server that was left over, "it runs" is true, and the browser under test shows the
#        other one's pages; the port has to be read from the log or from the process's sockets.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node ss
npm_install serve@14.2.7 browser-sync@3.0.4 live-server@1.2.2 servor@4.0.2 http-server@14.1.1
mkdir site
echo hello >site/index.html
judge 150 <<'PY'
import re
import socket
from pathlib import Path

from wire import *

SERVERS = {  # where it listens, its exit status, and whether its output says that the port is taken
    "serve -l {port} site": ("elsewhere", None, False),
    "serve --no-port-switching -l {port} site": ("elsewhere", None, False),
    "browser-sync start --server site --no-open --no-ui --port {port}": ("next", None, False),
    "live-server --no-browser --port={port} site": ("elsewhere", None, True),
    "servor site index.html {port}": ("nowhere", 0, True),
    "http-server site -p {port}": ("nowhere", 1, True),
}


def ports(session):
    """The TCP ports on which processes of the session listen."""
    found = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True).stdout.splitlines()
    own = {pid for pid in os.listdir("/proc") if pid.isdigit() and session_of(pid) == session}
    return {int(line.split()[3].rpartition(":")[2]) for line in found if own & set(re.findall(r"pid=(\d+)", line))}


def session_of(pid):
    try:
        return os.getsid(int(pid))
    except ProcessLookupError:
        return None


facts = []
for command, expected in SERVERS.items():
    taken = socket.create_server(("0.0.0.0", 0))
    port = taken.getsockname()[1]
    with Path("log").open("w") as log:
        server = subprocess.Popen(command.format(port=port).split(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + 30
    while not (listens := ports(server.pid)) and server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(1)
    where = "nowhere" if not listens else "next" if min(listens) in range(port + 1, port + 20) else "elsewhere" if port not in listens else "there"
    said = bool(re.search(r"in use|EADDRINUSE", Path("log").read_text()))
    seen = where, server.poll(), said
    show(f"{command.format(port='PORT')}: listens {where}, exit status {seen[1]}, says that the port is in use: {said}")
    facts.append((seen == expected, command))
    server.kill()
    taken.close()
finish(*facts)
PY
