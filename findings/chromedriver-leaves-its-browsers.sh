#!/usr/bin/env bash
# Guess: SIGTERM to chromedriver closes the browsers that it started, or at least they end with it.
# Seen:  chromedriver dies of the signal at once, and each browser keeps running, with all of its processes. `GET /shutdown` closes
#        them. /status says that it is "ready" if the browser does not exist, too.
# With:  chromium-driver and Chromium 156.0.8078.114 (Debian 12), headless.
# Why:   a supervisor that stops the driver as it stops any server leaves a browser for each session that was open; a test run that is
#        cancelled does so each time.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need chromium
deb_install chromium-driver=156.0.8078.114-1~deb12u1
version_is chromium "$(env -u LD_LIBRARY_PATH chromium --version --no-sandbox 2>/dev/null | grep -o '[0-9.]\{8,\}' | head -1)" 156.0.8078.114
unset LD_LIBRARY_PATH
judge 200 "$(free_port)" "$(free_port)" "$(free_port)" <<'PY'
import signal
import sys
import urllib.request
from pathlib import Path

from wire import *

OPTIONS = {"args": ["--headless", "--no-sandbox", "--disable-gpu"]}


class Driver:
    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                self.ask("/status")
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(2)

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}), timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, **options):
        self.ask("/session", {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": OPTIONS | options}}})
        return [pid for pid, parent in parents().items() if self.process.pid in ancestors(pid)]


def parents():
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            found[int(stat.parent.name)] = int(parent)
    return found


def ancestors(pid):
    known = parents()
    while pid := known.get(pid, 0):
        yield pid


def left(pids, seconds=15):
    until = time.monotonic() + seconds
    while (found := [pid for pid in pids if pid in parents()]) and time.monotonic() < until:
        time.sleep(0.2)
    return found


driver = Driver(int(sys.argv[1]))
pids = driver.open()
driver.process.send_signal(signal.SIGTERM)
status = driver.process.wait(20)
stayed = left(pids)
show(f"SIGTERM: driver's status {status}; processes of the browser: {len(pids)}, left: {len(stayed)}")
driver = Driver(int(sys.argv[2]))
others = driver.open()
driver.ask("/shutdown")
asked = driver.process.wait(30)
closed = left(others)
show(f"/shutdown: driver's status {asked}; processes of the browser: {len(others)}, left: {len(closed)}")
driver = Driver(int(sys.argv[3]))
try:
    driver.open(binary="/nonexistent/chromium")
    opened = True
except urllib.error.HTTPError:
    opened = False
ready = driver.ask("/status")["ready"]
show(f"with a browser that does not exist: a session {opened}, ready {ready}")
driver.process.kill()
finish((status == -signal.SIGTERM and len(pids) > 2, f"SIGTERM: {status}"), (len(stayed) > 2, f"{len(stayed)} left"),
       (asked == 0 and not closed, f"/shutdown: {asked}, {len(closed)} left"), (ready and not opened, f"ready: {ready}"))
PY
