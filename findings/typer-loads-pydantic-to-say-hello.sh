#!/usr/bin/env bash
# Guess: a command without parameters has loaded all that it needs when its file is imported, and starts as fast with the
#        next minor version of its library.
# Seen:  typer 0.29 converts parameters by pydantic, also that of its own --help, which has no value: a command without
#        parameters loads 115 modules when it is called, in about as much CPU as everything before. 0.28 loads one.
# With:  typer 0.28.0 and 0.29.2 (PyPI).
# Why:   command lines and stdio servers that agents start for each step take twice as long to start, and a test of what
#        the import loads does not see it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
venv_install "$WORK/old" typer==0.28.0
venv_install "$WORK/new" typer==0.29.2

cat >"$WORK/hello.py" <<'PY'
import sys
import time

import typer

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def hello() -> None:
    typer.echo("hello")


imported, began = set(sys.modules), time.process_time()
try:
    app([], prog_name="hello")
except SystemExit as ended:
    assert not ended.code
added = set(sys.modules) - imported
print(len(added), "pydantic" in added, round(time.process_time() - began, 3), round(began, 3))
PY

changed=0
for which in old new; do
    "$WORK/$which/bin/python" "$WORK/hello.py" >/dev/null # compiles
    said=$("$WORK/$which/bin/python" "$WORK/hello.py")
    read -r modules loaded seconds before <<<"$(tail -n 1 <<<"$said")"
    observed "$("$WORK/$which/bin/python" -c 'import typer; print("typer", typer.__version__)'): called, the command loads" \
        "$modules modules (pydantic: $loaded) in $seconds s of CPU; until then it took $before s"
    case $which in
        old) [ "$loaded" = False ] && [ "$modules" -le 10 ] || changed=1 ;;
        new) [ "$loaded" = True ] && [ "$modules" -ge 60 ] || changed=1 ;;
    esac
done
verdict "$changed"
