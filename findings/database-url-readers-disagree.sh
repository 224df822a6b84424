#!/usr/bin/env bash
# Guess: a DATABASE_URL that PostgreSQL's own library accepts leads every client to the same place with the same password, or is
#        refused.
# Seen:  none of six other readers agrees with libpq on six addresses; dj-database-url and node-postgres are alike, and next to it.
#        A socket as %2Frun%2Fpg is a host of that name to SQLAlchemy, django-environ, peewee and postgres.js. With
#        ?host=/run/pg postgres.js goes to localhost by TCP. peewee sends the password p%40ss as it is written; peewee
#        and postgres.js open the database "my%2Dapp" for "my-app". For [::1] postgres.js connects to a host "[".
#        Two hosts are refused by SQLAlchemy, dj-database-url, peewee and node-postgres.
# With:  psycopg 3.3.9 (libpq), SQLAlchemy 2.1.9, dj-database-url 3.1.2, django-environ 0.14.0, peewee 4.5.3 (PyPI),
#        pg-connection-string 2.14.1 of node-postgres, postgres 3.4.9 (npm).
# Why:   one variable is handed to the services of a project, to its migrations and its tests. Where one of them connects, or
#        psql does, the next one fails with "password authentication failed" or an unknown host, or talks to another
#        server on localhost. Of these, one plain host name and unreserved characters mean the same to all.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install 'psycopg[binary]==3.3.9' sqlalchemy==2.1.9 dj-database-url==3.1.2 django==5.2.19 django-environ==0.14.0 peewee==4.5.3
npm_install pg-connection-string@2.14.1 postgres@3.4.9
cat >node/read.mjs <<'JS'
import pg from 'pg-connection-string'
import postgres from 'postgres'

const short = host => Array.isArray(host) ? host.join(',') : host
const readers = {
  'node-postgres': url => { const o = pg.parse(url); return [o.host, o.password, o.database] },
  'postgres.js': url => { const o = postgres(url).options; return [o.path || short(o.host), o.pass, o.database] },
}
const answers = {}
for (const [name, read] of Object.entries(readers)) {
  answers[name] = process.argv.slice(2).map(url => {
    try { return read(url).map(part => part || '') } catch { return 'refused' }
  })
}
console.log(JSON.stringify(answers))
JS
PYTHON=$WORK/venv/bin/python judge 60 <<'PY'
import dj_database_url
import environ
from playhouse.db_url import parse
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from wire import *

for name in [name for name in os.environ if name.startswith("PG")]:
    del os.environ[name]
URLS = {
    "password": "postgres://u:p%40ss@db/app",
    "name": "postgres://u:p@db/my%2Dapp",
    "socket": "postgres://u:p@%2Frun%2Fpg/app",
    "?host=": "postgres:///app?host=/run/pg",
    "IPv6": "postgres://u:p@[::1]/app",
    "two hosts": "postgres://u:p@a:5432,b:5433/app",
}


def libpq(url):
    read = conninfo_to_dict(url)
    return read.get("host"), read.get("password"), read.get("dbname")


def sqlalchemy(url):
    read = make_url(url.replace("postgres:", "postgresql+psycopg:", 1))
    arguments = create_engine(read).dialect.create_connect_args(read)[1]
    return arguments.get("host"), arguments.get("password"), arguments.get("dbname")


def django(read):
    return read["HOST"] or read.get("OPTIONS", {}).get("host"), read["PASSWORD"], read["NAME"]


def peewee(url):
    read = parse(url)
    return read.get("host"), read.get("password"), read.get("database")


READERS = {"libpq": libpq, "SQLAlchemy": sqlalchemy, "dj-database-url": lambda url: django(dj_database_url.parse(url)),
           "django-environ": lambda url: django(environ.Env.db_url_config(url)), "peewee": peewee}
SAME = {"password": ["db", "p@ss", "app"], "name": ["db", "p", "my-app"], "socket": ["/run/pg", "p", "app"],
        "?host=": ["/run/pg", "", "app"], "IPv6": ["::1", "p", "app"], "two hosts": ["a,b", "p", "app"]}
NOT_DECODED, REFUSED = {"socket": ["%2Frun%2Fpg", "p", "app"]}, {"two hosts": "refused"}
RAW_NAME = {"name": ["db", "p", "my%2Dapp"]}
OTHERS = {
    "libpq": {},
    "SQLAlchemy": NOT_DECODED | REFUSED,
    "dj-database-url": REFUSED,
    "django-environ": NOT_DECODED,
    "peewee": NOT_DECODED | REFUSED | RAW_NAME | {"password": ["db", "p%40ss", "app"]},
    "node-postgres": REFUSED,
    "postgres.js": NOT_DECODED | RAW_NAME | {"?host=": ["localhost", "", "app"], "IPv6": ["[", "p", "app"]},
}


def attempt(read, url):
    try:
        return [part or "" for part in read(url)]
    except Exception:
        return "refused"


answers = {name: [attempt(read, url) for url in URLS.values()] for name, read in READERS.items()}
answers |= json.loads(subprocess.run(["node", "node/read.mjs", *URLS.values()], check=True, capture_output=True, text=True).stdout)
facts = []
for name, others in OTHERS.items():
    seen = {what: got for what, got in zip(URLS, answers[name], strict=True) if got != SAME[what]}
    show(f"{name}: {'as guessed' if not seen else seen}")
    facts.append((seen == others, f"{name}: {seen}"))
finish(*facts)
PY
