#!/bin/sh
# A PostgreSQL of its own in $DATA on port $DB_PORT, for supervisors that have no class for it: sh postgres.sh USER
set -eu
if [ "$(id -u)" = 0 ]; then exec runuser -u postgres -- sh "$0" "$@"; fi
[ -s "$DATA/PG_VERSION" ] || initdb -D "$DATA" -U "$1" --auth=trust >/dev/null
exec postgres -D "$DATA" -p "$DB_PORT" -h 127.0.0.1 -k ""
