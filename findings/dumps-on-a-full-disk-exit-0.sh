#!/usr/bin/env bash
# Guess: a tool whose output cannot be written, as the disk is full, fails.
# Seen:  the dump of sqlite3 ends with 0, into a pipe of the shell (`>`) or with its own `.output` and `.once`, and so do etcdctl get,
#        redis-cli, Miller, jo and a program of Node that calls console.log; none of them says a word. jq, gojq, xmlstarlet, csvtool,
#        curl, openssl, xz and Python's print fail.
# With:  sqlite3 3.40.1, redis-tools 7.0.15, etcd-client 3.4.23, miller 6.6.0, xmlstarlet 1.6.1, jo 1.9, jq 1.6, gojq 0.12.11,
#        csvtool 2.4, curl 7.88.1, openssl 3.0, xz-utils 5.4.1 (Debian 12), Node 20; the disk is /dev/full.
# Why:   `sqlite3 app.db .dump >backup.sql && rm app.db` keeps half a backup; a step that exports counts as done. The file has to be
#        looked at (a dump of SQLite ends with COMMIT), or written by a command that fails (VACUUM INTO does).
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node curl openssl xz
version_is Node "$(node -p 'process.versions.node.split(".")[0]')" 20
version_is curl "$(curl --version | awk 'NR == 1 {print $2}')" 7.88.1
deb_install sqlite3=3.40.1-2+deb12u2 libsqlite3-0=3.40.1-2+deb12u2 redis-server=5:7.0.15-1~deb12u10 redis-tools=5:7.0.15-1~deb12u10 \
    etcd-server=3.4.23-4+b4 etcd-client=3.4.23-4+b4 miller=6.6.0-2+b3 xmlstarlet=1.6.1-3 jo=1.9-1 jq=1.6-2.1+deb12u3 gojq=0.12.11-1 \
    csvtool=2.4-1+b2 liblzf1 libjemalloc2 liblua5.1-0 lua-bitop lua-cjson libjq1=1.6-2.1+deb12u3 libonig5 libxml2 libxslt1.1
redis=$(free_port) etcd=$(free_port)
redis-server --bind 127.0.0.1 --port "$redis" --save '' >redis.log &
etcd --data-dir "$WORK/etcd" --listen-client-urls "http://127.0.0.1:$etcd" --advertise-client-urls "http://127.0.0.1:$etcd" \
    --listen-peer-urls http://127.0.0.1:0 >etcd.log 2>&1 &
wait_for 30 listens "$redis" && wait_for 30 listens "$etcd" || unable "a server did not come up"
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=127.0.0.1:$etcd
sqlite3 app.db "create table t(a, b); with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000) insert into t select i, hex(randomblob(20)) from n"
redis-cli -p "$redis" set name value >said
wait_for 20 etcdctl put name value || unable "etcd"
python3 -c 'import json; json.dump([{"a": n, "b": "x" * 40} for n in range(3000)], open("t.json", "w"))'
sqlite3 -csv -header app.db 'select * from t' >t.csv
echo '<list><a>1</a></list>' >t.xml
silent="" fails="" other=""
attempt() { # COMMAND…: how it ends with its output on a full disk; it ends with 0 on a disk with room
    local code=0
    bounded 20 "$@" >said 2>err </dev/null || { cat err; unable "$*"; }
    bounded 20 "$@" >/dev/full 2>err </dev/null || code=$?
    if [ "$code" = 0 ] && [ ! -s err ]; then silent="$silent; $*"; elif [ "$code" != 0 ]; then fails="$fails; $1"; else other="$other; $*"; fi
}
attempt sqlite3 app.db .dump
attempt sqlite3 app.db '.output /dev/full' .dump
attempt sqlite3 app.db '.once /dev/full' 'select * from t'
attempt etcdctl get name
attempt redis-cli -p "$redis" get name
attempt mlr --icsv --ojson cat t.csv
attempt xmlstarlet sel -t -v //a t.xml
attempt jo a=1
attempt node -e "console.log('x'.repeat(100000))"
attempt jq . t.json
attempt gojq . t.json
attempt csvtool cat t.csv
attempt curl -s "http://127.0.0.1:$etcd/version"
attempt openssl rand 100
attempt xz -c t.csv
attempt python3 -c 'print(1)'
observed "end with 0, silently:${silent#;}"
observed "fail:${fails#;}; end with 0 and a message:${other:- none}"
code=0
sqlite3 app.db "vacuum into '/dev/full'" 2>err || code=$?
observed "sqlite3 vacuum into: status $code"
[ "$(grep -o ';' <<<"$silent" | wc -l)" = 8 ] && [ "$fails" = "; xmlstarlet; jq; gojq; csvtool; curl; openssl; xz; python3" ] && [ -z "$other" ] && [ "$code" != 0 ] && verdict 0
verdict 1
