#!/usr/bin/env bash
# Guess: a runner of Procfiles fails when one of its processes fails, and takes all of them along when it is asked to end.
# Seen:  foreman for Node (`nf start`) ends the others when one exits with 3, and then exits with 0; it names "exit code
#        null". SIGTERM ends nf at once and none of its processes: they run on without it. honcho exits with 3, and takes its
#        processes along.
# With:  foreman 3.0.1 (npm), honcho 2.0.0 (PyPI), Node 20.
# Why:   a CI job or a supervisor sees success where the web process failed; each stop leaves a web server that holds its
#        port, and the next start fails, unless whoever stops it ends the whole process group or tree.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node
npm_install foreman@3.0.1
pip_install honcho==2.0.0
printf 'web: exec sleep 4444\nfails: sleep 1; exit 3\n' >Procfile.fails
printf 'web: exec sleep 4444\n' >Procfile.stays
processes() { for one in $(marked); do grep -qz '^sleep$' "/proc/$one/cmdline" 2>/dev/null && echo "$one"; done; return 0; }
has_one() { [ -n "$(processes)" ]; }
seen=""
for runner in nf honcho; do
    option=-f
    [ "$runner" = honcho ] || option=-j
    code=0
    bounded 20 "$runner" start "$option" Procfile.fails >"$runner.log" 2>&1 || code=$?
    observed "$runner: one process exits with 3: status $code, '$(grep -iE 'exit|stopped' "$runner.log" | grep fails | head -1 | sed 's/.*fails/fails/')'"
    "$runner" start "$option" Procfile.stays >/dev/null 2>&1 &
    pid=$!
    wait_for 20 has_one || unable "$runner did not start its process"
    sleep 1
    kill -TERM "$pid"
    wait "$pid" || true
    sleep 2
    left=$(processes)
    state=gone
    [ -z "$left" ] || state="running, its parent $(ps -o ppid= -p "$left" | tr -d ' ')"
    observed "$runner: after SIGTERM its process is $state"
    seen+="$runner $code ${state%%,*}; "
    # shellcheck disable=SC2086
    [ -z "$left" ] || kill -9 $left
done
[ "$seen" = "nf 0 running; honcho 3 gone; " ] && verdict 0
verdict 1
