#!/usr/bin/env bash
# Guess: the URL of a PostgreSQL database, as DATABASE_URL holds it, means the same to each library, or is an error.
# Seen:  of nine readers only pgx agrees with libpq on five URLs. h1,h2:5433 is h1:5432 and h2:5433 to libpq, asyncpg, postgres.js and pgx;
#        SQLAlchemy, dj-database-url, django-environ and lib/pq ask for one port of both hosts, h1:5433; pg looks up one host named
#        "h1,h2". A password with # or with % alone is taken as it stands by some, an error to others, and for libpq one is and the
#        other is not. An empty port, as a template writes it, is an error to SQLAlchemy alone. A plus sign in a parameter is a
#        space to seven, and itself to libpq and pgx.
# With:  psycopg 3.3.9 (libpq), asyncpg 0.32.0, SQLAlchemy 2.1.9, dj-database-url 3.1.2, django-environ 0.14.0 (PyPI); pg 8.23.1, postgres
#        3.4.9 (npm), Node 20; jackc/pgx 5.13.0, lib/pq 1.12.3 (Go).
# Why:   one URL is given to an application, its migrations and its checks, which are written with different libraries: one of them reaches
#        another server than the others, or none.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node go
while IFS= read -r name; do unset "$name"; done < <(compgen -v PG)
pip_install 'psycopg[binary]==3.3.9' asyncpg==0.32.0 SQLAlchemy==2.1.9 dj-database-url==3.1.2 django-environ==0.14.0
npm_install pg@8.23.1 postgres@3.4.9
go_build reader github.com/jackc/pgx/v5@v5.13.0 github.com/lib/pq@v1.12.3 <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/lib/pq"
)

func main() {
	var urls []string
	if err := json.NewDecoder(os.Stdin).Decode(&urls); err != nil {
		panic(err)
	}
	answers := map[string][]any{}
	for _, url := range urls {
		var first, second any
		if read, err := pgx.ParseConfig(url); err == nil {
			places := []string{fmt.Sprintf("%s:%d", read.Host, read.Port)}
			for _, other := range read.Fallbacks {
				if place := fmt.Sprintf("%s:%d", other.Host, other.Port); place != places[len(places)-1] {
					places = append(places, place)
				}
			}
			first = []any{places, read.Password, read.Database, read.RuntimeParams["application_name"]}
		}
		if text, err := pq.ParseURL(url); err == nil {
			second = text
		}
		answers["pgx"] = append(answers["pgx"], first)
		answers["lib/pq"] = append(answers["lib/pq"], second)
	}
	text, _ := json.Marshal(answers)
	fmt.Println(string(text))
}
GO
cat >node/read.js <<'JS'
const pg = require('pg')
const postgres = require('postgres')
const urls = JSON.parse(require('fs').readFileSync(0))
const attempt = (read, url) => { try { return read(url) } catch { return null } }
const readers = {
  pg: (url) => {
    const read = new pg.Client({ connectionString: url }).connectionParameters
    return [[`${read.host}:${read.port}`], read.password, read.database, read.application_name ?? '']
  },
  'postgres.js': (url) => {
    const read = postgres(url).options
    const name = read.connection.application_name
    return [read.host.map((host, index) => `${host}:${read.port[index]}`), read.pass, read.database, name === 'postgres.js' ? '' : name]
  },
}
console.log(JSON.stringify(Object.fromEntries(Object.entries(readers).map(([name, read]) => [name, urls.map((url) => attempt(read, url))]))))
JS
PYTHON=python judge 100 <<'PY'
import warnings

import asyncpg.connect_utils
import dj_database_url
import environ
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import make_url

from wire import *

warnings.simplefilter("ignore")


def for_libpq(given):
    """What libpq makes of host and port: each host its own port, or all of them the only one."""
    hosts, ports = str(given.get("host") or "").split(","), str(given.get("port") or "").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    return [[f"{host}:{port or 5432}" for host, port in zip(hosts, ports)], given.get("password") or "", given.get("dbname") or "",
            given.get("application_name") or ""]


def with_asyncpg(url):
    names = ("host port user password passfile database ssl service servicefile direct_tls server_settings target_session_attrs krbsrvname gsslib")
    places, given = asyncpg.connect_utils._parse_connect_dsn_and_args(dsn=url, **dict.fromkeys(names.split()))[:2]
    texts = [place.replace("/.s.PGSQL.", ":") if isinstance(place, str) else "{}:{}".format(*place) for place in places]
    return [texts, given.password or "", given.database, (given.server_settings or {}).get("application_name", "")]


def for_django(given):
    renamed = {"host": given["HOST"], "port": given["PORT"], "password": given["PASSWORD"], "dbname": given["NAME"]}
    return for_libpq(renamed | given.get("OPTIONS", {}))


PYTHONS = {
    "libpq": lambda url: for_libpq(conninfo_to_dict(url)),
    "asyncpg": with_asyncpg,
    "SQLAlchemy": lambda url: for_libpq(PGDialect_psycopg().create_connect_args(make_url(url.replace("postgres:", "postgresql:")))[1]),
    "dj-database-url": lambda url: for_django(dj_database_url.parse(url)),
    "django-environ": lambda url: for_django(environ.Env.db_url_config(url)),
}


def attempt(read, url):
    try:
        return read(url)
    except Exception:
        return None


ALL = "libpq asyncpg SQLAlchemy dj-database-url django-environ pg postgres.js pgx lib/pq"
EXPECTED = {  # who agrees with whom
    "postgres://u:p#x@h/d": ["libpq SQLAlchemy django-environ pgx", "asyncpg dj-database-url pg postgres.js lib/pq"],
    "postgres://u:100%@h/d": ["libpq postgres.js pgx lib/pq", "asyncpg SQLAlchemy dj-database-url django-environ pg"],
    "postgres://u:p@h1,h2:5433/d": ["libpq asyncpg postgres.js pgx", "SQLAlchemy dj-database-url django-environ lib/pq", "pg"],
    "postgres://u:p@h:/d": ["libpq asyncpg dj-database-url django-environ pg postgres.js pgx lib/pq", "SQLAlchemy"],
    "postgres://u:p@h/d?application_name=a+b": ["libpq pgx", "asyncpg SQLAlchemy dj-database-url django-environ pg postgres.js lib/pq"],
}
urls = list(EXPECTED)
seen = {name: [attempt(read, url) for url in urls] for name, read in PYTHONS.items()}
for command in (["node", "node/read.js"], ["./reader"]):
    seen |= json.loads(subprocess.run(command, input=json.dumps(urls), capture_output=True, text=True, check=True, timeout=30).stdout)
seen["lib/pq"] = [text and for_libpq(conninfo_to_dict(text)) for text in seen["lib/pq"]]
seen = {name: seen[name] for name in ALL.split()}
facts = []
for number, url in enumerate(urls):
    groups = {}
    for name, answers in seen.items():
        found = answers[number]
        groups.setdefault("error" if found is None else " ".join([" then ".join(found[0]), *map(repr, found[1:])]), []).append(name)
    show(f"{url}: " + "; ".join(f"{found} ({', '.join(names)})" for found, names in groups.items()))
    facts.append((list(groups.values()) == [names.split() for names in EXPECTED[url]], url))
agree = [(one, two) for one in seen for two in seen if one < two and seen[one] == seen[two]]
finish(*facts, (agree == [("libpq", "pgx")], f"those that agree: {agree}"))
PY
