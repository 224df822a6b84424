#!/usr/bin/env bash
# Guess: `h5py.File(path, "r")` is read-only, or fails where the file is open for writing, as it does in another process.
# Seen:  in a process that has it open for writing the new file object is "r+": what is written through it is in the file. The
#        other way round it is the "r" that counts: the second open, with "r+" or "a", fails. A file object that went out of
#        scope stays open while a dataset of it lives. In another process "r" raises BlockingIOError.
# With:  h5py 3.16.0 (PyPI), with the HDF5 of its wheel.
# Why:   a function that opens with "r" to be safe changes the file if somebody else in the process has it open.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install h5py==3.16.0
PYTHON=python judge 30 <<'PY'
import sys

import h5py

from wire import *


def attempt(call):
    try:
        return call()
    except Exception as error:
        return type(error).__name__


def write(file):
    file["data"][0] = 7
    return "written"


writer = h5py.File("shared.h5", "w")
writer["data"] = [1, 2, 3]
writer.flush()
reader = h5py.File("shared.h5", "r")
mode, wrote = reader.mode, attempt(lambda: write(reader))
elsewhere = subprocess.run([sys.executable, "-c", "import h5py; h5py.File('shared.h5', 'r')"], capture_output=True, text=True, timeout=20).stderr
elsewhere = elsewhere.strip().splitlines()[-1].split(":")[0] if elsewhere else "opened"
reader.close()
writer.close()
value = h5py.File("shared.h5", "r")["data"][0].item()
first = h5py.File("other.h5", "w")
first["data"] = [1]
first.close()
first = h5py.File("other.h5", "r")
second = attempt(lambda: h5py.File("other.h5", "r+").mode), attempt(lambda: h5py.File("other.h5", "a").mode), attempt(lambda: write(first))
data = first["data"]
del first
third = attempt(lambda: h5py.File("other.h5", "r+").mode)
show(f"opened with 'r' while open for writing: mode {mode!r}, {wrote}, in the file afterwards {value}; in another process: {elsewhere}")
show(f"opened for writing while open with 'r': {second[:2]}, a write through 'r' {second[2]}; with a dataset left of it: {third}")
finish((mode == "r+" and wrote == "written" and value == 7, f"r: {mode}, {wrote}, {value}"), (elsewhere == "BlockingIOError", f"elsewhere: {elsewhere}"),
       (second[0] != "r+" and second[1] != "r+" and second[2] != "written", f"second: {second}"), (third != "r+" and data is not None, f"third: {third}"))
PY
