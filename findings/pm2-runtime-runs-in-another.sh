#!/usr/bin/env bash
# Guess: `pm2-runtime`, which is made to run an application in the foreground, runs its own: two of them in two folders are
#        independent.
# Seen:  the second finds the daemon of the first through ~/.pm2 (PM2_HOME), and hands its application over: that is a child
#        of the first. When the first is ended, both applications are; the second pm2-runtime runs on without any.
# With:  pm2 7.0.4 (npm), Node 20.
# Why:   two worktrees, or two services of one user, look as if each had its server; a stop of one ends the other's, and
#        whoever watches the second sees a process that is well and serves nothing. A PM2_HOME for each keeps them apart.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node
need curl
npm_install pm2@7.0.4
export PM2_HOME=$WORK/pm2
one=$(free_port)
two=$(free_port)
serve() {  # FOLDER PORT: as `pm2-runtime server.js` is called there; its pid is in $pid
    mkdir -p "$1"
    echo "require('http').createServer((q, r) => r.end('$1')).listen($2, '127.0.0.1')" >"$1/server.js"
    (cd "$1" && exec pm2-runtime server.js) >"$1.log" 2>&1 &
    pid=$!
}
answers() { [ "$(curl -s -m 2 "http://127.0.0.1:$2/")" = "$1" ]; }
server_of() { for each in $(marked); do grep -qzF "/$1/server.js" "/proc/$each/cmdline" 2>/dev/null && echo "$each"; done; return 0; }
gone() { ! answers two "$two"; }
serve one "$one"
first=$pid
wait_for 30 answers one "$one" || unable "the first does not serve"
serve two "$two"
second=$pid
wait_for 30 answers two "$two" || unable "the second does not serve"
parent=$(ps -o ppid= -p "$(server_of two | head -1)" | tr -d ' ')
owner=another
[ "$parent" != "$first" ] || owner="the first pm2-runtime"
[ "$parent" != "$second" ] || owner="the second pm2-runtime"
observed "the server of the second folder is a child of $owner"
kill -TERM "$first"
ended=no
if wait_for 20 gone; then ended=yes; fi
running=no
if kill -0 "$second" 2>/dev/null; then running=yes; fi
observed "after SIGTERM to the first: the second folder's server has ended: $ended; the second pm2-runtime runs: $running"
[ "$owner $ended $running" = "the first pm2-runtime yes yes" ] && verdict 0
verdict 1
