#!/usr/bin/env bash
# Guess: msgpack.unpackb reads what msgpack.packb wrote; an id of 64 bits arrives in JavaScript as it is, or fails; cbor2 refuses
#        what follows a value, as msgpack and json do.
# Seen:  a dictionary with a number as key is packed, and refused when it is read ("int is not allowed for map key"). The id
#        2**53 + 1 is another number in @msgpack/msgpack, without a word; msgpackr gives a BigInt, which JSON.stringify
#        refuses. cbor2.loads ignores whatever follows the first value.
# With:  msgpack 1.2.4, cbor2 6.3.0 (PyPI), @msgpack/msgpack 3.1.3, msgpackr 2.1.4 (npm).
# Why:   a record is found in Python and not in JavaScript; two messages that arrive in one read are one.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node
pip_install msgpack==1.2.4 cbor2==6.3.0
npm_install @msgpack/msgpack@3.1.3 msgpackr@2.1.4
PYTHON=python judge 60 <<'PY'
import cbor2
import msgpack

from wire import *


def attempt(act):
    try:
        return act()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def in_javascript(code):
    done = subprocess.run(["node", "-e", code], input=msgpack.packb({"id": 2**53 + 1}), cwd="node", capture_output=True, timeout=30)
    return done.stdout.decode().strip()


own = attempt(lambda: msgpack.unpackb(msgpack.packb({1: "one"})))
two = [attempt(lambda: read(data)) for read, data in ((cbor2.loads, cbor2.dumps("one") + cbor2.dumps("two")), (msgpack.unpackb, msgpack.packb("one") * 2))]
plain = in_javascript("console.log(require('@msgpack/msgpack').decode(require('fs').readFileSync(0)).id.toString())")
big = in_javascript("try { console.log(JSON.stringify(require('msgpackr').unpack(require('fs').readFileSync(0)))) } catch (error) { console.log(error.name) }")
show(f"{{1: 'one'}} packed and read: {own}")
show(f"id {2**53 + 1}: @msgpack/msgpack reads {plain}; msgpackr and JSON.stringify: {big}")
show(f"two values in a row: cbor2 {two[0]!r}, msgpack {two[1]!r}")
finish((own.startswith("ValueError: int is not allowed for map key"), f"own: {own}"), (plain == str(2**53), f"@msgpack/msgpack: {plain}"),
       (big == "TypeError", f"msgpackr: {big}"), (two[0] == "one" and two[1].startswith("ExtraData"), f"two: {two}"))
PY
