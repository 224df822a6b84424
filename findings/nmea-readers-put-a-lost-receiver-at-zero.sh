#!/usr/bin/env bash
# Guess: for the sentence of a GPS receiver that has no fix, where the fields of latitude and longitude are empty, a
#        reader gives no position, or an error.
# Seen:  pynmea2 gives 0.0 and 0.0, nmea-simple -0 and -0: a place in the Gulf of Guinea. pynmeagps gives empty text for
#        what is otherwise a number, gps null, with `valid` true, which says that the checksum is right. Only the
#        quality or the status, which each names differently, tells that there is no fix.
# With:  pynmea2 1.19.0, pynmeagps 1.1.8 (PyPI), nmea-simple 3.3.0, gps 0.9.0 (npm).
# Why:   a log, map or geofence has a jump to 0° N 0° E whenever the receiver loses sight of the sky; a range check of the
#        coordinates passes it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install pynmea2==1.19.0 pynmeagps==1.1.8
npm_install nmea-simple@3.3.0 gps@0.9.0
cat >node/read.cjs <<'JS'
const { parseNmeaSentence } = require("nmea-simple")
const { default: GPS } = require("gps")
const text = value => Object.is(value, -0) ? "-0" : String(value)
for (const sentence of process.argv.slice(2)) {
  const simple = parseNmeaSentence(sentence), gps = GPS.Parse(sentence)
  console.log(JSON.stringify({ "nmea-simple": [text(simple.latitude), text(simple.longitude)], gps: [text(gps.lat), text(gps.lon)], valid: gps.valid }))
}
JS
PYTHON=python judge 30 <<'PY'
import functools
import operator

import pynmea2
from pynmeagps import NMEAReader

from wire import *

FIX, LOST, VOID = ("GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,", "GPGGA,123519,,,,,0,00,,,M,,M,,",
                   "GPRMC,123519,V,,,,,,,230394,,,N")
sentences = [f"${body}*{functools.reduce(operator.xor, body.encode()):02X}" for body in (FIX, LOST, VOID)]
node = subprocess.run(["node", "node/read.cjs", *sentences], capture_output=True, text=True, timeout=20).stdout.splitlines()
rows = []
for sentence, line in zip(sentences, node, strict=True):
    one, two = pynmea2.parse(sentence), NMEAReader.parse(sentence)
    rows.append({"pynmea2": [one.latitude, one.longitude], "pynmeagps": [two.lat, two.lon], **json.loads(line)})
    show(f"{sentence}: {rows[-1]}")
fix, lost, void = rows
finish((abs(fix["pynmea2"][0] - 48.1173) < 1e-4 and fix["nmea-simple"][0].startswith("48.117"), "a position"),
       (lost == void == {"pynmea2": [0.0, 0.0], "pynmeagps": ["", ""], "nmea-simple": ["-0", "-0"], "gps": ["null", "null"], "valid": True},
        "without a fix"))
PY
