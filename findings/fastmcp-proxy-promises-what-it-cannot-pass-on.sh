#!/usr/bin/env bash
# Guess: a FastMCP proxy passes on what its documentation lists (elicitation, sampling, roots, logs, progress), or does not
#        declare it to the server behind it.
# Seen:  it declares elicitation, sampling and roots to the server, whatever its own client declared. A form and a question to
#        the model fail with -32603 "this transport context has no back-channel", and the client never sees them, although it
#        declared that it answers both; log messages end in the proxy. Progress arrives, and so does the question for roots, at
#        a client too that did not declare any. Without the proxy all arrive.
# With:  fastmcp 4.2.3 (PyPI), `create_proxy` over stdio in the version 2025-11-25; the server is a few lines of Python.
# Why:   a server that asks before it deletes believes that it can ask; behind the proxy it fails, or does what it does without
#        an answer. Errors that a server only logs are lost.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install fastmcp==4.2.3
cat >server.py <<'PY'
import json
import sys
import threading
import time

EMPTY = {"type": "object", "properties": {}}
FORM = {"mode": "form", "message": "Go on?", "requestedSchema": {"type": "object", "properties": {"yes": {"type": "boolean"}}}}
MODEL = {"messages": [{"role": "user", "content": {"type": "text", "text": "hello"}}], "maxTokens": 10}
QUESTIONS = {"elicitation/create": FORM, "sampling/createMessage": MODEL, "roots/list": {}}
lock, came, declared = threading.Lock(), {}, []


def say(**message):
    with lock:
        print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def call(key, name, token):
    text = "done"
    if name in QUESTIONS:
        came[name] = threading.Event()
        say(id=name, method=name, params=QUESTIONS[name])
        if came[name].wait(10):
            text = json.dumps(came[name].answer)
    elif name == "log":
        say(method="notifications/message", params={"level": "error", "data": "LOGGED"})
    elif name == "work" and token is not None:
        say(method="notifications/progress", params={"progressToken": token, "progress": 1})
    elif name == "declared":
        text = json.dumps(declared)
    time.sleep(0.3)
    say(id=key, result={"content": [{"type": "text", "text": text}]})


for line in sys.stdin:
    message = json.loads(line)
    method, params = message.get("method"), message.get("params") or {}
    if method is None:
        came[message["id"]].answer = message.get("result") or message.get("error")
        came[message["id"]].set()
    elif method == "tools/call":
        token = (params.get("_meta") or {}).get("progressToken")
        threading.Thread(target=call, args=(message["id"], params["name"], token)).start()
    elif "id" in message:
        if method == "initialize":
            declared = sorted(params["capabilities"])
        result = {
            "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}, "logging": {}}, "serverInfo": {"name": "toy", "version": "1"}},
            "tools/list": {"tools": [{"name": name, "inputSchema": EMPTY} for name in (*QUESTIONS, "log", "work", "declared")]},
        }.get(method, {})
        say(id=message["id"], **({"error": {"code": -32601, "message": "no"}} if method == "server/discover" else {"result": result}))
PY
cat >proxy.py <<'PY'
from fastmcp.client.transports import StdioTransport
from fastmcp.server import create_proxy

create_proxy(StdioTransport("python3", ["server.py"])).run(show_banner=False)
PY
PYTHON="$WORK/venv/bin/python" judge 100 <<'PY'
import sys

from wire import *

ANSWERS = {"elicitation/create": {"action": "accept", "content": {"yes": True}}, "roots/list": {"roots": []},
           "sampling/createMessage": {"role": "assistant", "model": "m", "content": {"type": "text", "text": "hi"}}}


def trial(*argv, capabilities):
    server = Stdio(*argv)
    server.hello(capabilities=capabilities)
    said, asked = {}, []
    for name in ("declared", *ANSWERS, "log", "work"):
        key = server.ask("tools/call", {"name": name, "arguments": {}, "_meta": {"progressToken": "p"}})
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and server.waiting[key].empty():
            try:
                message = server.others.get(timeout=0.1)
            except queue.Empty:
                continue
            if isinstance(message, dict) and message.get("method") in ANSWERS:
                asked.append(message["method"])
                server.send({"id": message["id"], "result": ANSWERS[message["method"]]})
        said[name] = text_of(server.answer(key)["result"])
    methods = {message.get("method") for _, message in server.lines if isinstance(message, dict)}
    server.kill()
    return json.loads(said["declared"]), asked, [said[name] for name in ANSWERS], {"log": "notifications/message" in methods, "progress": "notifications/progress" in methods}


ALL = {"elicitation": {}, "sampling": {}, "roots": {}}
direct = trial("python3", "server.py", capabilities=ALL)
proxied = trial(sys.executable, "proxy.py", capabilities=ALL)
none = trial(sys.executable, "proxy.py", capabilities={})
for name, seen in (("direct", direct), ("through the proxy", proxied), ("of a client that declares nothing", none)):
    show(f"{name}: the server sees {seen[0]}, the client was asked {seen[1]}; {seen[3]}")
show(f"what the server gets: {proxied[2]}")
finish((direct[0] == sorted(ALL), "direct: declared"),
       (set(ALL) <= set(proxied[0]) and set(ALL) <= set(none[0]), "declared to the server"),
       (direct[1] == list(ANSWERS) and proxied[1] == ["roots/list"] == none[1], "what the client is asked"),
       (["no back-channel" in text and "-32603" in text for text in proxied[2]] == [True, False, True], "what the server gets"),
       (direct[3] == {"log": True, "progress": True} and proxied[3] == {"log": False, "progress": True}, "logs and progress"))
PY
