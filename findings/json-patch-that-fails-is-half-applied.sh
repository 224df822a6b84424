#!/usr/bin/env bash
# Guess: a JSON patch of which one operation fails raises, and leaves the document as it was, as RFC 6902 and RFC 5789 require; to
#        remove or replace what is missing fails.
# Seen:  fast-json-patch raises, but the operations before the failed one have changed the document, with validation too. rfc6902
#        raises nothing: it returns a list with an error in it, and carries out the operations after the failed one as well, so
#        a `test` guards nothing. With fast-json-patch's defaults to remove a missing key succeeds, to replace one adds it, to
#        add at index 5 of a list of two appends, and "port" without its slash sets the key "undefined". Python's jsonpatch
#        keeps the document, unless in_place is set.
# With:  fast-json-patch 3.1.1, rfc6902 5.4.0 (npm), jsonpatch 1.33 (PyPI), Node 20.
# Why:   a `test` that the document is still the expected one fails, and the change that it guards is made all the same.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node
npm_install fast-json-patch@3.1.1 rfc6902@5.4.0
pip_install jsonpatch==1.33
cat >node/try.js <<'JS'
const fast = require('fast-json-patch')
const rfc6902 = require('rfc6902')
const [library, text] = process.argv.slice(2)
const patch = JSON.parse(text)
const document = { name: 'web', port: 80, list: [1, 2] }
let said
try {
  if (library === 'rfc6902') said = rfc6902.applyPatch(document, patch).map((error) => (error ? error.name : 'ok')).join()
  else { fast.applyPatch(document, patch, library === 'fast-validated'); said = 'ok' }
} catch (error) { said = 'raised' }
console.log(said, JSON.stringify(document))
JS
cat >try.py <<'PY'
import json
import sys

import jsonpatch

document = {"name": "web", "port": 80, "list": [1, 2]}
try:
    document, said = jsonpatch.apply_patch(document, json.loads(sys.argv[2]), in_place=sys.argv[1] == "in_place"), "ok"
except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException):
    said = "raised"
print(said, json.dumps(document, separators=(",", ":")))
PY
guarded='[{"op":"replace","path":"/port","value":9000},{"op":"test","path":"/name","value":"other"},{"op":"add","path":"/x","value":1}]'
ok=yes
check() { # WHAT EXPECTED COMMAND…
    local what=$1 expected=$2 said
    shift 2
    said=$("$@")
    observed "$what: $said"
    [ "$said" = "$expected" ] || ok=no
}
check "a test that fails in the middle, fast-json-patch" 'raised {"name":"web","port":9000,"list":[1,2]}' node node/try.js fast "$guarded"
check "… with validation" 'raised {"name":"web","port":9000,"list":[1,2]}' node node/try.js fast-validated "$guarded"
check "… rfc6902" 'ok,TestError,ok {"name":"web","port":9000,"list":[1,2],"x":1}' node node/try.js rfc6902 "$guarded"
check "… jsonpatch" 'raised {"name":"web","port":80,"list":[1,2]}' python try.py copy "$guarded"
check "… jsonpatch, in_place" 'raised {"name":"web","port":9000,"list":[1,2]}' python try.py in_place "$guarded"
loose() { # EXPECTED PATCH: fast-json-patch against jsonpatch
    check "$2, fast-json-patch" "$1" node node/try.js fast "$2"
    check "… jsonpatch" 'raised {"name":"web","port":80,"list":[1,2]}' python try.py copy "$2"
}
loose 'ok {"name":"web","port":80,"list":[1,2]}' '[{"op":"remove","path":"/missing"}]'
loose 'ok {"name":"web","port":80,"list":[1,2],"missing":1}' '[{"op":"replace","path":"/missing","value":1}]'
loose 'ok {"name":"web","port":80,"list":[1,2,7]}' '[{"op":"add","path":"/list/5","value":7}]'
loose 'ok {"name":"web","port":80,"list":[1,2],"undefined":1}' '[{"op":"replace","path":"port","value":1}]'
[ "$ok" = yes ] && verdict 0
verdict 1
