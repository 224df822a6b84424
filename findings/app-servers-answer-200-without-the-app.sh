#!/usr/bin/env bash
# Guess: a server of an application that cannot be imported exits, or answers 500; its health check fails.
# Seen:  of six, Solara exits. Streamlit, marimo, Panel, Bokeh and Voila stay and answer 200 for the page, the first two for their
#        health check, too. Solara, Panel and Bokeh log the reason; Streamlit, before a browser is connected, does not. Voila, whose --port is in use, listens on the next one; the others exit with 1 or 3.
# With:  streamlit 1.67.0, marimo 0.25.2, panel 1.9.4, bokeh 3.9.2, voila 0.5.13 with ipykernel 7.4.0, solara 1.64.1 (PyPI).
# Why:   a check of the port, the page or the health address is green for an application that has never run, after each failed
#        deployment; what shows it is the log, or a page of the application's own that only it can answer.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install streamlit==1.67.0 marimo==0.25.2 panel==1.9.4 bokeh==3.9.2 voila==0.5.13 ipykernel==7.4.0 solara==1.64.1
export STREAMLIT_BROWSER_GATHER_USAGE_STATS=false
echo "import no_such_module" >app.py
cat >notebook.py <<'PY'
import marimo

app = marimo.App()


@app.cell
def _():
    import no_such_module
    return


if __name__ == "__main__":
    app.run()
PY
cat >app.ipynb <<'JSON'
{"cells": [{"cell_type": "code", "execution_count": null, "id": "a", "metadata": {}, "outputs": [], "source": ["import no_such_module"]}],
 "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python"}},
 "nbformat": 4, "nbformat_minor": 5}
JSON
judge 240 <<'PY'
import socket
import urllib.error
import urllib.request

from wire import *

COMMANDS = {
    "streamlit": (("streamlit", "run", "app.py", "--server.port", "PORT", "--server.headless", "true", "--server.address", "127.0.0.1"), ("/_stcore/health", "/")),
    "marimo": (("marimo", "-q", "run", "notebook.py", "--port", "PORT", "--headless", "--host", "127.0.0.1"), ("/health", "/")),
    "panel": (("panel", "serve", "app.py", "--port", "PORT", "--address", "127.0.0.1"), ("/app",)),
    "bokeh": (("bokeh", "serve", "app.py", "--port", "PORT", "--address", "127.0.0.1"), ("/app",)),
    "voila": (("voila", "app.ipynb", "--port", "PORT", "--no-browser"), ("/",)),
    "solara": (("solara", "run", "app.py", "--port", "PORT", "--host", "127.0.0.1", "--no-open"), ("/",)),
}


def ask(port, path):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30).status
    except urllib.error.HTTPError as error:
        return error.code


def start(name, port):
    log = open(f"{name}-{port}.log", "w")
    return subprocess.Popen([word.replace("PORT", str(port)) for word in COMMANDS[name][0]], stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def until(condition, process, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None and not condition():
        time.sleep(0.1)


facts = []
for name, (_, paths) in COMMANDS.items():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        held = taken.getsockname()[1]
        second = start(name, held)
        until(lambda: name == "voila" and accepts(held + 1), second)
        left = second.poll()
        second.kill()
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    process = start(name, port)
    until(lambda: accepts(port), process)
    statuses = [ask(port, path) for path in paths] if process.poll() is None else f"exits with {process.poll()}"
    process.kill()
    with open(f"{name}-{port}.log") as log:
        logged = "no_such_module" in log.read()
    show(f"{name}: an application that cannot be imported: {statuses}; a port in use: {'moves to the next' if left is None else f'exits with {left}'}; the log has the reason {logged}")
    facts += [(statuses == (f"exits with {process.returncode}" if name == "solara" else [200] * len(paths)), f"{name}: {statuses}"),
              (left is None if name == "voila" else left in (1, 3), f"{name}: a port in use"),
              (name in ("marimo", "voila") or logged == (name != "streamlit"), f"{name}: the log")]
finish(*facts)
PY
