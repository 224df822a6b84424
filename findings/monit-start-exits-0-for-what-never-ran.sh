#!/usr/bin/env bash
# Guess: `monit start` of a service whose start program fails, and `monit stop` of one that does not stop, fail or show it; a
#        pidfile belongs to the service; a broken configuration leaves the running monit as it was.
# Seen:  start and stop end with 0 at once. After the failed start the summary says "Execution failed"; what did not stop is
#        "Not monitored", which is also what a stopped service is called. A pidfile with the number of any other process is
#        "OK". `monit reload` refuses the broken file with 1, but SIGHUP ends monit. `monit -t` says "Control file syntax OK",
#        with 0, of a start program that does not exist.
# With:  monit 5.33.0 (Debian 12).
# Why:   a script cannot see whether a start or a stop worked, and after a crash the number in an old pidfile is soon that of
#        something else. What monit says has to be compared with the process.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install monit=1:5.33.0-1
port=$(free_port)
cat >rc <<RC
set daemon 1
set pidfile $WORK/monit.pid
set statefile $WORK/state
set idfile $WORK/id
set logfile $WORK/log
set httpd port $port use address 127.0.0.1 allow 127.0.0.1
check process fails with pidfile $WORK/fails.pid
  start program = "/bin/false" with timeout 2 seconds
  stop program = "/bin/true"
  onreboot nostart
check process stays with pidfile $WORK/stays.pid
  start program = "/bin/true"
  stop program = "/bin/true" with timeout 2 seconds
  onreboot nostart
RC
chmod 700 rc
sleep 300 &
other=$!
monit -I -c rc >out 2>&1 &
monit=$!
wait_for 20 listens "$port" || unable "monit did not come up: $(tail -1 out)"
attempt() { local code=0; bounded 20 monit -c rc -B "$@" >said 2>&1 || code=$?; echo "$code"; }
called() { [[ "$(monit -c rc -B summary 2>/dev/null | sed -n "s/^ $1  *\(.*[^ ]\)  *Process.*/\1/p")" == $2* ]]; }
start=$(attempt start fails)
failed=no
wait_for 20 called fails "Execution failed" && failed=yes
echo "$other" >fails.pid
echo "$other" >stays.pid
attempt monitor fails >/dev/null
attempt start stays >/dev/null
foreign=no
wait_for 20 called fails OK && wait_for 20 called stays OK && foreign=yes
stop=$(attempt stop stays)
unmonitored=no
wait_for 20 called stays "Not monitored" && unmonitored=yes
runs=$(kill -0 "$other" && echo runs || echo gone)
unknown=$(attempt start nowhere)
cp rc good
sed -i 's/check process stays/chekc process stays/' rc
reload=$(attempt reload)
alive=$(kill -0 "$monit" && echo runs || echo gone)
kill -HUP "$monit"
ended=no
gone() { ! kill -0 "$monit" 2>/dev/null; }
wait_for 20 gone && ended=yes
sed 's#/bin/false#/no/such/program#' good >rc
checked=$(attempt -t)
syntax=$(grep -c 'Control file syntax OK' said || true)
observed "start whose program fails: $start, then 'Execution failed': $failed; stop that stops nothing: $stop, 'Not monitored': $unmonitored, the process $runs; an unknown name: $unknown"
observed "the number of another process in the pidfile is OK: $foreign"
observed "a broken file: reload $reload, monit $alive; SIGHUP ends it: $ended; -t with a missing program: $checked, 'OK' $syntax"
[ "$start $failed $stop $unmonitored $runs $unknown" = "0 yes 0 yes runs 1" ] && [ "$foreign $reload $alive $ended" = "yes 1 runs yes" ] \
    && [ "$checked $syntax" = "0 1" ] && verdict 0
verdict 1
