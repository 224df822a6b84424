#!/usr/bin/env bash
# Guess: a stdio server that a client library starts has the environment of the program that uses the library, as each
#        child process has, and what is given as `env` is added or replaces it.
# Seen:  the clients of TypeScript and Python pass on HOME, LOGNAME, PATH, SHELL, TERM and USER alone. KUBECONFIG, TZ,
#        HTTPS_PROXY, SSH_AUTH_SOCK, LANG and VIRTUAL_ENV are not there; a server's local time is the machine's, not that of
#        the user's TZ. A given `env` is added to those six. The AI SDK and FastMCP do the same.
# With:  @modelcontextprotocol/sdk 1.32.2, @modelcontextprotocol/client 2.4.0, @ai-sdk/mcp 2.0.99 (npm), mcp 1.30.0 and 2.3.0,
#        fastmcp 4.2.3 (PyPI).
# Why:   a Kubernetes server that is tried in a shell, where KUBECONFIG names the test cluster, works on the default cluster
#        when a program starts it; npx behind a company's proxy finds no registry.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0 @ai-sdk/mcp@2.0.99
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
cat >toy.py <<'PY'
"""Writes its environment's names, its time zone and TOKEN to argv[1], and then answers what a client needs."""
import json
import os
import sys
import time

with open(sys.argv[1], "w") as seen:
    json.dump([sorted(os.environ), time.tzname[0], os.environ.get("TOKEN")], seen)
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    info = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}}
    found = {"initialize": info, "tools/list": {"tools": []}}.get(message["method"])
    said = {"result": found} if found else {"error": {"code": -32601, "message": "Method not found"}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}), flush=True)
PY
cat >node/client.mjs <<'JS'
const [version, file, token] = process.argv.slice(2)
const how = { command: "python3", args: ["toy.py", file], ...(token ? { env: { TOKEN: token } } : {}) }
if (version === "ai") {
  const { createMCPClient } = await import("@ai-sdk/mcp")
  const { Experimental_StdioMCPTransport } = await import("@ai-sdk/mcp/mcp-stdio")
  await (await createMCPClient({ transport: new Experimental_StdioMCPTransport(how) })).tools()
} else {
  const old = version === "1"
  const { Client } = await import(old ? "@modelcontextprotocol/sdk/client/index.js" : "@modelcontextprotocol/client")
  const { StdioClientTransport } = await import(old ? "@modelcontextprotocol/sdk/client/stdio.js" : "@modelcontextprotocol/client/stdio")
  await new Client({ name: "findings", version: "1" }).connect(new StdioClientTransport(how))
}
process.exit(0)
JS
cat >client.py <<'PY'
import sys

import anyio

version, file, *token = sys.argv[1:]
env = {"TOKEN": token[0]} if token else None


async def main():
    if version == "fastmcp":
        from fastmcp import Client
        from fastmcp.client.transports import StdioTransport

        async with Client(StdioTransport("python3", ["toy.py", file], env=env, keep_alive=False)):
            return
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    async with stdio_client(StdioServerParameters(command="python3", args=["toy.py", file], env=env)) as streams:
        async with ClientSession(*streams) as client:
            await client.initialize()


anyio.run(main)
PY
judge 300 <<'PY'
from wire import *

SIX = {"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"}
OWN = {"KUBECONFIG": "/srv/dev/test-cluster", "TZ": "Asia/Tokyo", "HTTPS_PROXY": "http://proxy.example:3128", "SSH_AUTH_SOCK": "/run/agent",
       "LANG": "C.UTF-8", "VIRTUAL_ENV": "/srv/dev/venv"}
here = {**os.environ, **OWN, "LOGNAME": "dev", "USER": "dev", "SHELL": "/bin/sh", "TERM": "xterm"}
clients = {"TypeScript 1": ["node", "node/client.mjs", "1"], "TypeScript 2": ["node", "node/client.mjs", "2"], "AI SDK": ["node", "node/client.mjs", "ai"],
           "Python 1": ["mcp-1/bin/python", "client.py", "1"], "Python 2": ["mcp-2/bin/python", "client.py", "2"],
           "FastMCP": ["fastmcp/bin/python", "client.py", "fastmcp"]}


def seen_by_server(command, *token):
    subprocess.run([*command, "seen.json", *token], env=here, check=True, capture_output=True, timeout=60)
    names, zone, value = json.load(open("seen.json"))
    return {name for name in names if name in here} - {"LC_CTYPE"}, zone, value


facts = []
for name, command in clients.items():
    plain, given = seen_by_server(command), seen_by_server(command, "secret")
    show(f"{name}: of {len(here)} variables its server has {sorted(plain[0])}, its zone is {plain[1]}; with an env of its own {sorted(given[0])} and TOKEN {given[2]!r}")
    facts.append((plain[0] == SIX and plain[1] != "JST" and given[0] == SIX and given[2] == "secret", name))
finish(*facts)
PY
