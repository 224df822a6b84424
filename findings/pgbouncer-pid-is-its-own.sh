#!/usr/bin/env bash
# Guess: the process number that a PostgreSQL connection knows (libpq's PQbackendPID, psycopg's `info.backend_pid`, psql's
#        `%p`) is that of the server's process, at least where a pooler keeps a session for each client.
# Seen:  behind PgBouncer in session mode it is a number of PgBouncer's own; no process of PostgreSQL has it.
#        `select pg_backend_pid()` asks PostgreSQL and has the real one.
# With:  PgBouncer 1.18.0 and PostgreSQL 15 (Debian 12), psycopg 3.3.9.
# Why:   "end all my connections but this one" by pg_terminate_backend ends this one as well, each time that it is made.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
deb_install pgbouncer=1.18.0-1+deb12u1 libc-ares2 libevent-2.1-7 postgresql-15 libllvm14 libldap-2.5-0 libpq5
pip_install psycopg==3.3.9 psycopg-binary==3.3.9
PATH="$WORK/deb/usr/lib/postgresql/15/bin:$PATH"
as_user=()
if [ "$(id -u)" = 0 ]; then # both programs refuse to run as root
    as_user=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
fi
mkdir "$WORK/run"
chmod 711 "$WORK"
chmod 777 "$WORK/run"
cd "$WORK/run"
"${as_user[@]}" initdb -D data -U finder --auth=trust --no-sync -L "$WORK/deb/usr/share/postgresql/15" >initdb.log 2>&1 \
    || unable "initdb: $(tail -1 initdb.log)"
server=$(free_port)
"${as_user[@]}" postgres -D data -p "$server" -c listen_addresses=127.0.0.1 -c unix_socket_directories= >server.log 2>&1 &
pooler=$(free_port)
cat >pooler.ini <<INI
[databases]
* = host=127.0.0.1 port=$server
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $pooler
auth_type = any
unix_socket_dir =
pool_mode = session
INI
sed -i 's/^\* = .*/& user=finder/' pooler.ini
wait_for 60 listens "$server" || unable "PostgreSQL did not start: $(tail -1 server.log)"
"${as_user[@]}" pgbouncer pooler.ini >pooler.log 2>&1 &
wait_for 20 listens "$pooler" || unable "PgBouncer did not start: $(tail -1 pooler.log)"
judge 60 "$server" "$pooler" <<'PY'
import sys

import psycopg


def ask(port: str) -> tuple[int, int, bool]:
    with psycopg.connect(f"host=127.0.0.1 port={port} dbname=postgres user=finder", autocommit=True) as connection:
        told = connection.info.backend_pid
        real = connection.execute("select pg_backend_pid()").fetchone()[0]
        there = connection.execute("select count(*) from pg_stat_activity where pid = %s", (told,)).fetchone()[0]
        return told, real, bool(there)


direct, pooled = ask(sys.argv[1]), ask(sys.argv[2])
for name, (told, real, there) in (("directly", direct), ("through PgBouncer", pooled)):
    print(f"  seen: {name} the connection knows {told}, PostgreSQL says {real}; such a process is there: {there}")
sys.exit(0 if direct[0] == direct[1] and direct[2] and pooled[0] != pooled[1] and not pooled[2] else 1)
PY
