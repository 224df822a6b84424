#!/usr/bin/env bash
# Guess: a database's own command-line tool fails when a statement fails or its file is missing; a database server that cannot
#        listen, or gets an option that it does not know, fails.
# Seen:  H2's Shell (`-sql`, and statements on stdin) and Derby's ij end with 0 after errors, ij for a missing file, too. `influx
#        -execute` ends with 1 for an unknown word, and with 0 for an INSERT that was refused. HSQLDB's server ends with 0 if its
#        port is in use, and for a misspelled option. H2's RunScript and server, HSQLDB's SqlTool and Derby's server return 1, 1,
#        3 and 1.
# With:  h2 2.3.232, hsqldb and sqltool 2.7.4, derby 10.16.1.1 (Maven), Java 17; influxdb 1.6.7 (Debian 12).
# Why:   a schema that was never loaded is a hook or job that succeeded; a database that never listened is a job that completed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need curl
maven_install db com.h2database:h2:2.3.232 org.hsqldb:hsqldb:2.7.4 org.hsqldb:sqltool:2.7.4 org.apache.derby:derbynet:10.16.1.1 \
    org.apache.derby:derbytools:10.16.1.1
deb_install influxdb=1.6.7~rc0-1+b13 influxdb-client=1.6.7~rc0-1+b13
printf 'create table a(i int);\nselec 1;\n' >wrong.sql
(echo "connect 'jdbc:derby:dd;create=true';" && cat wrong.sql) >derby.sql
printf 'urlid m\nurl jdbc:hsqldb:mem:m\nusername SA\npassword\n' >rc
taken=$(free_port)
python3 -m http.server "$taken" --bind 127.0.0.1 >/dev/null 2>&1 &
wait_for 20 listens "$taken"
status() { # INPUT COMMAND…: its exit status
    local code=0 input=$1
    shift
    bounded 90 "$@" <"$input" >said 2>&1 || code=$?
    echo "$code"
}
tool() { status /dev/null java -cp 'db/lib/*' "$@"; }
h2="$(tool org.h2.tools.Shell -url jdbc:h2:./h2 -user sa -sql 'selec 1')$(status wrong.sql java -cp 'db/lib/*' org.h2.tools.Shell -url jdbc:h2:./h2 -user sa)"
grep -q 'Syntax error' said || unable "H2's Shell: $(tail -1 said)"
ij=$(tool org.apache.derby.tools.ij derby.sql)
grep -q 'ERROR 42X01' said || unable "ij: $(tail -1 said)"
ij="$ij$(tool org.apache.derby.tools.ij missing.sql)"
port=$(free_port)
backup=$(free_port)
printf 'reporting-disabled = true\nbind-address = "127.0.0.1:%s"\n[meta]\n dir = "meta"\n[data]\n dir = "data"\n wal-dir = "wal"\n[http]\n bind-address = "127.0.0.1:%s"\n' "$backup" "$port" >influx.conf
influxd -config influx.conf >influxd.log 2>&1 &
wait_for 30 curl -sf "http://127.0.0.1:$port/ping" || unable "influxd did not come up: $(tail -1 influxd.log)"
write() { status /dev/null influx -host 127.0.0.1 -port "$port" -execute "$1" -database missing; }
influx=$(write 'INSERT m v=1')
grep -q 'database not found' said || unable "influx: $(tail -1 said)"
influx="$influx$(write 'SELEC 1')"
hsqldb=$(tool org.hsqldb.server.Server --database.0 mem:x --dbname.0 x --port "$taken" --address 127.0.0.1)
grep -qi 'BindException\|already in use' said || unable "HSQLDB: $(tail -1 said)"
hsqldb="$hsqldb$(tool org.hsqldb.server.Server --database.0 mem:x --dbname.0 x --prt 1)"
others="$(tool org.h2.tools.RunScript -url jdbc:h2:./h2r -user sa -script wrong.sql)$(tool org.h2.tools.Server -tcp -tcpPort "$taken")"
others="$others$(tool org.hsqldb.cmdline.SqlTool --rcFile=rc m wrong.sql)$(tool org.apache.derby.drda.NetworkServerControl start -h 127.0.0.1 -p "$taken" -noSecurityManager)"
observed "errors in H2's Shell, with -sql and on stdin: $h2; in ij, and its missing file: $ij; influx, a refused INSERT and an unknown word: $influx"
observed "HSQLDB's server on a port in use, and with an unknown option: $hsqldb; RunScript, H2's server, SqlTool, Derby's server: $others"
[ "$h2/$ij/$influx/$hsqldb/$others" = "00/00/01/00/1131" ] && verdict 0
verdict 1
