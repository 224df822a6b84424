#!/usr/bin/env bash
# Guess: a simulation whose assertion or measurement fails, or whose script has an unknown command, ends with a status that is
#        not 0; 1M ohms are a million.
# Seen:  ghdl ends with 0 for an assertion of severity error, VHDL's default; only failure gives 1 (--assert-level=error changes
#        that). ngspice ends with 0 for a .meas that failed and for unknown commands and vectors in .control; what it cannot
#        parse gives 1. A resistor of 1M is a milliohm to it, and nothing says so.
# With:  ghdl-mcode 2.0.0, ngspice 39.3 (Debian 12).
# Why:   a testbench as a job of a supervisor or of CI has "completed" with every check failed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install ghdl-mcode=2.0.0+dfsg-6.2+b2 ghdl-common=2.0.0+dfsg-6.2+b2 libgnat-12 ngspice=39.3+ds-1
export GHDL_PREFIX="$WORK/deb/usr/lib/ghdl/mcode" SPICE_SCRIPTS="$WORK/deb/usr/share/ngspice/scripts"
attempt() { local code=0; bounded 30 "$@" </dev/null >said 2>&1 || code=$?; echo "$code"; }
bench() { printf 'entity b is end;\narchitecture a of b is begin process begin assert 1 = 2 report "wrong"%s; wait; end process; end;\n' "$1" >b.vhd; ghdl-mcode -a b.vhd >log 2>&1 || unable "$(tail -1 log)"; }
bench ""
error=$(attempt ghdl-mcode -r b)
said=$(grep -o 'assertion error' said || true)
level=$(attempt ghdl-mcode -r b --assert-level=error)
bench " severity failure"
failure=$(attempt ghdl-mcode -r b)
observed "ghdl: an assertion without a severity $error ('$said'), with --assert-level=error $level, of severity failure $failure"
circuit() { printf 'title\nV1 1 0 1\nR1 1 0 %s\n%s\n.end\n' "$1" "$2" >a.cir; attempt ngspice -b a.cir; }
measure=$(circuit 1k $'.tran 1u 10u\n.meas tran m FIND v(1) WHEN v(1)=5')
failed=$(grep -c 'failed!' said || true)
commands=$(circuit 1k $'.control\nno-such-command\nop\nprint v(nowhere)\nquit\n.endc')
unknown=$(grep -c 'no such command' said || true)
parse=$(circuit nowhere .op)
million=$(circuit 1M $'.control\nop\nprint i(v1)\nquit\n.endc')
current=$(sed -n 's/^i(v1) = //p' said)
observed "ngspice: a measurement that failed ($failed) $measure, an unknown command ($unknown) and vector $commands, an unknown parameter $parse; 1 V at 1M: $million, $current A"
[ "$error/$said/$level/$failure" = "0/assertion error/1/1" ] && [ "$measure $failed $commands $unknown $parse" = "0 1 0 1 1" ] && [ "$million $current" = "0 -1.00000e+03" ] && verdict 0
verdict 1
