#!/usr/bin/env bash
# Guess: with --location a blob that Azurite answered 201 for is on disk, and there after a crash.
# Seen:  after kill -9 a moment later the blob and its container are gone: its index is saved every few seconds, while the
#        bytes lie on in a file that nothing refers to. SIGTERM saves it, and so does waiting.
# With:  azurite 3.37.0 (npm), Node 20, without its telemetry.
# Why:   a stop that kills, or a container that is removed, takes the fixtures that the test has just uploaded.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node
npm_install azurite@3.37.0
judge 120 "$(free_port)" <<'PY'
import base64
import hashlib
import hmac
import signal
import sys
from email.utils import formatdate
from pathlib import Path

from wire import *

PORT, ACCOUNT = int(sys.argv[1]), "devstoreaccount1"
KEY = base64.b64decode("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==")  # the documented one


def ask(method, path, body=b"", query="", **extra):
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-10-04", **{name.replace("_", "-"): value for name, value in extra.items()}}
    named = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    signed = f"{method}\n\n\n{len(body) or ''}\n\n\n\n\n\n\n\n\n{named}/{ACCOUNT}/{ACCOUNT}{path}" + (f"\n{query.replace('=', ':')}" if query else "")
    headers["Authorization"] = f"SharedKey {ACCOUNT}:" + base64.b64encode(hmac.new(KEY, signed.encode(), hashlib.sha256).digest()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    connection.request(method, f"/{ACCOUNT}{path}" + (f"?{query}" if query else ""), body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def start():
    process = subprocess.Popen(["node", "node/node_modules/.bin/azurite-blob", "--blobPort", str(PORT), "--location", "store", "--silent",
                                "--disableTelemetry"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(300):
        try:
            ask("GET", "/", query="comp=list")
            return process
        except OSError:
            time.sleep(0.1)
    raise SystemExit(2)


def life(name, sent, wait):
    process = start()
    made = ask("PUT", f"/{name}", query="restype=container")[0], ask("PUT", f"/{name}/blob", b"bytes " + name.encode(), x_ms_blob_type="BlockBlob")[0]
    time.sleep(wait)
    process.send_signal(sent)
    process.wait(20)
    process = start()
    read = ask("GET", f"/{name}/blob")[0]
    process.kill()
    process.wait()
    show(f"made {made}, {wait} s later {sent.name}, started again: {read}")
    return made, read


killed, ended, waited = life("killed", signal.SIGKILL, 0), life("ended", signal.SIGTERM, 0), life("waited", signal.SIGKILL, 10)
lying = any(b"bytes killed" in file.read_bytes() for file in Path("store").rglob("*") if file.is_file())
show(f"the bytes of the lost blob are still in the folder: {lying}")
finish((killed == ((201, 201), 404), f"killed: {killed}"), (ended == ((201, 201), 200), f"ended: {ended}"),
       (waited == ((201, 201), 200), f"waited: {waited}"), (lying, "the bytes"))
PY
