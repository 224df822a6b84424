"""An MCP server whose resources are lines of a ledger, which the bench reads and changes behind its back.

    python -S tests/support/truth/server.py --ledger FILE [--forgetful] [--http PORT]

Tools: `start {name}` → {id, name, state}, `stop {id}`, `status {id}`, `find {name}`, `list`. With `--forgetful`
resources end with the process, and ids (k1, k2 …) begin again with each; else they are in the file alone.

The ledger's `mood` says what the next calls of a tool do: `{"start": {"delay": 1}}` answers late; `{"stop": {"delay":
1}}` acts late, `{"lingers": 1}` answers at once and is gone later, `{"dies": true}` acts and ends the server without
an answer, `{"hangs": true}` acts and never answers.
"""

import argparse
import contextlib
import fcntl
import http.server
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import scripted_server

Json = dict[str, Any]


class SharedLedger:
    """A JSON file that several processes change, one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def change(self, edit: Callable[[Json], Any]) -> Any:
        """Return what `edit` returns for the state, which is written back."""
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state: Json = {"resources": [], "servers": [], "mood": {}, "last": 0}
            if self._path.exists():
                state = json.loads(self._path.read_text())
            answer = edit(state)
            temporary = self._path.with_suffix(f".{threading.get_ident()}")
            temporary.write_text(json.dumps(state))
            temporary.replace(self._path)
            return answer


def is_there(resource: Json) -> bool:
    """Whether it runs, by the ledger and by the process that it depends on."""
    until, owner = resource.get("until"), resource.get("owner")
    if resource["state"] != "running" or (until is not None and time.time() >= until):
        return False
    return owner is None or lives(owner)


def lives(pid: int) -> bool:
    """Whether a process runs; one that only waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Tools:
    """The tools, as `scripted_server.StdioFront` calls them."""

    def __init__(self, ledger: SharedLedger, *, forgetful: bool) -> None:
        self._ledger = ledger
        self._owner = os.getpid() if forgetful else None
        self._last = 0
        ledger.change(lambda state: state["servers"].append(os.getpid()))

    def listing(self) -> list[Json]:
        """Return the tools list."""
        named = {"start": ["name"], "stop": ["id"], "status": ["id"], "find": ["name"], "list": []}
        return [
            {
                "name": tool,
                "inputSchema": {
                    "type": "object",
                    "properties": {arg: {"type": "string"} for arg in args},
                    "required": args,
                },
            }
            for tool, args in named.items()
        ]

    def call(self, name: str, args: Json, call: scripted_server.Call) -> Json:
        """Call a tool."""
        mood = self._ledger.change(lambda state: state["mood"].pop(name, {})) if name in ("start", "stop") else {}
        match name:
            case "start":
                started = self._ledger.change(lambda state: self._start(state, args["name"]))
                call.cancelled.wait(mood.get("delay", 0))
                return _answer(started)
            case "stop":
                call.cancelled.wait(mood.get("delay", 0))
                stopped = self._ledger.change(lambda state: self._stop(state, args["id"], mood.get("lingers", 0)))
                if mood.get("dies"):
                    os._exit(9)
                if mood.get("hangs"):
                    call.cancelled.wait()
                    raise scripted_server.NoAnswerError
                return _answer(stopped) if stopped else _answer({"error": f"no {args['id']}"}, is_error=True)
            case "list":
                return _answer({"resources": self._ledger.change(self._visible)})
            case _:
                key = "id" if name == "status" else "name"
                found = [r for r in self._ledger.change(self._visible) if r[key] == args[key]]
                return _answer(found[-1] if found else {key: args[key], "state": "not_found"})

    def _visible(self, state: Json) -> list[Json]:
        """Return what this process knows of; a resource that lingered is gone without a trace."""
        return [r for r in state["resources"] if r["owner"] == self._owner and (is_there(r) or "exitCode" in r)]

    def _start(self, state: Json, name: str) -> Json:
        if self._owner is None:
            self._last = state["last"] = state["last"] + 1
        else:
            self._last += 1
        resource = {"id": f"k{self._last}", "name": name, "owner": self._owner, "state": "running"}
        state["resources"].append(resource)
        return resource

    def _stop(self, state: Json, key: str, lingers: float) -> Json | None:
        found = [r for r in state["resources"] if r["owner"] == self._owner and r["id"] == key and is_there(r)]
        if not found:
            return None
        if lingers:
            found[-1]["until"] = time.time() + lingers
        else:
            state["resources"].remove(found[-1])
        return found[-1]


def _answer(value: Json, *, is_error: bool = False) -> Json:
    return {"content": [{"type": "text", "text": json.dumps(value)}], "isError": is_error}


def http_handler(tools: Tools) -> type[http.server.BaseHTTPRequestHandler]:
    """Return a handler that speaks streamable HTTP (2025-11-25), one JSON answer for each request."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if "id" not in message:
                self._send(202, None)
                return
            try:
                self._send(200, {"jsonrpc": "2.0", "id": message["id"], **self._reply(message)})
            except scripted_server.NoAnswerError:
                return

        def _reply(self, message: Json) -> Json:
            match message["method"]:
                case "initialize":
                    about = {"name": "truth", "version": "1.0"}
                    capabilities = {"tools": {}}
                    return {
                        "result": {
                            "protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": about
                        }
                    }  # fmt: skip
                case "ping":
                    return {"result": {}}
                case "tools/list":
                    return {"result": {"tools": tools.listing()}}
                case "tools/call":
                    params = message["params"]
                    quiet = scripted_server.Call(lambda _done, _total, _text: None, lambda: None, lambda: "")
                    return {"result": tools.call(params["name"], params.get("arguments") or {}, quiet)}
                case other:
                    return {"error": {"code": -32601, "message": f"Method not found: {other}"}}

        def do_GET(self) -> None:
            self._send(405, None)

        def _send(self, status: int, body: Json | None) -> None:
            data = b"" if body is None else json.dumps(body).encode()
            with contextlib.suppress(ConnectionError):
                self._write(status, data)

        def _write(self, status: int, data: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its base names it)
            pass

    return Handler


def main() -> None:
    """Serve until stdin ends, or forever over HTTP."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--forgetful", action="store_true")
    parser.add_argument("--http", type=int)
    options = parser.parse_args()
    tools = Tools(SharedLedger(options.ledger), forgetful=options.forgetful)
    if options.http is not None:
        http.server.ThreadingHTTPServer(("127.0.0.1", options.http), http_handler(tools)).serve_forever()
        return
    quiet = argparse.Namespace(silent=False, die_on_discover=False, page_size=0, stubborn=False)
    scripted_server.StdioFront(tools, quiet).serve()  # pyright: ignore[reportArgumentType] (two methods of it are used)


if __name__ == "__main__":
    main()
