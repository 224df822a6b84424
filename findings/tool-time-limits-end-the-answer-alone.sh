#!/usr/bin/env bash
# Guess: a server framework's time limit for a tool ends its work, or at least answers in that time; "timed out" means that
#        the work is not done.
# Seen:  FastMCP for Python ends a coroutine so. A plain function (`def`) with `timeout=1` runs to its end, and only then the
#        answer comes: "execution timed out after 1.0s", isError, for work that was just finished. FastMCP for TypeScript
#        answers in time, and the tool works on and finishes. It also sends tools/list_changed without having announced it.
# With:  fastmcp 4.2.3 (PyPI), fastmcp 4.20.16 (npm), Node 20.
# Why:   a start that "timed out" has made its service; whoever repeats it has two. In Python the limit of a plain tool does
#        not shorten a call, it only makes an error of a success.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install fastmcp==4.2.3
npm_install fastmcp@4.20.16
cat >server.py <<'PY'
import asyncio
import pathlib
import time

from fastmcp import FastMCP

server = FastMCP("limits")


@server.tool(timeout=1)
def plain() -> str:
    time.sleep(4)
    pathlib.Path("python-plain").touch()
    return "done"


@server.tool(timeout=1)
async def coroutine() -> str:
    await asyncio.sleep(4)
    pathlib.Path("python-coroutine").touch()
    return "done"


server.run(show_banner=False)
PY
cat >node/server.mjs <<'JS'
import { writeFileSync } from "node:fs"
import { FastMCP } from "fastmcp"

const server = new FastMCP({ name: "limits", version: "1.0.0" })
const work = async () => {
  await new Promise((resolve) => setTimeout(resolve, 4000))
  writeFileSync("typescript-tool", "")
  return "done"
}
const add = async () => {
  server.addTool({ name: "more", description: "one more", execute: async () => "more" })
  return "added"
}
server.addTool({ name: "tool", description: "works", timeoutMs: 1000, execute: work })
server.addTool({ name: "add", description: "adds one", execute: add })
await server.start({ transportType: "stdio" })
JS
judge 90 <<'PY'
from wire import *

servers = {"python": Stdio("python", "server.py"), "typescript": Stdio("node", "node/server.mjs")}
announced = {name: server.hello()["result"]["capabilities"]["tools"] for name, server in servers.items()}
seen = {}
for name, tool in (("python", "coroutine"), ("python", "plain"), ("typescript", "tool")):
    result = servers[name].call(tool)["result"]
    before = os.path.exists(f"{name}-{tool}")
    time.sleep(5)
    seen[tool] = result.get("isError", False) and "timed out after 1" in text_of(result), before, os.path.exists(f"{name}-{tool}")
    show(f"{name}, {tool}: {text_of(result)!r}; its work of 4 s was done when that came: {before}, in the end: {seen[tool][2]}")
servers["typescript"].call("add")
time.sleep(1)
sent = any(isinstance(line, dict) and line.get("method") == "notifications/tools/list_changed" for _, line in servers["typescript"].lines)
show(f"typescript announces {announced['typescript']}, and sends tools/list_changed: {sent}")
for server in servers.values():
    server.kill()
finish((seen["coroutine"] == (True, False, False), "a coroutine"), (seen["plain"] == (True, True, True), "a plain function"),
       (seen["tool"] == (True, False, True), "TypeScript"), (announced["typescript"] == {} and sent, "list_changed"))
PY
