#!/usr/bin/env bash
# Guess: `chronyc reload sources` with a misspelled line fails, or the log says so; chronyd does not start with it, as it does not
#        start with one in its configuration.
# Seen:  "200 OK", status 0, and not a line in the log, at a start either; the server of that line is not there. An option that
#        does not exist loses the server, too. `tracking` of a clock that was never synchronised ends with 0.
# With:  chrony 4.3 (Debian 12).
# Why:   the reload of a time source looks done; only `chronyc sources` shows what is used, and `waitsync` whether it works.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install chrony=4.3-2+deb12u3
mkdir -m 700 run
mkdir sources
printf '%s\n' "cmdport 0" "bindcmdaddress $WORK/run/socket" "pidfile $WORK/run/pid" "sourcedir $WORK/sources" "port 0" >chrony.conf
start() {
    chronyd -x -d -u "$(id -un)" -f "$WORK/chrony.conf" >"$1" 2>&1 &
    daemon=$!
    wait_for 15 test -S run/socket || unable "chronyd did not come up: $(tail -1 "$1")"
}
ask() { local code=0; bounded 20 chronyc -n -h "$WORK/run/socket" "$@" >said 2>&1 || code=$?; echo "$code"; }
listed() { ask sources >/dev/null; grep -o '127\.0\.0\.[0-9]*' said | tr '\n' ' ' || true; }
start first.log
lines=$(wc -l <first.log)
echo 'server 127.0.0.2' >sources/good.sources
good="$(ask reload sources) $(cat said)"
used=$(listed)
echo 'sevrer 127.0.0.3' >sources/name.sources
echo 'server 127.0.0.4 nosuchoption' >sources/option.sources
broken="$(ask reload sources) $(cat said)"
after=$(listed)
more=$(($(wc -l <first.log) - lines))
tracking="$(ask tracking)$(grep -o ' Not synchronised' said)"
waited=$(ask waitsync 1 0 0 1)
kill "$daemon"
wait "$daemon" || true
rm -f run/socket
start second.log
again=$(listed)
word=$(grep -ciE 'sevrer|nosuchoption|invalid' second.log || true)
kill "$daemon"
code=0
bounded 20 chronyd -p 'sevrer 127.0.0.3' >said 2>&1 || code=$?
observed "a good file: $good, sources $used; two broken ones: $broken, sources $after, lines in the log $more; at the next start: $again, said $word"
observed "the same line in the configuration: status $code; tracking: $tracking; waitsync: $waited"
[ "$good/$used/$broken/$after/$more" = "0 200 OK/127.0.0.2 /0 200 OK/127.0.0.2 /0" ] && [ "$again/$word/$code/$tracking/$waited" = "127.0.0.2 /0/1/0 Not synchronised/1" ] && verdict 0
verdict 1
