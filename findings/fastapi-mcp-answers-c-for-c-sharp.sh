#!/usr/bin/env bash
# Guess: a value that belongs into a path (`/language/{name}`) is percent-encoded, as each client library does.
# Seen:  fastapi-mcp puts it there as it is: for "C#" the tool answers what belongs to "C", for "why?" that of "why", for
#        "%41" that of "A", each as a success; "a b" and "50%" arrive. FastMCP, from the same application, encodes all.
# With:  fastapi-mcp 0.4.0 on mcp 1.30.0, fastapi 0.110.3 and httpx 0.28.1; fastmcp 4.2.3 with fastapi 0.165.0 (PyPI).
# Why:   `stop` of a job named "web#2" stops the job "web", and the answer is a success; names that come from users need
#        a query or a body.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
venv_install "$WORK/plain" fastapi-mcp==0.4.0 mcp==1.30.0 fastapi==0.110.3 starlette==0.37.2 httpx==0.28.1 uvicorn==0.54.0
venv_install "$WORK/fast" fastmcp==4.2.3 fastapi==0.165.0 httpx==0.28.1
cat >application.py <<'PY'
from fastapi import FastAPI

app = FastAPI()


@app.get("/language/{name}", operation_id="language")
def language(name: str):
    return {"name": name}
PY
cat >plain.py <<'PY'
import sys

import uvicorn
from application import app
from fastapi_mcp import FastApiMCP

FastApiMCP(app).mount_http()
uvicorn.run(app, port=int(sys.argv[1]), log_level="error")
PY
cat >fast.py <<'PY'
from application import app
from fastmcp import FastMCP

FastMCP.from_fastapi(app).run(show_banner=False)
PY
PORT=$(free_port)
plain/bin/python plain.py "$PORT" >plain.log 2>&1 &
wait_for 40 listens "$PORT" || unable "the server does not listen"
judge 60 "$PORT" <<'PY'
import sys

from wire import *

NAMES = ["C", "a b", "50%", "C#", "why?", "%41"]
plain, fast = Http(int(sys.argv[1])), Stdio("fast/bin/python", "fast.py")
plain.hello()
fast.hello()


def name_in(result):
    return "error" if result.get("isError") else json.loads(text_of(result))["name"]


seen_plain = [name_in(plain.request("tools/call", {"name": "language", "arguments": {"name": name}})[2][0]["result"]) for name in NAMES]
seen_fast = [name_in(fast.call("language", {"name": name})["result"]) for name in NAMES]
fast.kill()
show(f"of {NAMES} fastapi-mcp asked for {seen_plain}, FastMCP for {seen_fast}")
finish((seen_plain == ["C", "a b", "50%", "C", "why", "A"], "fastapi-mcp"), (seen_fast == NAMES, "FastMCP"))
PY
