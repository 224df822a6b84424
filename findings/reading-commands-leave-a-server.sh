#!/usr/bin/env bash
# Guess: a command that lists, shows or checks something leaves nothing running; what it starts belongs to its folder and has its
#        environment; when its process group is killed, all of it is gone.
# Seen:  `adb devices`, `sccache --show-stats`, `watchman watch-list`, `flow status`, `jest --listTests` with a watchman on PATH, and
#        an Erlang node that halts at once end with status 0 (watchman and jest start watchman, Erlang epmd) and each leaves a
#        server with its own session and init as its parent, which stays when the command's group is killed. It keeps the first
#        command's environment: a second project's `sccache --show-stats` with another SCCACHE_DIR shows the first one's cache.
#        All but flow's serve every folder of the user, or, at a fixed port, of the machine.
# With:  adb 29.0.6, sccache 0.4.0, watchman 4.9.0, erlang 25.2.3 (Debian 12), flow-bin 0.336.0, jest 30.5.2 (npm), Node 20.
# Why:   a start that asks first leaves a process that no one stops; ended with its service, it takes another project's with it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need setsid node git
deb_install adb=1:29.0.6-28 android-libbase=1:29.0.6-28 android-libboringssl android-libcutils=1:29.0.6-28 android-liblog=1:29.0.6-28 libusb-1.0-0 \
    sccache=0.4.0~~pre6-1+b1 watchman=4.9.0-7+b2 libpcre3 erlang-base=1:25.2.3+dfsg-1+deb12u4
npm_install flow-bin@0.336.0 jest@30.5.2
export LD_LIBRARY_PATH="$LD_LIBRARY_PATH:$LD_LIBRARY_PATH/android:$WORK/deb/lib/$(uname -m)-linux-gnu"
ANDROID_ADB_SERVER_PORT=$(free_port) SCCACHE_SERVER_PORT=$(free_port) ERL_EPMD_PORT=$(free_port)
export ANDROID_ADB_SERVER_PORT SCCACHE_SERVER_PORT ERL_EPMD_PORT TMPDIR="$WORK" FLOW_TEMP_DIR="$WORK/flow" USER=finder
export ROOTDIR="$WORK/deb/usr/lib/erlang" EMU=beam PROGNAME=erl
BINDIR=$(echo "$ROOTDIR"/erts-*/bin)
export BINDIR
mkdir one two
for folder in one two; do
    echo '[options]' >$folder/.flowconfig
    echo '{}' >$folder/package.json
    echo 'test("a", () => {})' >$folder/a.test.js
done
ok=yes
leaves() { # PROGRAM COMMAND…: what the command leaves when its process group has been killed
    local program=$1 code=0 pid group found="nothing"
    shift
    (cd one && PROJECT=first SCCACHE_DIR="$WORK/first" bounded 60 setsid sh -c 'echo $$ >"$WORK/group"; "$@"; code=$?; exit $code' sh "$@") </dev/null >said 2>&1 || code=$?
    group=$(cat group)
    kill -9 -- "-$group" 2>/dev/null || true
    for pid in $(marked); do
        case "$(tr '\0' ' ' <"/proc/$pid/cmdline")" in *"$program"*) ;; *) continue ;; esac
        [ "$(ps -o ppid= -p "$pid" | tr -d ' ')" = 1 ] && [ "$(ps -o pgid= -p "$pid" | tr -d ' ')" != "$group" ] || continue
        found="$program with $(tr '\0' '\n' <"/proc/$pid/environ" | grep '^PROJECT=')"
        kept=$pid
    done
    observed "${*//"$BINDIR/"/}: status $code, leaves $found"
    [ "$code/$found" = "0/$program with PROJECT=first" ] || ok=no
}
leaves adb adb devices
leaves sccache sccache --show-stats
(cd two && SCCACHE_DIR="$WORK/second" bounded 30 sccache --show-stats) >shown 2>&1 || ok=no
place=$(sed -n 's/^Cache location *//p' shown)
observed "sccache --show-stats in another folder, with SCCACHE_DIR=second: $(echo "$place" | sed "s#$WORK/##")"
leaves watchman watchman watch-list
kill "$kept"
wait_for 20 eval '! kill -0 "$kept"' || true
leaves watchman jest --listTests
leaves "flow monitor" flow status
leaves epmd "$BINDIR/erlexec" -noshell -sname brief -eval 'halt().'
case "$place" in *first*) [ "$ok" = no ] || verdict 0 ;; esac
verdict 1
