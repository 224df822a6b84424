#!/usr/bin/env bash
# Guess: `lsof -ti :8080` lists what listens on port 8080, so that piping it to kill frees the port.
# Seen:  it lists every process with a connection to or from that port, of other programs, too: a browser, a proxy, a client
#        that polls it. `lsof -ti tcp:8080 -sTCP:LISTEN`, `fuser 8080/tcp`, kill-port and fkill take the listener alone.
# With:  lsof 4.95.0, psmisc 23.6 (Debian 12), kill-port 2.0.1, fkill-cli 9.0.0 (npm).
# Why:   agents and scripts free a port so; it also kills whatever talks to the server at that moment, such as the
#        supervisor that checks its health, the MCP client of a server over HTTP, or the browser under test.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install lsof=4.95.0-1 psmisc=23.6-1
npm_install kill-port@2.0.1 fkill-cli@9.0.0
judge 120 <<'PY'
import socket
import sys

from wire import *

SERVER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listens", flush=True)
kept = []
while True:
    kept.append(listener.accept())
"""
CLIENT = """
import socket, sys, time
kept = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("connected", flush=True)
time.sleep(600)
"""


def start(program, port):
    process = subprocess.Popen([sys.executable, "-c", program, str(port)], stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


with socket.socket() as one:
    one.bind(("127.0.0.1", 0))
    port = one.getsockname()[1]
facts = []
for command, both in ((f"lsof -ti :{port} | xargs -r kill -9", True), (f"lsof -ti tcp:{port} | xargs -r kill -9", True),
                      (f"lsof -ti tcp:{port} -sTCP:LISTEN | xargs -r kill -9", False), (f"fuser -s -k {port}/tcp", False),
                      (f"kill-port {port}", False), (f"fkill --force :{port}", False)):
    server, client = start(SERVER, port), start(CLIENT, port)
    subprocess.run(command, shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30)
    time.sleep(1)
    dead = [process.poll() is not None for process in (server, client)]
    show(f"{command.replace(str(port), 'PORT')}: the server killed {dead[0]}, its client killed {dead[1]}")
    facts.append((dead == [True, both], command))
    for process in (server, client):
        process.kill()
        process.wait()
finish(*facts)
PY
