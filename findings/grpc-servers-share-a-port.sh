#!/usr/bin/env bash
# Guess: a second gRPC server on a port fails, as add_insecure_port raises for what it cannot bind; what is returned is the port.
# Seen:  a second process with grpcio binds the same port without an error, and chance picks one of the two for each connection; the
#        same server takes its own port twice. With the option grpc.so_reuseport=0, or if another kind of program has the port, it
#        raises.
# With:  grpcio 1.85.3 (PyPI).
# Why:   a server that a supervisor lost sight of answers a part of the new one's calls, with its old code; a port that answers is no
#        proof of the server that was just started.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install grpcio==1.85.3
cat >server.py <<'PY'
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: sys.argv[2].encode())


server = grpc.server(ThreadPoolExecutor(2), handlers=[Handler()], options=[("grpc.so_reuseport", 0)] if "alone" in sys.argv else [])
try:
    ports = [server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")]
    if "twice" in sys.argv:
        ports.append(server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}"))
except RuntimeError:
    print("raised", flush=True)
    sys.exit(1)
server.start()
print(len(ports), "bound", flush=True)
server.wait_for_termination()
PY
PYTHON=python judge 100 "$(free_port)" <<'PY'
import socket
import sys

import grpc

from wire import *

PORT = sys.argv[1]


def start(name, *how):
    process = subprocess.Popen(["python", "server.py", PORT, name, *how], stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


first, said_first = start("first")
second, said_second = start("second", "twice")
answers = []
for _ in range(40):
    with grpc.insecure_channel(f"127.0.0.1:{PORT}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        answers.append(channel.unary_unary("/any/Method")(b"", timeout=20).decode())
alone, said_alone = start("third", "alone")
for process in (first, second, alone):
    process.kill()
    process.wait()
with socket.create_server(("127.0.0.1", int(PORT))):
    foreign, said_foreign = start("fourth")
    foreign.kill()
share = {name: answers.count(name) for name in sorted(set(answers))}
show(f"first: {said_first}; second, on the same port, twice: {said_second}; 40 connections: {share}")
show(f"with so_reuseport=0: {said_alone}; on the port of another kind of program: {said_foreign}")
finish((said_first == "1 bound" and said_second == "2 bound", f"{said_first}, {said_second}"), (set(share) == {"first", "second"}, f"{share}"),
       (said_alone == "raised", f"alone: {said_alone}"), (said_foreign == "raised", f"foreign: {said_foreign}"))
PY
