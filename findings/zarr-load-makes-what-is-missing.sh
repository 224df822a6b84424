#!/usr/bin/env bash
# Guess: `zarr.load` of a path that does not exist fails and leaves nothing; so does `zarr.open` for reading without a mode.
# Seen:  load raises NotImplementedError, "loading groups not yet supported", and has made an empty group of that name, so that
#        a later open with mode="r" succeeds. `zarr.open` makes one without a word. A chunk file that is lost is read as
#        the fill value, without an error.
# With:  zarr 3.1.6 (PyPI).
# Why:   a misspelled path looks like an empty store from then on, and the check that it exists passes; the error speaks of
#        groups, not of a missing file.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install zarr==3.1.6
PYTHON=python judge 30 <<'PY'
import zarr

from wire import *


def attempt(call):
    try:
        return type(call()).__name__
    except Exception as error:
        return f"{type(error).__name__}: {error}"


before = attempt(lambda: zarr.open("missing.zarr", mode="r")).split(":")[0]
load = attempt(lambda: zarr.load("missing.zarr"))
after = attempt(lambda: zarr.open("missing.zarr", mode="r"))
made = sorted(os.listdir("missing.zarr")) if os.path.exists("missing.zarr") else None
opened = attempt(lambda: zarr.open("other.zarr")), os.path.exists("other.zarr")
array = zarr.create_array("array.zarr", shape=(4,), chunks=(2,), dtype="i4", fill_value=0)
array[:] = [1, 2, 3, 4]
os.remove("array.zarr/c/1")
lost = zarr.open("array.zarr", mode="r")[:].tolist()
show(f"open with mode 'r': {before}; then load: {load!r}, which made {made}; then open with mode 'r': {after}")
show(f"open without a mode of another: {opened}; an array of 1, 2, 3, 4 without its second chunk: {lost}")
finish((before.endswith("Error") and load.startswith("NotImplementedError") and after == "Group" and made == ["zarr.json"], "load"),
       (opened == ("Group", True), f"open: {opened}"), (lost == [1, 2, 0, 0], f"lost: {lost}"))
PY
