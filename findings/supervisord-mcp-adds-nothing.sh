#!/usr/bin/env bash
# Guess: after `add_process` succeeded the process can be started, and starting one that supervisord does not know is an error.
# Seen:  `add_process` changes nothing: "Error: Process 'web' configuration prepared. Please add to supervisord.conf", with
#        isError false. `list_processes` shows what was there before. The start that follows is "BAD_NAME" in a sentence,
#        isError false too.
# With:  supervisord-mcp 1.0.0 with mcp 1.30.0, supervisor 4.3.0 (PyPI).
# Why:   the tool that looks like "create" creates nothing; an agent that trusts its answer starts what does not exist.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install supervisord-mcp==1.0.0 mcp==1.30.0 supervisor==4.3.0
port=$(free_port)
cat >supervisord.conf <<CONF
[supervisord]
nodaemon=true
logfile=$WORK/supervisord.log
pidfile=$WORK/supervisord.pid
[inet_http_server]
port=127.0.0.1:$port
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[program:there]
command=sleep 300
CONF
supervisord -c supervisord.conf >supervisord.out 2>&1 &
wait_for 20 listens "$port" || unable "supervisord did not start"
judge 60 "$port" <<'PY'
import sys

from wire import *

server = Stdio("supervisord-mcp", "--server-url", f"http://127.0.0.1:{sys.argv[1]}/RPC2", "mcp")
server.hello()


def ask(tool, arguments=None):
    result = server.call(tool, arguments or {})["result"]
    show(f"{tool} {arguments or ''}: isError {result['isError']}: {text_of(result)[:200]!r}")
    return result["isError"], text_of(result)


added = ask("add_process", {"name": "web", "command": "sleep 300"})
listed = ask("list_processes")
started = ask("start_process", {"name": "web"})
server.kill()
finish(
    (not added[0] and "prepared" in added[1], "add_process prepares"),
    ("there" in listed[1] and "web" not in listed[1], "the list is as it was"),
    (not started[0] and "BAD_NAME" in started[1], "the start fails in a sentence"),
)
PY
