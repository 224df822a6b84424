#!/usr/bin/env bash
# Guess: with derandomize=True, as Hypothesis sets it in CI, a test runs the same examples as long as it is the same.
# Seen:  they are others once one more module of the project has been imported: a twentieth of the values drawn are
#        constants out of the source of all local modules that are loaded.
# With:  hypothesis 6.170.15 (PyPI).
# Why:   which modules a worker of pytest-xdist has loaded differs from run to run: a test that passed for months meets an
#        example in CI that fails, and passes again, alone and in the next run.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install hypothesis==6.170.15
echo 'PORTS = ("postCreateCommand", "depends_on", 5432, 6379)' >settings.py
cat >laws.py <<'PY'
import hashlib
import importlib
import sys

for name in sys.argv[1:]:
    importlib.import_module(name)
from hypothesis import given, settings, strategies

seen = []


@settings(derandomize=True, database=None, max_examples=300)
@given(strategies.lists(strategies.text()), strategies.integers())
def law(texts, number):
    seen.append((texts, number))


law()
print(hashlib.sha256(repr(seen).encode()).hexdigest()[:12])
PY
first=$(python laws.py)
again=$(python laws.py)
other=$(python laws.py settings)
observed "digest of the 300 examples: $first; once more: $again; with settings.py imported: $other"
[ "$first" = "$again" ] && [ "$other" != "$first" ] && verdict 0
verdict 1
