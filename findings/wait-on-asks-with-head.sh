#!/usr/bin/env bash
# Guess: `wait-on http://…/health` returns as soon as that address answers 200.
# Seen:  it asks with HEAD. A FastAPI route made for GET answers HEAD with 405, so wait-on waits until its time is over
#        (for ever by default) for a server that is well, and says no more than "Timed out". A Flask route answers both.
#        `http-get://` works.
# With:  wait-on 9.5.1 (npm), fastapi 0.165.0, uvicorn 0.54.0, Flask 3.1.3 (PyPI).
# Why:   scripts such as `wait-on … && next-step` hang after a move from Flask to FastAPI, with a healthy server.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install wait-on@9.5.1
pip_install fastapi==0.165.0 uvicorn==0.54.0 Flask==3.1.3
cat >fast.py <<'PY'
from fastapi import FastAPI

app = FastAPI()


@app.get("/health")
def health():
    return {"ok": True}
PY
cat >flat.py <<'PY'
from flask import Flask

app = Flask(__name__)


@app.get("/health")
def health():
    return {"ok": True}
PY
fast_port=$(free_port)
uvicorn fast:app --port "$fast_port" >fast.log 2>&1 &
flat_port=$(free_port)
flask --app flat run --port "$flat_port" >flat.log 2>&1 &
wait_for 30 listens "$fast_port" || unable "uvicorn did not start"
wait_for 30 listens "$flat_port" || unable "flask did not start"
status() { curl -s -o /dev/null -w '%{http_code}' "$@"; }
observed "FastAPI: GET $(status "http://127.0.0.1:$fast_port/health"), HEAD $(status -I "http://127.0.0.1:$fast_port/health")"
try() {
    local code=0
    bounded 40 wait-on -t 8s "$1" >"$2.log" 2>&1 || code=$?
    observed "wait-on $3: status $code $(grep -o 'Timed out' "$2.log" | head -1 || true)"
    result="$result$code"
}
result=""
try "http://127.0.0.1:$fast_port/health" a "http:// of FastAPI"
try "http-get://127.0.0.1:$fast_port/health" b "http-get:// of FastAPI"
try "http://127.0.0.1:$flat_port/health" c "http:// of Flask"
[ "$result" = 100 ] && verdict 0
verdict 1
