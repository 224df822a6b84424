#!/usr/bin/env bash
# Guess: a server that manages dev servers says "started" for what started, `running` for what runs, "stopped" for what is
#        gone, gives errors as errors, and takes its programs with it or finds them again.
# Seen:  start of a program that does not exist, or that ends with 3 at once, is "started", and `running` is true for both
#        seconds after their end; later it is false, without a status. A program that ignores SIGTERM is "stopped", with
#        `running` false, and runs on. What is wrong is {"error": …} with isError false. A daemon that is ended with SIGTERM
#        leaves its programs; the next one lists none.
# With:  dev-manager-mcp 0.1.2 (npm).
# Why:   every answer has to be checked against the process and its port; what a stop or a restarted daemon left holds them.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install dev-manager-mcp@0.1.2
judge 90 <<'PY'
import signal
import socket

from wire import *

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]


def until(holds, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if holds():
                return True
        except OSError:
            pass
        time.sleep(0.1)
    return False


def begin():
    daemon = subprocess.Popen(["dev-manager-mcp", "daemon"], env={**os.environ, "PORT": str(port)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: socket.create_connection(("127.0.0.1", port), 1).close() is None)
    client = Stdio("dev-manager-mcp", "stdio", "--daemon-url", f"http://127.0.0.1:{port}/sse")
    client.hello()
    return daemon, client


def call(tool, **arguments):
    result = client.call(tool, arguments)["result"]
    return {**json.loads(text_of(result)), "isError": result.get("isError")}


def running():
    return {one["session_key"]: one["running"] for one in call("status")["sessions"]}


def alive(file):
    return os.path.exists("/proc/" + open(file).read().strip())


daemon, client = begin()
started = {name: call("start", command=command, cwd=os.getcwd()) for name, command in {
    "missing": "no-such-program",
    "ends": "sh -c 'echo $$ >ended; exit 3'",
    "stays": "sh -c 'trap \"\" TERM INT; echo $$ >stays; while :; do sleep 1; done'",
    "left": "sh -c 'echo $$ >left; sleep 600'",
}.items()}
keys = {name: one["session_key"] for name, one in started.items()}
until(lambda: open("ended").read().strip() and not alive("ended"))
until(lambda: open("stays").read().strip() and open("left").read().strip())
time.sleep(1)
soon = running()
noticed = until(lambda: not running()[keys["ends"]], 30)
later = call("status", session_key=keys["ends"])
stopped = call("stop", session_key=keys["stays"])
time.sleep(1)
after, stays = running()[keys["stays"]], alive("stays")
unknown = call("stop", session_key="ZZZZ")
client.kill()
daemon.send_signal(signal.SIGTERM)
code = daemon.wait(10)
time.sleep(1)
left = alive("left")
daemon, client = begin()
listed = call("status")["sessions"]
client.kill()
daemon.terminate()
daemon.wait(10)
show(f"start: {sorted({one['status'] for one in started.values()})}; a second after their end: missing {soon[keys['missing']]}, ends {soon[keys['ends']]}; later {later}")
show(f"stop of one that ignores SIGTERM: {stopped['status']}, running {after}, its process {'runs' if stays else 'is gone'}; unknown key: {unknown}")
show(f"the daemon after SIGTERM: status {code}, its program {'runs' if left else 'is gone'}; the next one lists {listed}")
finish(({one["status"] for one in started.values()} == {"started"}, "start"), (soon[keys["missing"]] and soon[keys["ends"]] and noticed, f"soon: {soon}, {noticed}"),
       (stopped["status"] == "stopped" and after is False and stays, f"stop: {stopped}, {after}, {stays}"),
       ("error" in unknown and not unknown["isError"], f"unknown: {unknown}"), (code == 0 and left and listed == [], f"daemon: {code}, {left}, {listed}"))
PY
