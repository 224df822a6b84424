#!/usr/bin/env bash
# Guess: gunicorn accepts connections once its application is loaded, and exits if that cannot be loaded.
# Seen:  it listens and accepts before any worker has imported the application; a request then waits without a limit. An
#        import that raises ImportError ends it with status 3 after one try. One that calls sys.exit (as programs do when a
#        setting is missing) is tried again several times a second, for ever: gunicorn runs, listens, and answers nothing.
#        With --preload it ends with the application's own status.
# With:  gunicorn 27.0.1 (PyPI).
# Why:   "the port is open" and "the process runs" are both true of a server that will never answer; only a request with a
#        deadline tells.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install gunicorn==27.0.1
echo 'raise ImportError("no such library")' >missing.py
printf 'import sys\n\nsys.exit("SECRET_KEY is not set")\n' >unset.py
port=$(free_port)
code=0
bounded 20 gunicorn -b "127.0.0.1:$port" missing:app >missing.log 2>&1 || code=$?
tries=$(grep -c "Booting worker" missing.log)
observed "ImportError: status $code after $tries try"
preloaded=0
bounded 20 gunicorn --preload -b "127.0.0.1:$port" unset:app >preload.log 2>&1 || preloaded=$?
observed "sys.exit with --preload: status $preloaded"
gunicorn -b "127.0.0.1:$port" unset:app >unset.log 2>&1 &
server=$!
again() { [ "$(grep -c "Booting worker" unset.log)" -ge 10 ]; }
wait_for 60 again || true
boots=$(grep -c "Booting worker" unset.log)
listens "$port" && open=yes || open=no
answered=0
curl -s -m 3 "http://127.0.0.1:$port/" >/dev/null || answered=$?
kill -0 "$server" && alive=yes || alive=no
observed "sys.exit in a worker: alive=$alive, port open=$open, $boots workers booted so far, curl ends with $answered (28 is its time limit)"
[ "$code/$tries/$preloaded/$alive/$open/$answered" = 3/1/1/yes/yes/28 ] && [ "$boots" -ge 10 ] && verdict 0
verdict 1
