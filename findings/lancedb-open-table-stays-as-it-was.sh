#!/usr/bin/env bash
# Guess: a table that a program has open shows the rows that another process adds to it, as a database does.
# Seen:  it never does: count_rows and searches of a table that is open stay at the version of its opening, whatever others add or
#        delete, until this process writes to the table itself, or opens it again. With read_consistency_interval of 0 each read
#        looks for the newest version. What both write is kept.
# With:  lancedb 0.40.0 (PyPI).
# Why:   a server answers from what there was when it started, while a worker fills the same folder; a test that writes first passes.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install lancedb==0.40.0
PYTHON=python judge 120 <<'PY'
import sys
from datetime import timedelta

import lancedb
import pyarrow

from wire import *

SCHEMA = pyarrow.schema([("id", pyarrow.int64()), ("vector", pyarrow.list_(pyarrow.float32(), 2))])
ADD = "import lancedb, sys; lancedb.connect('data').open_table('kept').add([{'id': int(sys.argv[1]), 'vector': [1.0, 2.0]}])"


def add_elsewhere(number):
    subprocess.run([sys.executable, "-c", ADD, str(number)], check=True, timeout=60)


def rows(table):
    return table.count_rows(), len(table.search([1.0, 2.0]).limit(10).to_list())


table = lancedb.connect("data").create_table("kept", [{"id": 1, "vector": [1.0, 2.0]}], schema=SCHEMA)
fresh = lancedb.connect("data", read_consistency_interval=timedelta(0)).open_table("kept")
add_elsewhere(2)
time.sleep(6)
before, strong = rows(table), rows(fresh)
again = rows(lancedb.connect("data").open_table("kept"))
table.add([{"id": 3, "vector": [1.0, 2.0]}])
after = rows(table)
show(f"one row, another process adds one; 6 s later the open table counts and finds {before}, opened again {again}, with an interval of 0 {strong}")
show(f"after a row is added here: {after}")
finish((before == (1, 1), f"before: {before}"), (again == (2, 2), f"again: {again}"), (strong == (2, 2), f"interval of 0: {strong}"), (after == (3, 3), f"after: {after}"))
PY
