#!/usr/bin/env bash
# Guess: a kernel started by POST /api/kernels is "idle" once it is ready; one that was killed is gone, dead or restarting;
#        a kernel of an unknown name is a 404 or 400.
# Seen:  it is "starting" for good until a client talks to it. A kernel that was killed with -9 is replaced within seconds
#        under the same id: the list shows what it showed, and all variables are lost. An unknown name is "Unhandled error", 500.
# With:  jupyter_server 2.21.1, ipykernel 7.4.0 (PyPI).
# Why:   a script that waits for "idle" waits for ever, and one that checks that its kernel is there works on with another.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install jupyter_server==2.21.1 ipykernel==7.4.0
mkdir root runtime
export JUPYTER_RUNTIME_DIR="$WORK/runtime"
PYTHON=python judge 100 <<'PY'
import glob
import signal
import socket
import urllib.error
import urllib.request

from jupyter_client import BlockingKernelClient

from wire import *

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
server = subprocess.Popen(["jupyter-server", "--no-browser", "--allow-root", f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=",
                           "--ServerApp.disable_check_xsrf=True", "--ServerApp.root_dir=root"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ask(method, path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api{path}", method=method, headers={"Content-Type": "application/json"},
                                     data=None if body is None else json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.loads(response.read() or "null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def until(holds, seconds=40):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := holds():
                return found
        except OSError:
            pass
        time.sleep(0.2)
    raise SystemExit(2)


def pid():
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            words = open(path, "rb").read().split(b"\0")
        except OSError:
            continue
        if b"ipykernel_launcher" in words and any(kernel.encode() in word for word in words):
            return int(path.split("/")[2])


def state():
    [one] = ask("GET", "/kernels")[1]
    return one["id"] == kernel, one["execution_state"]


def run(code):
    for _ in range(10):
        client = BlockingKernelClient(connection_file=until(lambda: glob.glob(f"runtime/kernel-{kernel}.json"))[0])
        client.load_connection_file()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=40)
            break
        except RuntimeError:  # its heart does not beat yet
            client.stop_channels()
            time.sleep(0.5)
    reply = client.execute_interactive(code, timeout=20, output_hook=lambda message: None)["content"]
    client.stop_channels()
    return reply.get("ename", reply["status"])


until(lambda: ask("GET", "/status")[0] == 200)
kernel = ask("POST", "/kernels", {"name": "python3"})[1]["id"]
first = until(pid)
time.sleep(10)
ready = state()
made = run("x = 1"), run("x")
until(lambda: state()[1] == "idle")
used = state()
os.kill(first, signal.SIGKILL)
second = until(lambda: (found := pid()) and found != first and found)
again = run("x")
there = state()
unknown = ask("POST", "/kernels", {"name": "no-such"})
ask("DELETE", f"/kernels/{kernel}")
server.terminate()
server.wait(20)
show(f"(same id, state) 10 s after its start {ready}, after a client ran x = 1 and x ({made}) {used}")
show(f"after kill -9: {there}, x gives {again}; a kernel of an unknown name: {unknown[0]} {unknown[1]['message']!r}")
finish((ready == (True, "starting"), f"ready: {ready}"), (made == ("ok", "ok") and used == (True, "idle"), f"used: {made}, {used}"),
       (there[0] and again == "NameError" and second != first, f"killed: {there}, {again}"), (unknown[0] == 500, f"unknown: {unknown}"))
PY
