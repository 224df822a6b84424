#!/usr/bin/env bash
# Guess: after `force_terminate` of a session the program that was started is gone; a start of a program that does not
#        exist or that fails is an error; the exit status is known afterwards.
# Seen:  each command runs in a shell, and the shell alone gets the signal: "Successfully initiated termination", the list
#        has no session, a second one says "No active session found", the output "Process completed with exit code null",
#        and the program runs on. So it does when the server is ended. Starts that fail, with status 127 or 3, answer
#        "Process started with PID", as those that succeed; of one that has ended the list says nothing.
# With:  @wonderwhy-er/desktop-commander 0.2.52 (npm), Node 20.
# Why:   a server that was "stopped" keeps its port and its data folder; neither list nor output proves that it has ended.
#        `exec PROGRAM` as the command makes the shell the program.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
export PUPPETEER_SKIP_DOWNLOAD=1
npm_install @wonderwhy-er/desktop-commander@0.2.52
judge 90 <<'PY'
import re

from wire import *

server = Stdio("desktop-commander")
server.hello()


def do(tool, **arguments):
    result = server.call(tool, arguments)["result"]
    return result.get("isError", False), text_of(result)


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def start(command):
    error, text = do("start_process", command=command, timeout_ms=1000)
    return int(re.search(r"Process started with PID (\d+)", text)[1]), error


failed = {command: start(command)[1] for command in ("no-such-program-here", "exit 3")}
program = "sh -c 'echo $$ >{}; sleep 120; :'; echo ended"
shell, _ = start(program.format("one"))
one = int(open("one").read())
answers = [do("force_terminate", pid=shell)[1]]
deadline = time.monotonic() + 20
while (listed := do("list_sessions")[1]) != "No active sessions" and time.monotonic() < deadline:
    time.sleep(0.1)
answers += [listed, do("force_terminate", pid=shell)[1], do("read_process_output", pid=shell, timeout_ms=100)[1].splitlines()[-1]]
stopped = alive(one)
kept, _ = start("exec " + program.format("two"))
two = int(open("two").read())
do("force_terminate", pid=kept)
deadline = time.monotonic() + 20
while alive(two) and time.monotonic() < deadline:
    time.sleep(0.1)
replaced = alive(two)
show(f"starts that fail: isError {failed}")
show(f"force_terminate, then the list, a second one, the output: {answers}")
show(f"the program after that: {'runs' if stopped else 'gone'}; one that the shell became by exec: {'runs' if replaced else 'gone'}")
server.kill()
show(f"after the end of the server: {'runs' if alive(one) else 'gone'}")
finish((not any(failed.values()), "a failed start is an error"), (answers[0].startswith("Successfully"), "the first answer"),
       (answers[1] == "No active sessions" and answers[2].startswith("No active session found"), "the session is listed"),
       ("Process completed with exit code null" in answers[3], "its output"),
       (stopped and alive(one), "the program ends"), (not replaced, "the one by exec stays"))
PY
