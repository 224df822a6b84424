#!/usr/bin/env bash
# Guess: a list of tabs reads and starts nothing; where the browser has crashed it is an error, or says so; an open that
#        fails has opened nothing.
# Seen:  Playwright's `browser_tabs` with `list` starts a browser where there is none. After a crash, one call at most
#        fails; then it starts another and answers one tab, about:blank, the same as of a browser that was never used.
#        chrome-devtools-mcp starts one, too, and says "the browser was restarted or reconnected". In both an open that
#        fails is isError without a number, and leaves a tab.
# With:  @playwright/mcp 0.0.83, chrome-devtools-mcp 1.11.0 (npm), Node 20, a Chromium of the system.
# Why:   a check of such a server is never negative, and costs a browser; after a crash, logins and pages are gone and nothing
#        shows it but the URL; each retry of an open adds a tab.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need chromium
npm_install @playwright/mcp@0.0.83 chrome-devtools-mcp@1.11.0
judge 180 "$(command -v chromium)" <<'PY'
import re
import signal
import socket
import sys

from wire import *

chromium = sys.argv[1]
closed = socket.socket()
closed.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}/"


def browsers(server):
    """The browsers' first processes among the server's descendants."""
    parents, lines = {}, {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            parents[pid] = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1]
            lines[pid] = open(f"/proc/{pid}/cmdline").read()
        except OSError:
            continue

    def descends(pid):
        while pid in parents and pid != "1":
            if pid == str(server.process.pid):
                return True
            pid = parents[pid]
        return False

    return [int(pid) for pid in lines if descends(pid) and "--remote-debugging" in lines[pid] and "--type=" not in lines[pid]]


def do(server, tool, **arguments):
    result = server.call(tool, arguments, 60)["result"]
    return result.get("isError", False), text_of(result)


def count(answer):
    return len(set(re.findall(r"(?m)^(?:- )?(\d+): ", answer[1])))


def trial(server, listing, opening):
    server.hello()
    server.request("tools/list", {})
    before = len(browsers(server))
    do(server, *listing[:1], **listing[1])
    after = len(browsers(server))
    do(server, opening[0], **opening[1], url="data:text/html,<title>shop</title>")
    tabs = count(do(server, *listing[:1], **listing[1]))
    failed = do(server, opening[0], **opening[1], url=nowhere)[0]
    left = count(do(server, *listing[:1], **listing[1])) - tabs
    for pid in browsers(server):
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while browsers(server) and time.monotonic() < deadline:
        time.sleep(0.1)
    crashed, again = (True, ""), 0
    deadline = time.monotonic() + 20
    while (crashed[0] or not again) and time.monotonic() < deadline:  # the first may come before the server has noticed
        crashed = do(server, *listing[:1], **listing[1])
        again = len(browsers(server))
    server.kill()
    return before, after, failed, left, crashed, again


facts = []
for name, command, listing, opening, says in (
    ("playwright", ("playwright-mcp", "--headless", "--isolated", "--no-sandbox", "--executable-path", chromium),
     ("browser_tabs", {"action": "list"}), ("browser_tabs", {"action": "new"}), False),
    ("chrome-devtools", ("chrome-devtools-mcp", "--headless", "--isolated", "--chromeArg=--no-sandbox", "--no-usage-statistics", "--executablePath", chromium),
     ("list_pages", {}), ("new_page", {}), True),
):
    before, after, failed, left, crashed, again = trial(Stdio(*command), listing, opening)
    show(f"{name}: browsers before and after the first list: {before}, {after}; a failed open: isError {failed}, tabs left: {left}")
    show(f"{name}: the list after the browser was killed: {crashed}; browsers: {again}")
    facts += [((before, after, again) == (0, 1, 1), f"{name}: a list starts a browser"), ((failed, left) == (True, 1), f"{name}: a failed open"),
              (not crashed[0] and "about:blank" in crashed[1] and ("restarted" in crashed[1]) == says, f"{name}: after a crash")]
finish(*facts)
PY
