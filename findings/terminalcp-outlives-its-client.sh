#!/usr/bin/env bash
# Guess: closing stdin ends a stdio server; what it started ends with it or is asked about; a start of a program that
#        does not exist fails; an action that does not exist is an error.
# Seen:  the server does not end with its stdin. The processes live in a background server of their own, shared by every
#        later client of the same user, which lists them, and whose `stop` without an id ends all of them, those of other
#        clients too. Starting a missing program answers its name, like any start; an unknown action answers an empty
#        text and no error. A second stop is a protocol error, -32603.
# With:  @mariozechner/terminalcp 1.3.3 (npm), Node 20.
# Why:   two agents of one user share one set of names; a stop whose id was left empty ends everybody's processes.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @mariozechner/terminalcp@1.3.3

judge 90 <<'PY'
from wire import *


def do(server, **arguments):
    answer = server.call("terminalcp", {"args": arguments})
    return answer["error"]["code"] if "error" in answer else text_of(answer["result"])


first = Stdio("terminalcp", "--mcp")
first.hello()
do(first, action="start", command="sleep 120", name="web")
missing = do(first, action="start", command="no-such-program-here", name="missing")
unknown = do(first, action="no-such-action")
do(first, action="start", command="sleep 120", name="other")
stops = [do(first, action="stop", id="other") for _ in range(2)]
ended = first.end_input(4)
first.kill()
second = Stdio("terminalcp", "--mcp")
second.hello()
listed = do(second, action="list")
everything = do(second, action="stop")
second.kill()
show(f"start of a missing program: {missing!r}; unknown action: {unknown!r}; stop twice: {stops}")
show(f"exit status 4 s after the end of stdin: {ended}")
names = sorted(line.split()[0] + " " + line.split()[1] for line in listed.splitlines())
show(f"a new client lists {names}; its stop without an id: {everything!r}")
finish((missing == "missing" and unknown == "", "failures are reported"), (stops == ["stopped other", -32603], "the second stop"),
       (ended is None, "the server ends with its stdin"),
       ("web running" in names and everything.startswith("stopped 2"), "clients are kept apart"))
PY
