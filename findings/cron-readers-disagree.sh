#!/usr/bin/env bash
# Guess: five fields of a crontab mean the same to every library: 1 is Monday, and where both days are given either is enough.
# Seen:  of eight readers no two agree on nine lines. `0 9 * * 1` is Tuesday to APScheduler, whose week begins with Monday as
#        0, and 5-7 an error. `0 9 13 * 5` is each 13th and each Friday to five, Friday the 13th to two. `0 9 */2 * 1` and
#        `0 9 1-31 * 1` part them otherwise: a field that begins with a star, or that has every day, counts as given or
#        not. `5/15` is every quarter of an hour, minute 5 alone, or an error. A sixth field is seconds before the other
#        five, seconds after them, or an error. The 29th of February is an error in `cron`.
# With:  croniter 7.0.0, cronsim 2.8, crontab 1.0.5, cron-converter 2.0.2, APScheduler 3.11.3 (PyPI); cron-parser 5.10.6,
#        croner 11.0.1, cron 4.4.0 (npm).
# Why:   a schedule that is moved from one program to another runs on other days; a check of it with one library proves
#        nothing about the other.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node
pip_install croniter==7.0.0 cronsim==2.8 crontab==1.0.5 cron-converter==2.0.2 APScheduler==3.11.3
npm_install cron-parser@5.10.6 croner@11.0.1 cron@4.4.0
cat >readers.js <<'JS'
const { CronExpressionParser } = require("cron-parser");
const { Cron } = require("croner");
const { CronTime } = require("cron");
const begin = new Date("2026-11-30T00:00:30Z");
const text = (time) => new Date(time).toISOString().slice(0, 19);
const three = (next) => {
  const found = [];
  for (let time = begin; found.length < 3; found.push(text(time))) time = next(time);
  return found;
};
const readers = {
  "cron-parser": (line) => { const times = CronExpressionParser.parse(line, { currentDate: begin, tz: "UTC" }); return three(() => times.next().toDate()); },
  croner: (line) => { const times = new Cron(line, { timezone: "UTC", paused: true }); return three((time) => times.nextRun(time)); },
  cron: (line) => { const times = new CronTime(line, "UTC"); return three((time) => times.getNextDateFrom(time, "UTC").toJSDate()); },
};
const lines = JSON.parse(require("fs").readFileSync(0));
const attempt = (act) => { try { return act(); } catch { return "error"; } };
console.log(JSON.stringify(Object.fromEntries(Object.entries(readers).map(([name, read]) => [name, lines.map((line) => attempt(() => read(line)))]))));
JS
export TZ=UTC NODE_PATH="$WORK/node/node_modules"
PYTHON=python judge 60 <<'PY'
import warnings
from datetime import datetime, timedelta, timezone

from apscheduler.triggers.cron import CronTrigger
from cron_converter import Cron
from croniter import croniter
from cronsim import CronSim
from crontab import CronTab

from wire import *

warnings.simplefilter("ignore")
BEGIN = datetime(2026, 11, 30, 0, 0, 30)  # a Monday


def with_crontab(line):
    times, table = [BEGIN], CronTab(line)
    while len(times) < 4:
        times.append(table.next(now=times[-1], return_datetime=True, default_utc=True))
    return times[1:]


def with_apscheduler(line):
    times, trigger = [BEGIN.replace(tzinfo=timezone.utc)], CronTrigger.from_crontab(line, timezone="UTC")
    while len(times) < 4:
        times.append(trigger.get_next_fire_time(None, times[-1] + timedelta(seconds=1)))
    return times[1:]


def counted(next_time):
    return [next_time() for _ in range(3)]


READERS = {
    "croniter": lambda line: counted(lambda i=croniter(line, BEGIN): i.get_next(datetime)),
    "cronsim": lambda line: counted(lambda i=CronSim(line, BEGIN): next(i)),
    "crontab": with_crontab,
    "cron-converter": lambda line: counted(Cron(line).schedule(BEGIN).next),
    "apscheduler": with_apscheduler,
}


def attempt(read, line):
    try:
        return [time.strftime("%Y-%m-%dT%H:%M:%S") for time in read(line)]
    except Exception:
        return "error"


LINES = ["0 9 * * 1", "0 9 13 * 5", "0 9 */2 * 1", "0 9 1-31 * 1", "0 9 * * */2", "0 9 * * 5-7", "5/15 * * * *", "0 5 9 * * 1", "0 9 29 2 *"]
FIVE = "croniter cronsim cron-parser croner cron"
ALL_BUT_ONE = "croniter cronsim crontab cron-converter cron-parser croner cron"
EXPECTED = {  # who agrees with whom
    "0 9 * * 1": [ALL_BUT_ONE, "apscheduler"],
    "0 9 13 * 5": [FIVE, "crontab cron-converter", "apscheduler"],
    "0 9 */2 * 1": ["croniter cron-parser croner cron", "cronsim crontab cron-converter", "apscheduler"],
    "0 9 1-31 * 1": ["croniter cronsim cron-parser croner", "crontab cron-converter cron", "apscheduler"],
    "0 9 * * */2": [ALL_BUT_ONE, "apscheduler"],
    "0 9 * * 5-7": [ALL_BUT_ONE, "apscheduler"],
    "5/15 * * * *": ["croniter cronsim crontab apscheduler cron-parser cron", "cron-converter", "croner"],
    "0 5 9 * * 1": ["croniter", "cronsim cron-parser croner cron", "crontab cron-converter apscheduler"],
    "0 9 29 2 *": ["croniter cronsim crontab cron-converter apscheduler cron-parser croner", "cron"],
}
seen = {name: [attempt(read, line) for line in LINES] for name, read in READERS.items()}
seen |= json.loads(subprocess.run(["node", "readers.js"], input=json.dumps(LINES), capture_output=True, text=True, timeout=30).stdout)
facts = []
for number, line in enumerate(LINES):
    groups = {}
    for name, answers in seen.items():
        found = answers[number]
        groups.setdefault(found if found == "error" else " ".join(time[2:16] for time in found), []).append(name)
    show(f"{line!r}: " + "; ".join(f"{found} ({', '.join(names)})" for found, names in groups.items()))
    facts.append((list(groups.values()) == [names.split() for names in EXPECTED[line]], line))
agree = [(one, two) for one in seen for two in seen if one < two and seen[one] == seen[two]]
finish(*facts, (not agree, f"no two agree: {agree}"))
PY
