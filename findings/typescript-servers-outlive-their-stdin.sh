#!/usr/bin/env bash
# Guess: a stdio server ends when its stdin closes, as the protocol's shutdown begins, or at least hears of it in `onclose`;
#        SIGTERM calls `onclose`, too.
# Seen:  the transport of the TypeScript SDK does not end the process: with a setInterval the server stays after its client
#        has gone. In version 1 `onclose` is not called either; in version 2 it is, and a server that calls process.exit()
#        there ends. At SIGTERM and SIGINT neither version calls it. A server without a timer ends: Node has nothing left
#        to do.
# With:  @modelcontextprotocol/sdk 1.32.2, @modelcontextprotocol/server 2.4.0 (npm), Node 20.
# Why:   with one timer a server stays behind after each session of a client that only closes stdin; what it started (a
#        browser, a container) is ended by nobody.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/server@2.4.0
cat >node/server.mjs <<'JS'
const [version, kind, note] = process.argv.slice(2)
const old = version === "1"
const { McpServer } = await import(old ? "@modelcontextprotocol/sdk/server/mcp.js" : "@modelcontextprotocol/server")
const { StdioServerTransport } = await import(old ? "@modelcontextprotocol/sdk/server/stdio.js" : "@modelcontextprotocol/server/stdio")
const { writeFileSync } = await import("node:fs")
const server = new McpServer({ name: "toy", version: "1" })
server.registerTool("hi", {}, async () => ({ content: [] }))
server.server.onclose = () => {
  writeFileSync(note, "")
  if (kind === "exits") process.exit(0)
}
await server.connect(new StdioServerTransport())
if (kind !== "plain") setInterval(() => {}, 1000)
JS
judge 300 <<'PY'
import signal

from wire import *

facts = []
for version in ("1", "2"):
    for kind, end, wanted in (("plain", "stdin", (0, version == "2")), ("timer", "stdin", (None, version == "2")),
                              ("exits", "stdin", (0, True) if version == "2" else (None, False)),
                              ("timer", "SIGTERM", (-signal.SIGTERM, False)), ("timer", "SIGINT", (-signal.SIGINT, False))):
        note = os.path.abspath(f"{version}-{kind}-{end}")
        server = Stdio("node", "node/server.mjs", version, kind, note)
        server.hello()
        server.call("hi")
        if end == "stdin":
            server.process.stdin.close()
        else:
            server.process.send_signal(getattr(signal, end))
        status = server.exited(8)
        heard = os.path.exists(note)
        server.kill()
        show(f"version {version}, {kind}, {end}: {'still there after 8 s' if status is None else f'status {status}'}, onclose called: {heard}")
        facts.append(((status, heard) == wanted, f"version {version}, {kind}, {end}"))
finish(*facts)
PY
