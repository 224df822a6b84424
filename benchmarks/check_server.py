"""A downstream MCP server over HTTP that costs next to nothing, and notes who looked at which service, and when.

    python -I benchmarks/check_server.py PORT

Every path is a server; the id of a session says who asks. GET /looks gives the notes so far as JSON, and forgets them.
"""

import asyncio  # noqa: TID251 (a program of its own, which has no packages)
import itertools
import json
import sys
import time

TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("start", "stop", "check")]
LOOKS: list[tuple[float, str, str]] = []
SESSIONS = itertools.count(1)


def answer(message: dict, session: str) -> dict | None:  # pyright: ignore[reportMissingTypeArgument, reportUnknownParameterType]
    match message.get("method"):
        case "initialize":
            info = {"name": "checks", "version": "1"}
            return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": info}
        case "tools/list":
            return {"tools": TOOLS}
        case "tools/call":
            name = message["params"]["arguments"]["name"]
            LOOKS.append((time.monotonic(), name, session))
            return {"content": [], "structuredContent": {"state": "running", "name": name}}
        case "ping":
            return {}
        case _:
            return None


def respond(verb: str, path: str, session: str, body: bytes) -> tuple[int, str, bytes]:
    if verb == "GET" and path == "/looks":
        notes = json.dumps(LOOKS).encode()
        LOOKS.clear()
        return 200, "", notes
    if verb != "POST":
        return 405, "", b""
    message = json.loads(body)
    if "id" not in message:
        return 202, "", b""
    given = f"{path}-{next(SESSIONS)}" if message.get("method") == "initialize" else ""
    result = answer(message, session)
    outcome = {"error": {"code": -32601, "message": "not found"}} if result is None else {"result": result}
    return 200, given, json.dumps({"jsonrpc": "2.0", "id": message["id"], **outcome}).encode()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            verb, path, _ = head[0].split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            status, given, text = respond(verb, path, headers.get("mcp-session-id", ""), body)
            more = f"mcp-session-id: {given}\r\n" if given else ""
            said = f"HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n{more}content-length: {len(text)}\r\n\r\n"
            writer.write(said.encode() + text)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(port: int) -> None:
    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        await server.serve_forever()


asyncio.run(main(int(sys.argv[1])))
