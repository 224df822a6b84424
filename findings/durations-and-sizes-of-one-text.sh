#!/usr/bin/env bash
# Guess: "1m", "1M", "1h30", "90", "1Mi" or "1k" is one duration or size, or an error.
# Seen:  1M is a minute to humanfriendly and pytimeparse, a month to systemd, an error to durationpy. 1h30 is an hour and 30
#        seconds to systemd, None or an error to the others. 90 is 90 seconds, an error, or None. pytimeparse answers None for
#        what it does not read, 100ms among it. A year has 364 days, 365 or 365.25. humanfriendly reads 1Mi as 1,000,000,
#        and 1k as 1000 where bitmath says 1024; to bitmath 1b is a bit, so 0 bytes.
# With:  humanfriendly 10.0, pytimeparse 1.1.10, durationpy 0.11, bitmath 2.1.1, pydantic 2.14.4 (PyPI), systemd 252 (Debian 12).
# Why:   a timeout or a memory limit that is copied from one tool's file to another's is another one, or none.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need systemd-analyze
version_is systemd "$(systemd-analyze --version | sed -n 's/^systemd \([0-9]*\).*/\1/p')" 252
pip_install humanfriendly==10.0 pytimeparse==1.1.10 durationpy==0.11 bitmath==2.1.1 pydantic==2.14.4
PYTHON=python judge 60 <<'PY'
import bitmath
import durationpy
import humanfriendly
import pydantic
import pytimeparse

from wire import *


def with_systemd(text):
    said = subprocess.run(["systemd-analyze", "timespan", text], capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    return int(said.stdout.split("s:", 1)[1].split()[0]) / 1e6


DURATIONS = {"humanfriendly": humanfriendly.parse_timespan, "pytimeparse": pytimeparse.parse,
             "durationpy": lambda text: durationpy.from_str(text).total_seconds(), "systemd": with_systemd}
SIZES = {"humanfriendly": humanfriendly.parse_size, "pydantic": lambda text: int(pydantic.TypeAdapter(pydantic.ByteSize).validate_python(text)),
         "bitmath": lambda text: int(bitmath.parse_string(text, strict=False).to_Byte().value)}
SEEN = {  # in the order of the readers above, in seconds or bytes
    "1m": (60, 60, 60, 60), "1M": (60, 60, "error", 2629800), "1h30": ("error", None, "error", 3630), "1h30m": ("error", 5400, 5400, 5400),
    "90": (90, None, "error", 90), "100ms": (0.1, None, 0.1, 0.1), "1y": (31449600, None, 31536000, 31557600),
    "1k": (1000, 1000, 1024), "1Mi": (1000000, "error", 1048576), "1b": (1, 1, 0),
}


def attempt(read, text):
    try:
        return read(text)
    except Exception:
        return "error"


facts = []
for text, expected in SEEN.items():
    readers = DURATIONS if len(expected) == 4 else SIZES
    seen = tuple(attempt(read, text) for read in readers.values())
    show(f"{text}: " + ", ".join(f"{name} {value}" for name, value in zip(readers, seen)))
    facts.append((seen == expected, f"{text}: {seen}"))
finish(*facts)
PY
