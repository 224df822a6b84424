#!/usr/bin/env bash
# Guess: a simulation whose assertion fails, or that calls $error, ends with a status that is not 0; so do $finish(1), and a
#        memory file that is not there.
# Seen:  the status of vvp is 0 for all of them, and for $stop with a closed stdin; "ERROR:" is on stdout. Only $fatal gives 1.
#        What is in $finish is how much it prints.
# With:  Icarus Verilog 11.0 (Debian 12: iverilog 11.0-1.1+b1).
# Why:   a testbench in a CI job or a job of a supervisor passes with every check failed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install iverilog=11.0-1.1+b1
base="$WORK/deb/usr/lib/$(uname -m)-linux-gnu/ivl"
facts=()
attempt() { # STATEMENTS
    local code=0
    printf 'module bench; reg [7:0] memory [0:3]; initial begin %s end endmodule\n' "$1" >bench.sv
    iverilog -B "$base" -g2012 -o bench.vvp bench.sv || unable "iverilog"
    bounded 20 vvp -M "$base" bench.vvp </dev/null >out 2>&1 || code=$?
    observed "$1 → status $code, '$(head -1 out)'"
    facts+=("$code:$(grep -c '^ERROR' out || true)")
}
attempt 'if (1 !== 2) $error("mismatch"); $finish;'
attempt 'assert (1 == 2); $finish;'
attempt '$finish(1);'
attempt '$stop;'
attempt '$readmemh("missing.hex", memory); $finish;'
attempt '$fatal(1, "bad"); $finish;'
[ "${facts[*]}" = "0:1 0:1 0:0 0:0 0:1 1:0" ] && verdict 0
verdict 1
