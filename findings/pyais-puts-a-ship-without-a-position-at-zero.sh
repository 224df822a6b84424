#!/usr/bin/env bash
# Guess: a position report that is made without a position says "not available"; a reader gives no value for what is not available,
#        and refuses a sentence with a wrong checksum.
# Seen:  pyais encodes 0° N 0° E in position reports of types 1, 4 and 18, and in type 1 speed, course and heading 0, all of them
#        valid values; the status alone is "undefined". It decodes "not available" as latitude 91, longitude 181, 102.3 knots,
#        course 360 and heading 511, and a sentence with a wrong checksum as if it were right. ggencoder leaves the position out,
#        and gives the same numbers for the rest.
# With:  pyais 3.3.1 (PyPI), ggencoder 1.0.10 (npm).
# Why:   a simulated ship without a fix lies in the Gulf of Guinea for every receiver; an alarm for speed goes off for each ship that
#        sends none.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install pyais==3.3.1
npm_install ggencoder@1.0.10
cat >node/read.js <<'JS'
const { AisDecode } = require('ggencoder')
const seen = new AisDecode(process.argv[2])
console.log(JSON.stringify([seen.lat ?? null, seen.lon ?? null, seen.sog, seen.cog, seen.hdg]))
JS
PYTHON="$WORK/venv/bin/python" judge 60 <<'PY'
import subprocess

from pyais import decode, encode_dict

from wire import finish, show


def facts(sentence):
    seen = decode(sentence)
    return [seen.lat, seen.lon, seen.speed, seen.course, seen.heading]


bare = facts(encode_dict({"type": 1, "mmsi": 123456789})[0])
others = [[decode(encode_dict({"type": kind, "mmsi": 1})[0]).lat, decode(encode_dict({"type": kind, "mmsi": 1})[0]).lon] for kind in (4, 18)]
status = decode(encode_dict({"type": 1, "mmsi": 1})[0]).status.name
nothing = {"lat": 91, "lon": 181, "speed": 102.3, "course": 360.0, "heading": 511}
sentence = encode_dict({"type": 1, "mmsi": 123456789, **nothing}, talker_id="AI", sentence_type="VDM")[0]
read = facts(sentence)
node = subprocess.run(["node", "node/read.js", sentence], capture_output=True, text=True).stdout.strip()
head, _, checksum = sentence.rpartition("*")
wrong = decode(f"{head}*{(int(checksum, 16) ^ 1):02X}")
show(f"encoded without a position: {bare}, types 4 and 18 {others}, status {status}")
show(f"'not available' decoded: pyais {read}, ggencoder {node}; with a wrong checksum: latitude {wrong.lat}")
finish((bare == [0, 0, 0, 0, 0] and others == [[0, 0]] * 2 and status == "Undefined", "encoded without a position"),
       (read == [91, 181, 102.3, 360, 511], "pyais"), (node == "[null,null,102.3,360,511]", "ggencoder"), (wrong.lat == 91, "a wrong checksum"))
PY
