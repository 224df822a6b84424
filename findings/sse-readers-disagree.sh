#!/usr/bin/env bash
# Guess: a stream of server-sent events is the same list of events to each library, since the standard says how to read it byte by byte.
# Seen:  of seven readers no two agree on nine streams. A comment, the usual "ping", and an `id:` alone are events with empty data to
#        fetch-event-source; an `id:` or `event:` alone are to httpx-sse, too. An event that the end of the stream cuts off is delivered by
#        sseclient-py. U+2028, which JSON may contain, cuts the data short in aiosseclient. `data:` without a text is left out by
#        fetch-event-stream alone. Of two spaces after the colon aiohttp-sse-client and fetch-event-stream take both away. An `id:`
#        holds for the events after it in two. A byte order mark costs the first event in four.
# With:  httpx-sse 0.4.3 with httpx 0.28.1, sseclient-py 1.9.0, aiohttp-sse-client 0.2.1, aiosseclient 0.1.8 (PyPI); eventsource 4.1.1,
#        @microsoft/fetch-event-source 2.0.1, fetch-event-stream 0.1.6 (npm), Node 20.
# Why:   a client that parses each event's data as JSON fails at a ping, takes half an answer for a whole one, or asks for the rest of a
#        stream from another event; a server that was tried with one client is not read the same by the next.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need node
pip_install httpx-sse==0.4.3 httpx==0.28.1 sseclient-py==1.9.0 aiohttp-sse-client==0.2.1 aiosseclient==0.1.8 aiohttp==3.14.5 requests==2.34.2
npm_install eventsource@4.1.1 @microsoft/fetch-event-source@2.0.1 fetch-event-stream@0.1.6
cat >node/read.mjs <<'JS'
import { EventSource } from 'eventsource'
import { fetchEventSource } from '@microsoft/fetch-event-source'
import { events } from 'fetch-event-stream'

globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} }
globalThis.window = globalThis
const [base, count] = process.argv.slice(2)
const readers = {
  eventsource: async (url, add) => {
    const source = new EventSource(url)
    source.onmessage = (event) => add(event.data, event.lastEventId)
    source.addEventListener('job', (event) => add(event.data, event.lastEventId))
    await new Promise((resolve) => { source.onerror = resolve })
    source.close()
  },
  'fetch-event-source': (url, add) => fetchEventSource(url, { onmessage: (event) => add(event.data, event.id), onerror(error) { throw error } }),
  'fetch-event-stream': async (url, add) => { for await (const event of events(await fetch(url))) add(event.data, event.id) },
}
const seen = {}
for (const [name, read] of Object.entries(readers)) {
  seen[name] = []
  for (let number = 0; number < count; number++) {
    const found = []
    await read(`${base}/${number}`, (data, id) => found.push([data ?? '', String(id ?? '')]))
    seen[name].push(found)
  }
}
console.log(JSON.stringify(seen))
process.exit(0)
JS
PYTHON=python judge 120 <<'PY'
import asyncio
import http.server

import httpx
import httpx_sse
import requests
import sseclient
from aiohttp_sse_client.client import EventSource
from aiosseclient import aiosseclient

from wire import *

A, B, EMPTY = ("a", ""), ("b", ""), ("", "")
STREAMS = {  # what the standard says, and who differs
    ": ping\n\ndata: b\n\n": ([B], {"fetch-event-source": [EMPTY, B]}),
    "id: 5\n\ndata: b\n\n": ([("b", "5")], {
        "httpx-sse": [("", "5"), ("b", "5")], "aiosseclient": [("", "5"), B], "fetch-event-source": [("", "5"), B],
        "fetch-event-stream": [("", "5"), B], "sseclient-py": [B], "eventsource": [B]}),
    "event: job\n\ndata: b\n\n": ([B], {name: [EMPTY, B] for name in ("httpx-sse", "aiosseclient", "fetch-event-source", "fetch-event-stream")}),
    "id: 1\ndata: a\n\ndata: b\n\n": ([("a", "1"), ("b", "1")], {
        name: [("a", "1"), B] for name in ("sseclient-py", "aiosseclient", "eventsource", "fetch-event-source", "fetch-event-stream")}),
    "data: a\n\ndata: b\n": ([A], {"sseclient-py": [A, B]}),
    "data: a\u2028b\n\n": ([("a\u2028b", "")], {"aiosseclient": [A]}),
    "data\n\ndata: b\n\n": ([EMPTY, B], {"fetch-event-stream": [B]}),
    "data:  a\n\n": ([(" a", "")], {"aiohttp-sse-client": [A], "fetch-event-stream": [A]}),
    "\ufeffdata: a\n\n": ([A], {
        "httpx-sse": [], "sseclient-py": [], "aiohttp-sse-client": [], "aiosseclient": [EMPTY]}),
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        again = self.headers.get("last-event-id")  # a client that comes back is told to stop
        self.send_response(204 if again else 200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        if not again:
            self.wfile.write(list(STREAMS)[int(self.path[1:])].encode())

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}"


def with_httpx_sse(url):
    with httpx.Client() as client, httpx_sse.connect_sse(client, "GET", url) as source:
        return [(event.data, event.id) for event in source.iter_sse()]


def with_sseclient_py(url):
    return [(event.data, event.id) for event in sseclient.SSEClient(requests.get(url, stream=True, timeout=10)).events()]


async def with_aiohttp(url):
    found = []
    try:  # it waits for more after the end of the stream
        async with asyncio.timeout(1.5), EventSource(url, max_connect_retry=0) as source:
            async for event in source:
                found.append((event.data, event.last_event_id))
    except TimeoutError:
        pass
    return found


async def with_aiosseclient(url):
    return [(event.data, event.id) async for event in aiosseclient(url)]


PYTHONS = {
    "httpx-sse": with_httpx_sse,
    "sseclient-py": with_sseclient_py,
    "aiohttp-sse-client": lambda url: asyncio.run(with_aiohttp(url)),
    "aiosseclient": lambda url: asyncio.run(with_aiosseclient(url)),
}
seen = {name: [[(data, event_id or "") for data, event_id in read(f"{base}/{number}")] for number in range(len(STREAMS))]
        for name, read in PYTHONS.items()}
javascript = json.loads(subprocess.run(["node", "node/read.mjs", base, str(len(STREAMS))], capture_output=True, text=True, check=True, timeout=60).stdout)
seen |= {name: [[tuple(event) for event in found] for found in streams] for name, streams in javascript.items()}
facts = []
for number, (stream, (standard, others)) in enumerate(STREAMS.items()):
    groups = {}
    for name, streams in seen.items():
        groups.setdefault(json.dumps(streams[number]), []).append(name)
        expected = others.get(name, standard)
        facts.append((streams[number] == expected, f"{name} of {stream!r}: {streams[number]}"))
    show(f"{stream!r}: " + "; ".join(f"{found} ({', '.join(names)})" for found, names in groups.items()))
different = len({json.dumps(streams) for streams in seen.values()})
finish(*facts, (different == len(seen), f"{different} of {len(seen)} differ"))
PY
