#!/usr/bin/env bash
# Guess: several clients can use PGlite's socket server at once as they use PostgreSQL, each in a session of its own; one
#        too many gets "too many clients".
# Seen:  by default a second client is cut off without an error while a first is connected, however idle, and pg_isready
#        says "no response" (status 2). With `--max-connections` they come in, and all are one session: `SET search_path` of
#        one holds for the other, and for every later one, and so do the names of prepared statements; temporary tables
#        of a client that left are still there.
# With:  @electric-sql/pglite-socket 0.2.17 with pglite 0.5.14 (npm), psql of PostgreSQL 15.
# Why:   as soon as the application is connected, a health check by pg_isready or `select 1` says that the database is
#        down; a tool that sets its own search_path or role changes what the application sees.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need psql pg_isready
npm_install @electric-sql/pglite-socket@0.2.17 @electric-sql/pglite@0.5.14
serve() { # ARGUMENT…: at $port
    port=$(free_port)
    pglite-server --port="$port" "$@" >server.log 2>&1 &
    wait_for 60 grep -q "listening on" server.log || unable "pglite-server did not start"
    url="postgres://postgres:postgres@127.0.0.1:$port/postgres?sslmode=disable"
}
ask() { bounded 20 psql "$url" -Atqc "$1" 2>&1 | head -1 || true; }
serve
coproc FIRST { psql "$url" -At; }
echo "select 'first';" >&"${FIRST[1]}"
read -r -t 20 first <&"${FIRST[0]}"
second=$(ask "select 'second'")
ready=0
pg_isready -q -h 127.0.0.1 -p "$port" || ready=$?
first_pid=$FIRST_PID
echo '\q' >&"${FIRST[1]}"
wait "$first_pid" || true
later=$(ask "select 'later'")
observed "one at a time: while '$first' is connected a second gets '${second##*: }', pg_isready status $ready; then '$later'"
serve --max-connections=5
coproc OTHER { psql "$url" -Atq; }
echo "select 'there';" >&"${OTHER[1]}"
read -r -t 20 there <&"${OTHER[0]}"
ask "set search_path = nowhere; prepare mine as select 1; create temp table scratch (x int)" >made
echo "show search_path;" >&"${OTHER[1]}"
read -r -t 20 path <&"${OTHER[0]}"
prepared=$(ask "prepare mine as select 2")
scratch=$(ask "select count(*) from pg_temp.scratch")
observed "with --max-connections=5: what one sets is in the other's session: search_path '$path'; its names, after it left: '$prepared'; rows in its temporary table: '$scratch'"
[ "$first/$later/$there/$ready" = first/later/there/2 ] && [[ $second == *"closed the connection unexpectedly"* ]] \
    && [[ $path/$prepared/$scratch == "nowhere/"*"already exists/0" ]] && verdict 0
verdict 1
