#!/usr/bin/env bash
# Guess: through an MCP server for tmux, `has_session web` says whether a session "web" exists and `kill web` ends that
#        session or fails; a session created as "my.app" can be found as "my.app".
# Seen:  tmux takes a target for the start of a name. With only "web-admin" there, has_session "web" answers true and
#        kill "web" ends web-admin and reports {"killed": true, "id": "web"}. "." and ":" separate window and pane, so
#        "my.app" becomes "my_app", and looking for "my.app" says it does not exist. The id ($0) is exact.
# With:  mcp-tmux 0.3.1 (PyPI), mcp 1.30.0, tmux 3.3a (Debian 12).
# Why:   stopping a service that is already gone ends its neighbour. Keep the id that the create answered, never the name.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need tmux
version_is tmux "$(tmux -V)" "tmux 3.3a"
pip_install mcp-tmux==0.3.1 mcp==1.30.0
export TMUX_TMPDIR="$WORK"
unset TMUX

judge 60 <<'PY'
from wire import *

server = Stdio("mcp-tmux")
server.hello()


def call(tool, **arguments):
    result = server.call(tool, arguments)["result"]
    return json.loads(text_of(result)) if not result["isError"] else {"error": text_of(result)}


call("tmux_new_session", name="keep", command="sleep 60")
call("tmux_new_session", name="web-admin", command="sleep 60")
has = call("tmux_has_session", session="web")
killed = call("tmux_kill", kind="session", id="web")
after = call("tmux_has_session", session="web-admin")
show(f"only 'web-admin' is there: has_session('web') {has}, kill('web') {killed}, then has_session('web-admin') {after}")
dotted = call("tmux_new_session", name="my.app", command="sleep 60")
seen = call("tmux_has_session", session="my.app")
by_id = call("tmux_has_session", session=dotted["id"])
show(f"new_session('my.app') {dotted}, has_session('my.app') {seen}, by its id {by_id}")
call("tmux_kill", kind="session", id="keep")
call("tmux_kill", kind="session", id=dotted["id"])
server.kill()
finish((has.get("exists") is True, "has_session no longer matches a prefix"),
       (killed.get("killed") is True and after.get("exists") is False, "kill no longer ends the neighbour"),
       (dotted["name"] == "my_app" and seen.get("exists") is False, "a name with a dot is kept"),
       (by_id.get("exists") is True, "the id is not exact"))
PY
