#!/usr/bin/env bash
# Guess: a daemon whose control port is taken, or is no port number, ends with an error, or says that it has no control port;
#        its log tells which address it serves.
# Seen:  transmission-daemon says "Serving RPC and Web requests on" that address and stays, without listening there: requests
#        go to the other program. `--port 99999` is taken for 34463. Either is an ordinary run, that ends with 0.
# With:  transmission-daemon 3.00 (Debian 12).
# Why:   a wait for the line in the log, or for the port to accept, passes; what answers is another program, and the daemon
#        cannot be reached by anybody.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install transmission-daemon=3.00-2.1+deb12u1 libminiupnpc17 libnatpmp1
judge 60 <<'PY'
import http.server
import re

from wire import *


class Other(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"another program")

    def log_message(self, *args):
        pass


def listening(pid):
    inodes = set()
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        try:
            inodes.add(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
        except OSError:
            pass
    rows = [line.split() for line in open("/proc/net/tcp").readlines()[1:]]
    return sorted(int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes)


def run(folder, port, peer):
    with open(folder + ".log", "wb") as log:
        daemon = subprocess.Popen(["transmission-daemon", "-f", "-g", folder, "-p", str(port), "-r", "127.0.0.1", "-P", str(peer), "--no-portmap", "--no-dht",
                                   "--no-lpd", "--no-utp"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and b"Serving RPC" not in open(folder + ".log", "rb").read() and daemon.poll() is None:
        time.sleep(0.1)
    time.sleep(4)
    stays = daemon.poll() is None
    ports = [one for one in listening(daemon.pid) if one != peer] if stays else None
    return daemon, stays, ports, re.findall(r"Serving RPC and Web requests on 127.0.0.1:(\d+)", open(folder + ".log").read())


def end(daemon):
    daemon.terminate()
    return daemon.wait(20)


other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other)
threading.Thread(target=other.serve_forever, daemon=True).start()
port = other.server_address[1]
daemon, stays, ports, said = run("taken", port, free_port())
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
connection.request("GET", "/transmission/web/")
answer = connection.getresponse().read().decode()
complaint = [line for line in open("taken.log") if re.search(r"RPC.*(bind|fail|unable|in use)", line, re.IGNORECASE)]
code = end(daemon)
own = "it" if said == [str(port)] else said
show(f"a taken port: it {'stays' if stays else 'ends'}, says that it serves on {own}, listens on {ports}, complains: {complaint}")
show(f"on that port answers {answer!r}; the daemon's status after SIGTERM: {code}")
second, stays_too, served, said_too = run("beyond", 99999, free_port())
code_too = end(second)
show(f"--port 99999: it {'stays' if stays_too else 'ends'}, says that it serves on {said_too}, listens on {served}; status after SIGTERM {code_too}")
finish((stays and said == [str(port)] and ports == [] and complaint == [] and answer == "another program" and code == 0, "a taken port"),
       (stays_too and said_too == ["34463"] and served == [34463] and code_too == 0, "99999"))
PY
