#!/usr/bin/env bash
# Guess: to restore, list or find a path that is not in the backup fails, and so does to back up a path that does not exist.
# Seen:  restic ends with 0 for all four, and says "does not exist, skipping" for the last if another path exists. BorgBackup
#        ends with 1 for `extract` and `create`, as tar ends with 2, but with 0 for `list`, and for `delete` of an archive
#        that does not exist ("not found").
# With:  restic 0.14.0, borgbackup 1.2.4 (Debian 12).
# Why:   a misspelled path is backed up every night with status 0, and a restore before a start "succeeds" with an empty
#        folder. Check that the files are there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install restic=0.14.0-1+b5 borgbackup=1.2.4-1 python3-msgpack python3-packaging
need tar
export RESTIC_PASSWORD=x BORG_BASE_DIR="$WORK" BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes
borg() { PYTHONPATH="$WORK/deb/usr/lib/python3/dist-packages" bounded 60 "$WORK/deb/usr/bin/borg" "$@"; }
restic() { bounded 60 "$WORK/deb/usr/bin/restic" -r "$WORK/r" "$@"; }
mkdir data
echo text >data/file
{ restic init && restic backup data && borg init -e none b && borg create b::one data; } >log 2>&1 || unable "$(tail -1 log)"
attempt() { local code=0; "$@" </dev/null >said 2>&1 || code=$?; echo "$code"; }
facts="restore $(attempt restic restore latest --target out --include data/missing)"
left=$(find . -path './out/*' -type f | wc -l)
facts+=" ls $(attempt restic ls latest /missing) find $(attempt restic find missing) backup $(attempt restic backup data nowhere)"
skipped=$(grep -c 'nowhere does not exist, skipping' said || true)
borgs="extract $(attempt borg extract b::one data/missing) create $(attempt borg create b::two data nowhere)"
borgs+=" list $(attempt borg list b::one missing) delete $(attempt borg delete b::nothing)"
tar -cf data.tar data
tars="tar -x $(attempt tar -xf data.tar data/missing) -c $(attempt tar -cf other.tar data nowhere)"
observed "restic: $facts (files restored: $left, 'skipping' said: $skipped)"
observed "borg: $borgs; $tars"
[ "$facts/$left/$skipped" = "restore 0 ls 0 find 0 backup 0/0/1" ] && [ "$borgs" = "extract 1 create 1 list 0 delete 0" ] \
    && [ "$tars" = "tar -x 2 -c 2" ] && verdict 0
verdict 1
