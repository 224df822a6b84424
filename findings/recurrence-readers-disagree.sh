#!/usr/bin/env bash
# Guess: a recurrence rule of iCalendar gives the same times in each library, at least with an explicit start and a count.
# Seen:  a start on Monday with BYDAY=TU and COUNT=3 is three Tuesdays to rrule and python-dateutil, and the Monday as well to
#        recurring-ical-events. Hourly over the change to summer time rrule gives one instant twice, and the other two give
#        02:30, which does not exist. An EXDATE that is a date removes that day only in recurring-ical-events. UNTIL with a Z for
#        a start without a time zone is an error only in dateutil. With a TZID the dates of rrule depend on the machine: 09:00
#        in New York is 14:00Z under TZ=UTC and 23:00Z under TZ=Asia/Tokyo.
# With:  rrule 2.8.1 (npm), python-dateutil 2.9.0.post0, recurring-ical-events 3.8.2 with icalendar 7.3.2 (PyPI), Node 20.
# Why:   a job that is planned by a page's rule runs at another time in the worker; on a machine that is set to UTC, as servers and CI
#        are, the test of it passes.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node
npm_install rrule@2.8.1
pip_install python-dateutil==2.9.0.post0 recurring-ical-events==3.8.2 icalendar==7.3.2
cat >node/read.mjs <<'JS'
import rrule from 'rrule'

const first = (text) => {
  try {
    return rrule.rrulestr(text).all((_, index) => index < 4).map((date) => date.toISOString().slice(0, 16))
  } catch { return 'error' }
}
console.log(JSON.stringify(process.argv.slice(2).map(first)))
JS
PYTHON=python judge 60 <<'PY'
import itertools

import icalendar
import recurring_ical_events
from dateutil.rrule import rrulestr

from wire import *

RULES = {
    "out of its pattern": "DTSTART:20260105T090000\nRRULE:FREQ=WEEKLY;BYDAY=TU;COUNT=3",
    "hourly, summer time": "DTSTART;TZID=Europe/Berlin:20260329T003000\nRRULE:FREQ=HOURLY;COUNT=4",
    "EXDATE": "DTSTART:20260105T090000\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20260106",
    "UNTIL with Z": "DTSTART:20260105T090000\nRRULE:FREQ=DAILY;UNTIL=20260106T090000Z",
    "New York": "DTSTART;TZID=America/New_York:20260105T090000\nRRULE:FREQ=DAILY;COUNT=1",
}


def in_javascript(zone):
    done = subprocess.run(["node", "node/read.mjs", *RULES.values()], capture_output=True, text=True, check=True, timeout=30, env={**os.environ, "TZ": zone})
    return dict(zip(RULES, json.loads(done.stdout)))


def texts(dates):
    return [date.isoformat()[:16] for date in itertools.islice(dates, 4)]


def with_dateutil(rule):
    try:
        return texts(rrulestr(rule))
    except ValueError:
        return "error"


def with_recurring(rule):
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:find\nBEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\n{rule}\nEND:VEVENT\nEND:VCALENDAR\n"
    return texts(event["DTSTART"].dt for event in recurring_ical_events.of(icalendar.Calendar.from_ical(text)).all())


utc, tokyo = in_javascript("UTC"), in_javascript("Asia/Tokyo")
dateutil, recurring = ({name: read(rule) for name, rule in RULES.items()} for read in (with_dateutil, with_recurring))
for name in RULES:
    show(f"{name}: rrule {utc[name]}; dateutil {dateutil[name]}; recurring-ical-events {recurring[name]}")
show(f"New York with TZ=Asia/Tokyo: rrule {tokyo['New York']}")
tuesdays = ["2026-01-06T09:00", "2026-01-13T09:00", "2026-01-20T09:00"]
days = ["2026-01-05T09:00", "2026-01-06T09:00", "2026-01-07T09:00"]
finish(
    (utc["out of its pattern"] == dateutil["out of its pattern"] == tuesdays, "out of its pattern"),
    (recurring["out of its pattern"] == ["2026-01-05T09:00", *tuesdays], "out of its pattern, recurring-ical-events"),
    (utc["hourly, summer time"][:2] == ["2026-03-28T23:30"] * 2, "rrule gives one instant twice"),
    (dateutil["hourly, summer time"] == [f"2026-03-29T0{hour}:30" for hour in range(4)], "dateutil gives 02:30"),
    (dateutil["EXDATE"] == days and recurring["EXDATE"] == [days[0], days[2]], "EXDATE"),
    (dateutil["UNTIL with Z"] == "error" and utc["UNTIL with Z"] == recurring["UNTIL with Z"] == days[:2], "UNTIL with Z"),
    (utc["New York"] == ["2026-01-05T14:00"] and tokyo["New York"] == ["2026-01-05T23:00"], "New York"),
    (recurring["New York"] == dateutil["New York"] == ["2026-01-05T09:00"], "New York, in Python"),
)
PY
