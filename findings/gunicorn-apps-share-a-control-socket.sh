#!/usr/bin/env bash
# Guess: two gunicorn servers on ports of their own know nothing of each other; gunicornc reports an error when it cannot tell them apart.
# Seen:  all servers of one user use one control socket, ~/.gunicorn/gunicorn.ctl. The second takes it over without a word,
#        and logs the same "Control socket listening" line. `gunicornc` then shows and changes the second alone. When the
#        first stops it removes the socket, and the second, which runs on, cannot be reached by gunicornc any more.
# With:  gunicorn 27.0.1 (PyPI).
# Why:   with two worktrees, "worker add 2" or "reload" reaches another checkout's server; what is asked after one of them
#        was stopped fails although the other is well. `--control-socket PATH` gives each its own.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
unset XDG_RUNTIME_DIR
pip_install gunicorn==27.0.1
cat >site_of.py <<'PY'
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"well"]
PY
first_port=$(free_port)
gunicorn -b "127.0.0.1:$first_port" site_of:app >first.log 2>&1 &
first=$!
wait_for 20 grep -q "Control socket" first.log || unable "the first server did not start"
before=$(bounded 20 gunicornc -c "show all" | sed -n 's/ *PID: //p' | head -1)
second_port=$(free_port)
gunicorn -b "127.0.0.1:$second_port" site_of:app >second.log 2>&1 &
second=$!
wait_for 20 grep -q "Control socket" second.log || unable "the second server did not start"
during=$(bounded 20 gunicornc -c "show all" | sed -n 's/ *PID: //p' | head -1)
observed "the first is process $first, the second $second; gunicornc shows $before, then $during"
observed "warnings of the second: $(grep -ciE 'warn|error|in use' second.log || true)"
kill "$first"
wait "$first" || true
after=$(bounded 20 gunicornc -c "show all" 2>&1 | head -1) || true
alive=$(curl -s "http://127.0.0.1:$second_port/" || true)
observed "after the first stopped: the second answers '$alive', gunicornc: ${after/$HOME/\~}"
[ "$before/$during/$alive" = "$first/$second/well" ] && ! grep -qiE 'warn|error|in use' second.log \
    && [ "${after#*No such file}" != "$after" ] && verdict 0
verdict 1
