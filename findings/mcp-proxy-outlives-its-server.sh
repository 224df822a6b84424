#!/usr/bin/env bash
# Guess: when the stdio server behind a proxy has died, the proxy ends, or starts it anew, or refuses new sessions, or at
#        least fails `ping`; the error says that the server is gone.
# Seen:  none of it. The proxy stays up. It answers `initialize` of new clients with the dead server's name and
#        capabilities, and `ping` with success, for ever. Every tool call is an isError result whose text is "" and every
#        tools/list an error with code 0 and message "". The first call alone, the one in flight, said "Connection closed".
# With:  mcp-proxy 0.13.0 (PyPI) with mcp 1.30.0; the server behind it is a few lines of Python.
# Why:   a health check by ping or by connecting calls a dead service healthy; an empty error text must count as suspect.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install mcp-proxy==0.13.0 mcp==1.30.0
cat >toy.py <<'PY'
import json, os, sys
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    result = {}
    if message["method"] == "initialize":
        result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}},
                  "serverInfo": {"name": "toy", "version": "1"}}
    elif message["method"] == "tools/list":
        result = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ("pid", "leave")]}
    elif message["method"] == "tools/call":
        if message["params"]["name"] == "leave":
            os._exit(3)
        result = {"content": [{"type": "text", "text": str(os.getpid())}]}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
PY
port=$(free_port)
mcp-proxy --port "$port" --pass-environment -- python3 "$WORK/toy.py" >proxy.log 2>&1 &
proxy=$!
wait_for 30 listens "$port" || unable "mcp-proxy did not come up: $(tail -1 proxy.log)"

judge 60 "$port" "$proxy" <<'PY'
import sys

from wire import *

port, proxy = int(sys.argv[1]), int(sys.argv[2])
client = Http(port)
client.hello()


def call(who, tool):
    answer = who.request("tools/call", {"name": tool, "arguments": {}})[2][0]["result"]
    return answer.get("isError", False), text_of(answer)


show(f"before: {call(client, 'pid')[0]=}")
last = call(client, "leave")
time.sleep(1)
dead = [call(client, "pid") for _ in range(3)]
listed = client.request("tools/list", {})[2][0].get("error")
ping = client.request("ping")[2][0]
fresh = Http(port)
greeting = fresh.hello()[2][0]["result"]
newcomer = call(fresh, "pid")
os.kill(proxy, 0)
show(f"the call in flight: {last}; the calls after it: {dead}; tools/list: {listed}; ping: {ping.get('result')}")
show(f"a new client: serverInfo {greeting['serverInfo']}, capabilities {sorted(greeting['capabilities'])}, its call: {newcomer}")
finish((last == (True, "Connection closed"), "the call in flight answers otherwise"),
       (all(answer == (True, "") for answer in dead), "later calls answer otherwise"),
       (listed == {"code": 0, "message": ""}, "tools/list answers otherwise"),
       (ping.get("result") == {}, "ping fails"),
       (greeting["serverInfo"]["name"] == "toy" and newcomer == (True, ""), "a new session is treated otherwise"))
PY
