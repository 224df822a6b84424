#!/usr/bin/env bash
# Guess: when the application below a reloader is killed (by the kernel for its memory, or a crash in C), the reloader
#        exits or starts it again; at the least, connections are refused.
# Seen:  uvicorn with --reload does neither: it keeps the listening socket and the dead process as a zombie, so connections
#        are accepted and never answered, until a file changes. hypercorn exits; flask's reloader exits; granian starts
#        the application again.
# With:  uvicorn 0.54.0, hypercorn 0.18.0, flask 3.1.3, granian 2.8.9 (PyPI), Python 3.11.
# Why:   a check that the port is open, or that the process runs, stays green while every request hangs; only a request
#        with a time limit shows it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need curl
pip_install uvicorn==0.54.0 hypercorn==0.18.0 flask==3.1.3 'granian[reload]==2.8.9'
cat >app.py <<'P'
async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind.endswith("shutdown"):
                return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})

import flask
app = flask.Flask(__name__)
app.get("/")(lambda: "ok")
P
answers() { [ "$(curl -s -m 3 "http://127.0.0.1:$1/")" = ok ]; }
ended() { ! kill -0 "$1" 2>/dev/null; }
accepts() { python3 -c "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 3)" "$1" 2>/dev/null; }
below() { for child in $(pgrep -P "$1" || true); do echo "$child"; below "$child"; done; return 0; }
seen=""
for name in uvicorn hypercorn flask granian; do
    port=$(free_port)
    case $name in
        uvicorn) command="uvicorn app:asgi --reload --port $port" ;;
        hypercorn) command="hypercorn app:asgi --reload --bind 127.0.0.1:$port" ;;
        flask) command="flask --app app run --debug --port $port" ;;
        granian) command="granian app:asgi --interface asgi --reload --port $port" ;;
    esac
    # shellcheck disable=SC2086
    $command >"$name.log" 2>&1 &
    parent=$!
    wait_for 40 answers "$port" || unable "$name does not serve: $(tail -3 "$name.log")"
    # of its children, the one that serves is the newest that is no helper of multiprocessing
    worker=$(for pid in $(below "$parent"); do grep -qz resource_tracker "/proc/$pid/cmdline" || echo "$pid"; done | tail -1)
    kill -9 "$worker"
    sleep 8
    state="runs"
    if ended "$parent"; then state="has exited"; fi
    port_is=closed
    if accepts "$port"; then port_is=open; fi
    request="is not answered"
    if answers "$port"; then request="is answered"; fi
    observed "$name, 8 s after its application was killed: it $state, its port is $port_is, a request $request"
    seen+="$name $state $port_is $request; "
    if [ "$name" = uvicorn ]; then
        touch app.py
        wait_for 20 answers "$port" || { observed "a changed file does not start it again"; seen+="for good; "; }
    fi
    # shellcheck disable=SC2046
    kill -9 "$parent" $(below "$parent") 2>/dev/null || true
done
[ "$seen" = "uvicorn runs open is not answered; hypercorn has exited closed is not answered; flask has exited closed is not answered; granian runs open is answered; " ] && verdict 0
verdict 1
