#!/usr/bin/env bash
# Guess: a daily job at 02:30 runs once on each day of the year, and a library for schedules decides the nights of the clock change as cron does.
# Seen:  of six libraries only cronsim and croner agree on six lines. In autumn 02:30 comes twice for croniter and APScheduler, and once for
#        four; for `cron` 03:00 comes twice, the first time at the second 02:00. In spring 02:30, which does not exist, is 03:00 for four
#        and 03:30 for two. `*/30 2 * * *` in that night is nothing for cronsim and croner, one run for three, two for cron-parser. In autumn
#        `*/30 2-3 * * *` is silent for an hour with cron-parser.
# With:  croniter 7.0.0, cronsim 2.8, APScheduler 3.11.3 (PyPI); cron-parser 5.10.6, croner 11.0.1, cron 4.4.0 (npm), Node 20; the zone
#        Europe/Berlin, 2026.
# Why:   a backup or a bill is made twice in one night of the year, at another time than planned, or not at all, with each
#        library otherwise; tests on other days show nothing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node
pip_install croniter==7.0.0 cronsim==2.8 APScheduler==3.11.3 tzdata==2026.6
npm_install cron-parser@5.10.6 croner@11.0.1 cron@4.4.0
cat >node/read.js <<'JS'
const { CronExpressionParser } = require('cron-parser')
const { Cron } = require('croner')
const { CronTime } = require('cron')
const tz = 'Europe/Berlin'
const readers = {
  'cron-parser': (line, begin) => {
    const times = CronExpressionParser.parse(line, { currentDate: begin, tz })
    return () => times.next().toDate()
  },
  croner: (line, begin) => {
    const times = new Cron(line, { timezone: tz, paused: true })
    return () => (begin = times.nextRun(begin))
  },
  cron: (line, begin) => {
    const times = new CronTime(line, tz)
    return () => (begin = times.getNextDateFrom(begin, tz).toJSDate())
  },
}
const cases = JSON.parse(require('fs').readFileSync(0))
const until = (next, end) => {
  const found = []
  for (let time = next(); time < new Date(end); time = next()) found.push(time.toISOString().slice(11, 16))
  return found
}
console.log(JSON.stringify(Object.fromEntries(Object.entries(readers).map(([name, read]) => [
  name, cases.map(([line, begin, end]) => until(read(line, new Date(begin)), end)),
]))))
JS
PYTHON=python judge 60 <<'PY'
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger
from croniter import croniter
from cronsim import CronSim

from wire import *

ZONE = ZoneInfo("Europe/Berlin")
SPRING, AUTUMN = ("2026-03-29T00:30Z", "2026-03-29T03:30Z"), ("2026-10-24T23:30Z", "2026-10-25T03:30Z")  # 01:30 to 05:30, and to 04:30


def with_apscheduler(line, begin):
    """As its scheduler asks: the last time, and now, a second later."""
    trigger, last, now = CronTrigger.from_crontab(line, timezone=ZONE), None, begin

    def following():
        nonlocal last, now
        last = trigger.get_next_fire_time(last, now)
        now = (last.astimezone(timezone.utc) + timedelta(seconds=1)).astimezone(ZONE)
        return last

    return following


def with_croniter(line, begin):
    times = croniter(line, begin)
    return lambda: times.get_next(datetime)


def with_cronsim(line, begin):
    times = CronSim(line, begin)
    return lambda: next(times)


def until(following, end):
    found = []
    while (moment := following().astimezone(timezone.utc)) < end and len(found) < 20:
        found.append(moment.strftime("%H:%M"))
    return found


CASES = {  # who agrees with whom, times in UTC: 01:00 is the moment of both changes
    ("30 2 * * *", SPRING): ["croniter cronsim croner cron: 01:00", "apscheduler cron-parser: 01:30"],
    ("*/30 2 * * *", SPRING): ["croniter apscheduler cron: 01:00", "cronsim croner: never", "cron-parser: 01:00 01:30"],
    ("30 2 * * *", AUTUMN): ["croniter apscheduler: 00:30 01:30", "cronsim cron-parser croner cron: 00:30"],
    ("*/30 2 * * *", AUTUMN): ["croniter cronsim apscheduler croner: 00:00 00:30 01:00 01:30", "cron-parser cron: 00:00 00:30"],
    ("*/30 2-3 * * *", AUTUMN): ["croniter cronsim apscheduler croner cron: 00:00 00:30 01:00 01:30 02:00 02:30", "cron-parser: 00:00 00:30 02:00 02:30"],
    ("0 3 * * *", AUTUMN): ["croniter cronsim apscheduler cron-parser croner: 02:00", "cron: 01:00 02:00"],
}
PYTHONS = {"croniter": with_croniter, "cronsim": with_cronsim, "apscheduler": with_apscheduler}
cases = [(line, *night) for line, night in CASES]
seen = {name: [until(read(line, datetime.fromisoformat(begin).astimezone(ZONE)), datetime.fromisoformat(end)) for line, begin, end in cases]
        for name, read in PYTHONS.items()}
seen |= json.loads(subprocess.run(["node", "node/read.js"], input=json.dumps(cases), capture_output=True, text=True, check=True, timeout=30).stdout)
facts = []
for number, ((line, night), expected) in enumerate(CASES.items()):
    groups = {}
    for name, answers in seen.items():
        groups.setdefault(" ".join(answers[number]) or "never", []).append(name)
    show(f"{line!r} in {'spring' if night is SPRING else 'autumn'}: " + "; ".join(f"{found} ({', '.join(names)})" for found, names in groups.items()))
    table = [f"{' '.join(names)}: {found}" for found, names in groups.items()]
    facts.append((table == expected, f"{line} of {night}: {table}"))
agree = [(one, two) for one in seen for two in seen if one < two and seen[one] == seen[two]]
finish(*facts, (agree == [("croner", "cronsim")], f"those that agree: {agree}"))
PY
