#!/usr/bin/env bash
# Guess: after `stop` answered "Process stopped successfully" the process is gone; a process ended by `stop` is listed as
#        stopped; closing the server's stdin ends the server.
# Seen:  stop sends SIGTERM and answers at once: a process that takes its time is still running, and one that ignores
#        the signal stays for good and is listed as "running" after the success. For `sh -c "…; …"` only the shell ends;
#        the program it started stays, in no list. A process that did end by `stop` has the status "error". With a
#        process running, the end of stdin does not end the server.
# With:  @mizunashi_mana/manage-bg-mcp 0.0.5 (npm), Node 20.
# Why:   the stop's answer proves nothing; only the operating system or a later look does. "error" after a stop is no crash.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @mizunashi_mana/manage-bg-mcp@0.0.5

judge 90 <<'PY'
from wire import *

server = Stdio("manage-bg-mcp")
server.hello()


def call(tool, **arguments):
    return json.loads(text_of(server.call(tool, arguments)["result"]))


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def child_of(pid):
    return int(open(f"/proc/{pid}/task/{pid}/children").read().split()[0])


def status(process):
    return next((entry["status"] for entry in call("list")["processes"] if entry["id"] == process["processId"]), "unlisted")


deaf = call("start", command="sh", args=["-c", "trap '' TERM; echo up; while :; do sleep 0.2; done"])
shell = call("start", command="sh", args=["-c", "sleep 120; echo over"])
plain = call("start", command="sleep", args=["120"])
time.sleep(1)
grandchild = child_of(shell["pid"])
answers = {name: call("stop", processId=process["processId"])
           for name, process in (("deaf", deaf), ("shell", shell), ("plain", plain))}
time.sleep(2)
show(f"answers: { {name: answer.get('message') for name, answer in answers.items()} }")
show(f"2 s later: the deaf one alive={alive(deaf['pid'])} listed={status(deaf)!r}; "
     f"shell alive={alive(shell['pid'])}, what it started alive={alive(grandchild)}; plain one listed={status(plain)!r}")
left = server.end_input(4)
show(f"exit status 4 s after the end of stdin: {left}")
facts = [(all(answer["success"] for answer in answers.values()), "stop reports the ones that stay"),
         (alive(deaf["pid"]) and alive(grandchild), "stop ends them now"),
         (left is None, "the server ends with its stdin")]
for pid in (deaf["pid"], grandchild):
    os.kill(pid, 9)
server.kill()
finish(*facts)
PY
