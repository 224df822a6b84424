#!/usr/bin/env bash
# Guess: a tool that asks with `ctx.elicit`, as its docstring offers, works with the client of the same SDK, which has a
#        callback for such questions; the older client is the one that may have trouble.
# Seen:  with the client's default, which settles on the protocol of 2026-07-28, the call ends where the tool asks, with the
#        protocol error -32600 "no back-channel"; what the tool did before it asked is done. With mode="legacy", and with
#        the client of mcp 1.30.0, it works. A question declared with Resolve(…) works with both.
# With:  mcp 2.3.0 and 1.30.0 (PyPI), over stdio.
# Why:   a server that is tested with one client fails for users of the other, half way through; clients that repeat what
#        failed with a protocol error do its first half again.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
venv_install "$WORK/v1" mcp==1.30.0
venv_install "$WORK/v2" mcp==2.3.0
cat >server.py <<'PY'
from typing import Annotated

from mcp.server.mcpserver import Context, Elicit, MCPServer, Resolve
from pydantic import BaseModel

server = MCPServer("toy")


class Answer(BaseModel):
    sure: bool


@server.tool()
async def ask(ctx: Context) -> str:
    with open("begun", "a") as file:
        file.write("x")
    answer = await ctx.elicit("Sure?", Answer)
    return f"asked: {answer.action}"


async def question() -> Elicit[Answer]:
    return Elicit("Sure?", Answer)


@server.tool()
async def declared(answer: Annotated[Answer, Resolve(question)]) -> str:
    return f"asked: {answer.sure}"


server.run("stdio")
PY
cat >client2.py <<'PY'
import os, sys
import anyio
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import ElicitResult

async def say_yes(context, params):
    return ElicitResult(action="accept", content={"sure": True})

async def main(options):
    server = StdioServerParameters(command=os.environ["WORK"] + "/v2/bin/python", args=["server.py"], cwd=os.environ["WORK"])
    async with Client(server, elicitation_callback=say_yes, **options) as client:
        for tool in ("ask", "declared"):
            try:
                result = await client.call_tool(tool, {})
                print("isError" if result.is_error else result.content[0].text)
            except MCPError as error:
                print(error.code, error.message)

anyio.run(main, {"mode": sys.argv[1]} if sys.argv[1:] else {})
PY
cat >client1.py <<'PY'
import os
import anyio
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import ElicitResult

async def say_yes(context, params):
    return ElicitResult(action="accept", content={"sure": True})

async def main():
    server = StdioServerParameters(command=os.environ["WORK"] + "/v2/bin/python", args=["server.py"], cwd=os.environ["WORK"])
    async with stdio_client(server) as streams, ClientSession(*streams, elicitation_callback=say_yes) as client:
        await client.initialize()
        for tool in ("ask", "declared"):
            result = await client.call_tool(tool, {})
            print("isError" if result.isError else result.content[0].text)

anyio.run(main)
PY
judge 90 <<'PY'
from wire import *


def said(*command):
    open("begun", "w").close()
    lines = subprocess.run(command, capture_output=True, text=True, timeout=40).stdout.splitlines()
    return lines, len(open("begun").read())


newer, begun = said("v2/bin/python", "client2.py")
legacy, _ = said("v2/bin/python", "client2.py", "legacy")
older, _ = said("v1/bin/python", "client1.py")
show(f"mcp 2.3.0: {newer}, the tool began {begun} times; mode legacy: {legacy}; mcp 1.30.0: {older}")
works = ["asked: accept", "asked: True"]
finish((newer[0].startswith("-32600") and "back-channel" in newer[0] and newer[1:] == works[1:] and begun == 1, f"newer: {newer}, {begun}"),
       (legacy == works, f"legacy: {legacy}"), (older == works, f"older: {older}"))
PY
