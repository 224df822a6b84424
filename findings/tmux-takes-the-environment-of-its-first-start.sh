#!/usr/bin/env bash
# Guess: a program started with `tmux new-session -d` has the environment of the command that started it.
# Seen:  only for the first session. Later sessions have the environment that tmux had when its server started, whatever
#        the caller's is; PATH alone is the caller's. A variable that the caller unset is there, one that it set is not
#        (`-e NAME=VALUE` sets one).
# With:  tmux 3.3a (Debian 12).
# Why:   a dev server started so in one checkout runs with DATABASE_URL, the virtual environment and the credentials of
#        another one, and with the right PATH, so that nothing looks wrong.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install tmux=3.3a-3 libutempter0 libevent-core-2.1-7
export TMUX_TMPDIR="$WORK"
unset TMUX
version_is tmux "$(tmux -V)" "tmux 3.3a"
start() { # NAME: a session that writes its environment down
    tmux -f /dev/null new-session -d -s "$1" "env >$1.writing; mv $1.writing $1.env; sleep 300"
    wait_for 10 test -s "$1.env" || unable "session $1 did not start"
}
mkdir first second
(export DATABASE_URL=first ONLY_FIRST=1 PATH="$WORK/first:$PATH"; start one)
(export DATABASE_URL=second ONLY_SECOND=1 PATH="$WORK/second:$PATH"; start two)
of() { sed -n "s/^$2=//p" "$1.env" | cut -d: -f1; }
observed "the second session: DATABASE_URL $(of two DATABASE_URL), ONLY_FIRST '$(of two ONLY_FIRST)', ONLY_SECOND '$(of two ONLY_SECOND)', PATH begins with $(basename "$(of two PATH)")"
seen="$(of one DATABASE_URL)/$(of two DATABASE_URL)/$(of two ONLY_FIRST)/$(of two ONLY_SECOND)/$(basename "$(of two PATH)")"
tmux kill-server
[ "$seen" = first/first/1//second ] && verdict 0
verdict 1
