#!/usr/bin/env bash
# Guess: a serial MCP server opens the device it is given, as pyserial does, and fails with isError where it cannot.
# Seen:  a pseudo-terminal that pyserial opens is "not found": only ports that the system enumerates are taken.
# With:  mcp-rs232 0.1.0 (PyPI).
# Why:   virtual ports (socat, emulators, Bluetooth binds under other names, udev links) cannot be used through it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install mcp-rs232==0.1.0

judge 90 <<'PY'
import pty

from wire import *

_, end = pty.openpty()
device = os.ttyname(end)
server = Stdio("mcp-rs232")
server.hello()
tools = [tool["name"] for tool in server.request("tools/list")["result"]["tools"]]
answer = server.call("open_port", {"port": device})
server.kill()
show(f"tools: {tools}")
show(f"open_port: {json.dumps(answer)[:300]}")
with_pyserial = subprocess.run([f"{os.environ['WORK']}/venv/bin/python", "-c", f"import serial; serial.Serial({device!r}).close()"]).returncode
show(f"pyserial opens it: {with_pyserial == 0}")
finish(("not found" in json.dumps(answer).lower(), "it opens"), (with_pyserial == 0, "pyserial refuses it, too"))
PY
