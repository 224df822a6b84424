"""An MCP server that answers what it is told to, word for word, however wrong; standard library alone.

    python tests/support/canned_server.py ANSWERS [--http PORT_FILE]

ANSWERS is a JSON file: {"initialize": …, "server/discover": …, "tools/list": …, "tools/call": {TOOL: …}}. Each value
is a result, or a list of results to give one after another (the last one stays). {"error": {"code": …, "message": …}}
is a JSON-RPC error; null is no answer at all. A method that is not in it gets "Method not found"; `initialize` and
`ping` have answers of their own unless given. "modern/tools/list" answers those that speak the 2026 protocol. With
`--http` it serves POST /mcp.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Json = dict[str, Any]

HANDSHAKE: Json = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {"listChanged": True}},
    "serverInfo": {"name": "canned", "version": "1.0"},
}
DISCOVERY: Json = {
    "supportedVersions": ["2026-07-28"],
    "capabilities": {"tools": {}},
    "resultType": "complete",
    "ttlMs": 0,
    "cacheScope": "private",
}
"""What a server of the 2026 protocol says of itself; put it under "server/discover" for one."""


def answer(answers: Json, message: Json) -> Json | None:
    method, params = message["method"], message.get("params") or {}
    if message.get("id") is None:
        return None
    result: Any = answers.get(method, {"initialize": HANDSHAKE, "ping": {}}.get(method, {"error": NOT_FOUND}))
    if "io.modelcontextprotocol/protocolVersion" in params.get("_meta", {}):
        result = answers.get(f"modern/{method}", result)
    if method == "tools/call":
        result = answers.get(method, {}).get(params["name"], {"error": {"code": -32602, "message": "unknown tool"}})
    if isinstance(result, list):
        result = result.pop(0) if len(result) > 1 else result[0]
    if result is None:
        return None
    body = {"error": result["error"]} if "error" in result else {"result": result}
    return {"jsonrpc": "2.0", "id": message["id"], **body}


NOT_FOUND: Json = {"code": -32601, "message": "Method not found"}


def serve_http(answers: Json, port_file: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            reply = answer(answers, json.loads(self.rfile.read(int(self.headers["content-length"]))))
            body = json.dumps(reply).encode() if reply is not None else b""
            self.send_response(200 if body else 202)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.send_error(405)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it so)
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    temporary = port_file.with_suffix(".new")
    temporary.write_text(str(server.server_port))
    temporary.replace(port_file)
    server.serve_forever()


def main() -> None:
    answers = json.loads(Path(sys.argv[1]).read_text())
    if "--http" in sys.argv:
        serve_http(answers, Path(sys.argv[3]))
    for line in sys.stdin:
        reply = answer(answers, json.loads(line))
        if reply is not None:
            print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
