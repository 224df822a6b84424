#!/usr/bin/env bash
# Guess: an HTTP client that retries waits as Retry-After says, and no longer than its own time limit: after 503 with an hour, in
#        seconds or as a date, it fails within a limit of 3 seconds.
# Seen:  of thirteen, all told to retry and given a timeout of 3 seconds, six are still waiting for the hour after 12 seconds: urllib3,
#        httpx-retries, ky, undici, go-retryablehttp and `curl --max-time 3`; their limit is for one request. got, axios-retry and openai
#        fail. aiohttp-retry, make-fetch-happen, ofetch and resty ignore Retry-After and ask again after a second or less, also when told 2.
# With:  urllib3 2.8.0, httpx-retries 0.6.0, aiohttp-retry 2.9.1, openai 3.57.0 (PyPI), got 14.6.6, ky 1.14.3, axios-retry 4.5.0, undici
#        7.30.2, make-fetch-happen 15.0.6, ofetch 1.5.1 (npm), go-retryablehttp 0.7.8, resty 2.17.2 (Go), curl 7.88.1 (Debian 12).
# Why:   a server decides how long a health check or a call of such a client blocks, or it is asked again while it begs for a pause.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node go curl
version_is curl "$(curl --version | sed -n '1s/^curl \([0-9.]*\).*/\1/p')" 7.88.1
pip_install urllib3==2.8.0 httpx==0.28.1 httpx-retries==0.6.0 aiohttp==3.14.5 aiohttp-retry==2.9.1 openai==3.57.0
npm_install got@14.6.6 ky@1.14.3 axios@1.21.1 axios-retry@4.5.0 make-fetch-happen@15.0.6 undici@7.30.2 ofetch@1.5.1
go_build go-clients github.com/hashicorp/go-retryablehttp@v0.7.8 github.com/go-resty/resty/v2@v2.17.2 <<'GO'
package main

import (
	"net/http"
	"os"
	"time"

	"github.com/go-resty/resty/v2"
	"github.com/hashicorp/go-retryablehttp"
)

func main() {
	var err error
	if os.Args[1] == "resty" {
		busy := func(answer *resty.Response, _ error) bool { return answer.StatusCode() == http.StatusServiceUnavailable }
		_, err = resty.New().SetRetryCount(2).SetTimeout(3 * time.Second).AddRetryCondition(busy).R().Get(os.Args[2])
	} else {
		client := retryablehttp.NewClient()
		client.Logger, client.RetryMax, client.HTTPClient.Timeout = nil, 2, 3*time.Second
		_, err = client.Get(os.Args[2])
	}
	if err != nil {
		os.Exit(1)
	}
}
GO
cat >node/clients.js <<'JS'
const [name, url] = process.argv.slice(2);
const clients = {
  got: async () => (await import("got")).got(url, { timeout: { request: 3000 } }),
  ky: async () => (await import("ky")).default(url, { timeout: 3000 }),
  "axios-retry": async () => {
    const axios = require("axios");
    const { default: axiosRetry, exponentialDelay } = require("axios-retry");
    axiosRetry(axios, { retries: 2, retryDelay: exponentialDelay });
    return axios.get(url, { timeout: 3000 });
  },
  "make-fetch-happen": async () => require("make-fetch-happen")(url, { retry: 2, timeout: 3000 }),
  undici: async () => {
    const { fetch, RetryAgent, Agent } = require("undici");
    return (await fetch(url, { dispatcher: new RetryAgent(new Agent({ headersTimeout: 3000, bodyTimeout: 3000 })) })).text();
  },
  ofetch: async () => require("ofetch").ofetch(url, { retry: 2, timeout: 3000 }),
};
clients[name]().then(() => process.exit(0), () => process.exit(1));
JS
cat >clients.py <<'PY'
import asyncio
import sys

name, url = sys.argv[1:]


async def with_aiohttp():
    import aiohttp
    from aiohttp_retry import ExponentialRetry, RetryClient

    async with RetryClient(retry_options=ExponentialRetry(2), timeout=aiohttp.ClientTimeout(3)) as client, client.get(url) as answer:
        await answer.text()


if name == "urllib3":
    import urllib3

    urllib3.PoolManager(retries=urllib3.Retry(2, status_forcelist=[503]), timeout=urllib3.Timeout(total=3)).request("GET", url)
elif name == "httpx-retries":
    import httpx
    from httpx_retries import Retry, RetryTransport

    httpx.Client(transport=RetryTransport(retry=Retry(total=2)), timeout=3).get(url)
elif name == "openai":
    import openai

    openai.OpenAI(base_url=url, api_key="none", max_retries=2, timeout=3).models.list()
else:
    asyncio.run(with_aiohttp())
PY
PYTHON=python judge 150 <<'PY'
import http.server
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

from wire import *

ANSWERS = {"2": lambda: "2", "hour": lambda: "3600", "date in an hour": lambda: formatdate(time.time() + 3600, usegmt=True)}
requests = {}  # the times of the requests for each path


class Busy(http.server.BaseHTTPRequestHandler):
    """503 to the first request of a path, then 200."""

    def do_GET(self):
        client, kind = self.path.split("/")[1:3]
        times = requests.setdefault((client, kind), [])
        times.append(time.monotonic())
        self.send_response(503 if len(times) == 1 else 200)
        if len(times) == 1:
            self.send_header("Retry-After", list(ANSWERS.values())[int(kind)]())
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy)
threading.Thread(target=server.serve_forever, daemon=True).start()
COMMANDS = {name: ["python", "clients.py", name] for name in ("urllib3", "httpx-retries", "openai", "aiohttp-retry")}
COMMANDS |= {name: ["node", "node/clients.js", name] for name in ("got", "ky", "axios-retry", "undici", "make-fetch-happen", "ofetch")}
COMMANDS |= {name: ["./go-clients", name] for name in ("go-retryablehttp", "resty")}
COMMANDS["curl"] = ["curl", "-sf", "--retry", "2", "--max-time", "3"]


def attempt(name, number):
    """When it asked again, or what it did instead within 12 seconds."""
    url = f"http://127.0.0.1:{server.server_port}/{name}/{number}"
    process = subprocess.Popen([*COMMANDS[name], url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        status = process.wait(12)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        status = None
    times = requests.get((name, str(number)), [])
    if len(times) > 1:
        return "obeys" if number == 0 and 1.8 <= times[1] - times[0] < 3.5 else "soon"
    return "waits" if status is None else "fails" if times and status else "?"


WAITS, GIVES_UP, IGNORES = ("obeys", "waits", "waits"), ("obeys", "fails", "fails"), ("soon",) * 3
SEEN = {
    "urllib3": WAITS, "httpx-retries": WAITS, "openai": GIVES_UP, "aiohttp-retry": IGNORES, "got": GIVES_UP, "ky": WAITS,
    "axios-retry": GIVES_UP, "undici": WAITS, "make-fetch-happen": IGNORES, "ofetch": IGNORES, "go-retryablehttp": WAITS,
    "resty": IGNORES, "curl": WAITS,
}
with ThreadPoolExecutor(5) as pool:
    tried = {name: [pool.submit(attempt, name, number) for number in range(len(ANSWERS))] for name in COMMANDS}
facts = []
for name, futures in tried.items():
    seen = tuple(future.result() for future in futures)
    show(f"{name}: " + ", ".join(f"{kind}: {what}" for kind, what in zip(ANSWERS, seen)))
    facts.append((seen == SEEN.get(name), f"{name}: {seen}"))
finish(*facts)
PY
