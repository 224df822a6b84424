#!/usr/bin/env bash
# Guess: validators of JSON Schema agree on what is valid, apart from `format`; a validator changes nothing; a misspelled type is an
#        error.
# Seen:  of six no two agree on thirteen schemas. ajv finds the required key "constructor" in {}, and refuses {} for a property named
#        toString. 19.99 is no multiple of 0.01 to ajv and Python's jsonschema. "^web$" takes "web" with a line break in Python's
#        jsonschema, and \d+ takes an Arabic digit in fastjsonschema, too. fastjsonschema, without saying so, and npm's jsonschema
#        ignore what is newer than draft 7 (prefixItems, dependentRequired, unevaluatedProperties), and siblings of $ref.
#        {"type": "strin"} takes everything in npm's jsonschema. fastjsonschema writes defaults into what it checks.
# With:  ajv 8.20.0 (2020-12, not strict), @cfworker/json-schema 4.1.6, jsonschema 1.5.0 (npm), jsonschema 4.26.0, fastjsonschema 2.22.3,
#        jsonschema-rs 0.61.2 (PyPI), Node 20.
# Why:   the arguments of a tool that a client has checked are refused by the server, or those that the server must refuse pass.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node
npm_install ajv@8.20.0 @cfworker/json-schema@4.1.6 jsonschema@1.5.0
pip_install jsonschema==4.26.0 fastjsonschema==2.22.3 jsonschema-rs==0.61.2
cat >node/check.mjs <<'JS'
import { readFileSync } from 'node:fs'
import { Validator as Cfworker } from '@cfworker/json-schema'
import Ajv from 'ajv/dist/2020.js'
import { Validator } from 'jsonschema'

const checks = {
  ajv: (schema, value) => new Ajv.default({ strict: false, logger: false }).compile(schema)(value),
  cfworker: (schema, value) => new Cfworker(schema, '2020-12').validate(value).valid,
  'jsonschema (npm)': (schema, value) => new Validator().validate(value, schema).valid,
}
const cases = JSON.parse(readFileSync(0))
const attempt = (check) => cases.map(([schema, value]) => { try { return check(schema, value) } catch { return null } })
console.log(JSON.stringify(Object.fromEntries(Object.entries(checks).map(([name, check]) => [name, attempt(check)]))))
JS
PYTHON=python judge 100 <<'PY'
import fastjsonschema
import jsonschema
import jsonschema_rs

from wire import *

SEEN = [  # schema, value, and whether it is valid to ajv, cfworker, npm's jsonschema, Python's, fastjsonschema, jsonschema-rs; None is an error
    ({"required": ["constructor"]}, {}, (True, False, False, False, False, False)),
    ({"properties": {"toString": {"type": "integer"}}}, {}, (False, True, True, True, True, True)),
    ({"multipleOf": 0.01}, 19.99, (False, True, True, False, True, True)),
    ({"pattern": "^web$"}, "web\n", (False, False, False, True, False, False)),
    ({"pattern": r"^\d+$"}, "\u0663", (False, False, False, True, True, False)),
    ({"pattern": r"\p{L}"}, "a", (True, True, True, None, None, True)),
    ({"type": "strin"}, "x", (None, False, True, None, None, None)),
    ({"prefixItems": [{"type": "integer"}]}, ["x"], (False, False, True, False, True, False)),
    ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, (False, False, True, False, True, False)),
    ({"unevaluatedProperties": False}, {"b": 1}, (False, False, True, False, True, False)),
    ({"$ref": "#/$defs/a", "minimum": 5, "$defs": {"a": {"type": "integer"}}}, 1, (False, False, True, False, True, False)),
    ({"format": "date-time"}, "yesterday", (True, False, False, True, False, True)),
    ({"contains": {"const": 1}, "minContains": 0}, [], (True, True, False, True, False, True)),
]
READERS = {
    "jsonschema (PyPI)": lambda schema, value: jsonschema.validate(value, schema),
    "fastjsonschema": lambda schema, value: fastjsonschema.compile(schema)(value),
    "jsonschema-rs": lambda schema, value: jsonschema_rs.validate(schema, value),
}


def attempt(check, schema, value):
    try:
        check(schema, value)
        return True
    except Exception as error:
        wrong_schema = isinstance(error, jsonschema.SchemaError) or type(error).__name__ in ("error", "JsonSchemaDefinitionException")
        if check is READERS["jsonschema-rs"]:
            wrong_schema = not jsonschema_rs.meta.is_valid({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
        return None if wrong_schema else False


cases = [(schema, value) for schema, value, _ in SEEN]
done = subprocess.run(["node", "node/check.mjs"], input=json.dumps(cases), capture_output=True, text=True, check=True, timeout=60)
seen = json.loads(done.stdout) | {name: [attempt(check, *each) for each in cases] for name, check in READERS.items()}
facts = []
for index, (schema, value, expected) in enumerate(SEEN):
    row = tuple(answers[index] for answers in seen.values())
    show(f"{json.dumps(schema)} {json.dumps(value)}: " + ", ".join(f"{name} {valid}" for name, valid in zip(seen, row)))
    facts.append((row == expected, f"{json.dumps(schema)}: {row}"))
given = {}
fastjsonschema.compile({"properties": {"port": {"default": 80}}})(given)
show(f"an empty object after fastjsonschema's check: {given}")
different = len({tuple(answers) for answers in seen.values()})
finish(*facts, (given == {"port": 80}, f"given: {given}"), (different == len(seen), f"{different} of {len(seen)} differ"))
PY
