#!/usr/bin/env bash
# Guess: a session that was created with `executablePath` debugs with that program, and a path that does not exist fails.
# Seen:  the argument is taken and never used. A Python with debugpy, named by its path, is refused with "debugpy not
#        installed" where the first python on PATH has none; "/nonexistent/python" debugs well where that one has it.
# With:  @debugmcp/mcp-debugger 0.17.0 (npm), debugpy 1.8.21 (PyPI).
# Why:   the interpreter of a project's virtual environment cannot be chosen by a call; the server's own PATH decides, and
#        what is debugged runs with the packages of another environment.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @debugmcp/mcp-debugger@0.17.0
venv_install "$WORK/with" debugpy==1.8.21
venv_install "$WORK/without" wheel==0.45.1
printf 'import time\ntime.sleep(60)\n' >script.py
judge 150 <<'PY'
import os

from wire import *

WORK = os.environ["WORK"]


def debug(executable, first_on_path):
    path = f"{WORK}/{first_on_path}/bin:{os.environ['PATH']}"
    server = Stdio("mcp-debugger", "stdio", env={"PATH": path, "PYTHONPATH": ""})
    server.hello()
    made = json.loads(text_of(server.call("create_debug_session", {"language": "python", "executablePath": executable})["result"]))
    begun = server.call(
        "start_debugging",
        {"sessionId": made["sessionId"], "scriptPath": f"{WORK}/script.py", "dapLaunchArgs": {"stopOnEntry": True}}, 60,
    )
    said = json.loads(text_of(begun["result"]))
    server.call("close_debug_session", {"sessionId": made["sessionId"]})
    server.kill()
    show(f"executablePath {executable.replace(WORK, '…')}, first on PATH …/{first_on_path}/bin: {said['state']}: {said['message'][:60]}")
    return said


named = debug(f"{WORK}/with/bin/python", "without")
absent = debug("/nonexistent/python", "with")
finish(
    (named["state"] == "error" and "debugpy" in named["message"], "the named program is not used"),
    (absent["success"] and absent["state"] == "paused", "a program that does not exist is no error"),
)
PY
