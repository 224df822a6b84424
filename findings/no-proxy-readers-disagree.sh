#!/usr/bin/env bash
# Guess: with http_proxy set a client asks a server of this machine itself, at the latest when no_proxy names it; a value of no_proxy means
#        the same to each.
# Seen:  of ten clients no two agree on eleven lines. Without no_proxy Go alone asks 127.0.0.1 itself, the other nine send the request to the
#        proxy. 127.0.0.0/8 counts in curl, requests, Go and axios, 127.0.0.1:PORT in urllib, httpx, axios, undici and proxy-agent,
#        a list with blanks in curl, axios, undici and proxy-agent, [::1] in urllib, axios, undici and proxy-agent, but ::1 in curl, wget,
#        requests, httpx, aiohttp and axios; httpx fails with [::1]. `*` counts in all but wget, "localhost" for 127.0.0.1 in axios,
#        http://127.0.0.1 in httpx. What counts in Go does not show here: it never asks a proxy for this machine.
# With:  curl 7.88.1, wget 1.21.3 (Debian 12), CPython 3.11's urllib, requests 2.34.2, httpx 0.28.1, aiohttp 3.14.5 with trust_env (PyPI),
#        Go 1.26's net/http, axios 1.21.1, undici 7.30.2's EnvHttpProxyAgent, proxy-agent 8.0.3 (npm), Node 20.
# Why:   behind a company's proxy or in an agent's sandbox a health check of 127.0.0.1 gets the proxy's 502 or 403, and the request of the
#        next library does not. Where both sides are known, the client of a local server has to ignore the variables.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node go curl wget
version_is Node "$(node -p 'process.versions.node.split(".")[0]')" 20
version_is Python "$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')" 3.11
version_is curl "$(curl --version | awk 'NR == 1 {print $2}')" 7.88.1
version_is wget "$(wget --version | awk 'NR == 1 {print $3}')" 1.21.3
pip_install requests==2.34.2 httpx==0.28.1 aiohttp==3.14.5
npm_install axios@1.21.1 undici@7.30.2 proxy-agent@8.0.3
mkdir program
cat >program/main.go <<'GO'
package main

import (
	"net/http"
	"os"
)

func main() { http.Get(os.Args[1]) }
GO
(cd program && export HOME="$USER_HOME" && go mod init program && go build -buildvcs=false -o ../in-go .) >go.log 2>&1 || unable "the program in Go"
PYTHON=python judge 150 <<'PY'
import socket

from wire import *

CLIENTS = {
    "curl": ["curl", "-s", "-m", "5", "URL"],
    "wget": ["wget", "-q", "-O-", "-T", "5", "-t", "1", "URL"],
    "urllib": ["python", "-c", "import urllib.request; urllib.request.urlopen('URL', timeout=5)"],
    "requests": ["python", "-c", "import requests; requests.get('URL', timeout=5)"],
    "httpx": ["python", "-c", "import httpx; httpx.get('URL', timeout=5)"],
    "aiohttp": ["python", "-c", "import aiohttp, asyncio\nasync def main():\n    async with aiohttp.ClientSession(trust_env=True) as session:\n"
                                "        await session.get('URL')\nasyncio.run(main())"],
    "Go": ["./in-go", "URL"],
    "axios": ["node", "-e", "require('axios').get('URL').catch(() => {})"],
    "undici": ["node", "-e", "const u = require('undici'); u.fetch('URL', {dispatcher: new u.EnvHttpProxyAgent()}).catch(() => {})"],
    "proxy-agent": ["node", "-e", "const {ProxyAgent} = require('proxy-agent'); require('http').get('URL', {agent: new ProxyAgent()}, a => a.resume()).on('error', () => {})"],
}
proxy = socket.create_server(("127.0.0.1", 0))
direct = socket.create_server(("127.0.0.1", 0))
PORT = direct.getsockname()[1]
try:
    direct6 = socket.create_server(("::1", PORT), family=socket.AF_INET6)
except OSError:
    print("needs [::1]")
    raise SystemExit(2)
hits = []


def serve(listener, name):
    while True:
        peer, _ = listener.accept()
        with peer:
            peer.recv(4096)
            hits.append(name)
            peer.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


for one, name in ((proxy, "proxy"), (direct, "direct"), (direct6, "direct")):
    threading.Thread(target=serve, args=(one, name), daemon=True).start()
CASES = {  # (no_proxy, host): the clients that ask it directly
    (None, "127.0.0.1"): "Go",
    ("127.0.0.0/8", "127.0.0.1"): "curl requests Go axios",
    ("127.*", "127.0.0.1"): "Go",
    ("127.0.0.1:PORT", "127.0.0.1"): "urllib httpx Go axios undici proxy-agent",
    ("here 127.0.0.1", "127.0.0.1"): "curl Go axios undici proxy-agent",
    ("localhost", "127.0.0.1"): "Go axios",
    ("*", "127.0.0.1"): "curl urllib requests httpx aiohttp Go axios undici proxy-agent",
    ("::1", "[::1]"): "curl wget requests httpx aiohttp Go axios",
    ("[::1]", "[::1]"): "urllib Go axios undici proxy-agent",
    ("http://127.0.0.1", "127.0.0.1"): "httpx Go",
    (".localhost", "localhost"): "curl urllib requests aiohttp Go undici",
}
clean = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
clean["NODE_PATH"] = f"{os.environ['WORK']}/node/node_modules"
facts, ways = [], {name: [] for name in CLIENTS}
for (no_proxy, host), expected in CASES.items():
    env = clean | {"http_proxy": f"http://127.0.0.1:{proxy.getsockname()[1]}"}
    if no_proxy is not None:
        env["no_proxy"] = no_proxy.replace("PORT", str(PORT))
    for name, command in CLIENTS.items():
        hits.clear()
        subprocess.run([word.replace("URL", f"http://{host}:{PORT}/") for word in command], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=30)
        ways[name].append(hits[0] if hits else "nothing")
    seen = " ".join(name for name, way in ways.items() if way[-1] == "direct")
    silent = [name for name, way in ways.items() if way[-1] == "nothing"]
    show(f"no_proxy={no_proxy}: {host} is asked directly by {seen}" + (f"; not at all by {silent}" if silent else ""))
    facts.append((seen == expected and silent == (["httpx"] if no_proxy == "[::1]" else []), f"{no_proxy}: {seen}"))
agree = [(one, two) for one in ways for two in ways if one < two and ways[one] == ways[two]]
finish(*facts, (not agree, f"two agree: {agree}"))
PY
