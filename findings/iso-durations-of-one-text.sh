#!/usr/bin/env bash
# Guess: an ISO 8601 duration is exact or refused: -PT1H is minus one hour, PT0,5H half an hour, P1M as long as a month, and
#        what is none, such as PT1H30, is an error.
# Seen:  of nine readers no two agree on nine texts. -PT1H is plus one hour to iso8601-duration's toSeconds and dayjs; PT0,5H is 0 to
#        dayjs; PT1H30 is one hour to iso8601-duration and tinyduration, PT1M1H a minute to both and 3660 s to pydantic. A month is
#        0 s in isodate's total_seconds(), 30 days, or 30.4. msgspec takes pt1h and refuses a week.
# With:  luxon 3.7.2, iso8601-duration 2.1.4, tinyduration 3.4.1, dayjs 1.11.23 (npm), isodate 0.7.2, aniso8601 10.0.1, pendulum 3.3.0,
#        pydantic 2.14.4, msgspec 0.23.0 (PyPI), Node 20.
# Why:   a time limit that one program writes is another one, none, or the opposite in the next.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node
npm_install luxon@3.7.2 iso8601-duration@2.1.4 tinyduration@3.4.1 dayjs@1.11.23
pip_install isodate==0.7.2 aniso8601==10.0.1 pendulum==3.3.0 pydantic==2.14.4 msgspec==0.23.0
cat >node/read.mjs <<'JS'
import dayjs from 'dayjs'
import plugin from 'dayjs/plugin/duration.js'
import * as iso from 'iso8601-duration'
import { Duration } from 'luxon'
import { parse } from 'tinyduration'

dayjs.extend(plugin)
const length = { years: 31536000, months: 2592000, weeks: 604800, days: 86400, hours: 3600, minutes: 60, seconds: 1 }
const readers = {
  luxon: (text) => Duration.fromISO(text).as('seconds'),
  'iso8601-duration': (text) => iso.toSeconds(iso.parse(text)),
  tinyduration: (text) => {
    const found = parse(text)
    return Object.keys(length).reduce((sum, unit) => sum + (found[unit] ?? 0) * length[unit], 0) * (found.negative ? -1 : 1)
  },
  dayjs: (text) => dayjs.duration(text).asSeconds(),
}
const answer = {}
for (const [name, read] of Object.entries(readers)) {
  answer[name] = process.argv.slice(2).map((text) => {
    try { const seconds = read(text); return Number.isFinite(seconds) ? seconds : null } catch { return null }
  })
}
console.log(JSON.stringify(answer))
JS
PYTHON=python judge 60 <<'PY'
import datetime

import aniso8601
import isodate
import msgspec
import pendulum
import pydantic

from wire import *

SEEN = {  # in the order of the readers, in seconds; None is an error
    "-PT1H": (-3600, 3600, -3600, 3600, -3600, None, None, -3600, -3600),
    "PT0,5H": (None, 1800, 1800, 0, 1800, 1800, 1800, 1800, None),
    "PT1H30": (None, 3600, 3600, None, None, None, None, None, None),
    "PT1M1H": (None, 60, 60, None, None, None, None, 3660, None),
    "P1M": (2592000, 2592000, 2592000, 2628000, 0, 2592000, 2592000, 2592000, None),
    "P1W2D": (777600, 777600, 777600, 777600, 777600, None, None, 777600, None),
    "P0.5D": (43200, None, 43200, 43200, 43200, 43200, 43200, 43200, 43200),
    "pt1h": (None, None, None, None, None, None, None, None, 3600),
    "PT": (0, None, None, 0, 0, None, 0, None, None),
}
READERS = {
    "isodate": lambda text: isodate.parse_duration(text).total_seconds(),
    "aniso8601": lambda text: aniso8601.parse_duration(text).total_seconds(),
    "pendulum": lambda text: pendulum.parse(text).total_seconds(),
    "pydantic": lambda text: pydantic.TypeAdapter(datetime.timedelta).validate_python(text).total_seconds(),
    "msgspec": lambda text: msgspec.convert(text, datetime.timedelta).total_seconds(),
}


def attempt(read, text):
    try:
        return read(text)
    except Exception:
        return None


done = subprocess.run(["node", "node/read.mjs", *SEEN], capture_output=True, text=True, check=True, timeout=30)
seen = json.loads(done.stdout) | {name: [attempt(read, text) for text in SEEN] for name, read in READERS.items()}
for column, text in enumerate(SEEN):
    show(f"{text}: " + ", ".join(f"{name} {row[column]}" for name, row in seen.items()))
finish(*((tuple(row[column] for row in seen.values()) == expected, f"{text}") for column, (text, expected) in enumerate(SEEN.items())),
       (len({tuple(row) for row in seen.values()}) == len(seen), "all readers differ"))
PY
