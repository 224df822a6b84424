"""An MCP server whose tools fail in every way there is, over a ledger of what really happened.

`fault_server.py LEDGER FAULTS [PORT]`: it serves over stdio, or over HTTP at PORT. The ledger is a file of JSON lines
that only grows, shared by all processes of the server; FAULTS is a JSON file, read at each call:
`{"acting": rate, "looking": rate, "seed": text}`, or the fault of a tool in `{"plan": {"TOOL NAME": "fault"}}`. Which
call has which fault follows from the seed, the tool, the name and how many such calls there were. Each fault that was
played is a line of the ledger, too; so are the begin and the end of each change that is asked for with the header
`X-Replica`, and each start of this server over HTTP.

Tools: `start {name, key?}` gives `{id}`, the same one for the same key, and makes what `drop {name}` removes;
`stop {id | name}`, `restart {id}`, `note {name}` (it may be done twice), `status {id}` and `find {name}`.
"""

import fcntl
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

ACTING = ("start", "stop", "restart", "note", "drop")
FAULTS_OF_ACTS = (
    "dies before", "dies after", "late", "silent before", "silent after", "error before", "error after",
    "garbage after", "malformed after", "wrong after",
)  # fmt: skip
FAULTS_OF_LOOKS = ("dies before", "late", "silent before", "error before", "garbage after", "malformed after")
LATE = 0.4
_GARBAGE = b"Warning: \xff\xfe this is no message {\n"


Act = Callable[[dict[str, dict[str, Any]], Callable[..., None], int], Any]
"""Takes what is there by id, a function that adds a line, and how many starts there were."""


class Ledger:
    """The file, and what it says is there now."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def change(self, act: Act) -> Any:
        """Call `act`, and no one else's meanwhile."""
        with self.locked() as (lines, add):
            return act(present(lines), add, sum(line["did"] == "start" for line in lines))

    def note(self, **facts: Any) -> None:
        """Add a line."""
        self.change(lambda _there, add, _serial: add(**facts))

    def count(self, call: str) -> int:
        """Note a call; return how many of its kind there were before."""
        with self.locked() as (lines, add):
            add(did="call", call=call)
            return sum(line.get("call") == call for line in lines)

    @contextmanager
    def locked(self) -> Generator[tuple[list[dict[str, Any]], Callable[..., None]]]:
        """Keep others out; yield its lines, and a function that adds one."""
        with self._path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)

            def add(**facts: Any) -> None:
                file.write(written(at=time.time(), **facts))
                file.flush()

            yield lines_of(file.read()), add


def written(**facts: Any) -> str:
    """Return a line to append; a full disk may have cut off the one before it."""
    return "\n" + json.dumps(facts)


def lines_of(text: str) -> list[dict[str, Any]]:
    """Return the lines of a ledger; what was cut off did not happen."""
    found: list[dict[str, Any]] = []
    for line in text.splitlines():
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


def present(lines: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what is there after `lines`, by id."""
    there: dict[str, dict[str, Any]] = {}
    for line in lines:
        if line["did"] == "start":
            there[line["id"]] = line
        elif line["did"] == "stop":
            there.pop(line["id"], None)
    return there


def kept(lines: list[dict[str, Any]]) -> set[str]:
    """Return the names of which something is kept that a start has made."""
    names: set[str] = set()
    for line in lines:
        if line["did"] == "start":
            names.add(line["name"])
        elif line["did"] == "drop":
            names.discard(line["name"])
    return names


def tool_start(ledger: Ledger, args: dict[str, Any]) -> Any:
    def act(there: Any, add: Any, serial: int) -> Any:
        key = args.get("key")
        for each in there.values():
            if key and each.get("key") == key:
                return {"id": each["id"]}
        made = f"r{serial + 1}"
        add(did="start", id=made, name=args["name"], key=key)
        return {"id": made}

    return ledger.change(act)


def tool_stop(ledger: Ledger, args: dict[str, Any]) -> Any:
    def act(there: Any, add: Any, _serial: int) -> Any:
        ids = [key for key, each in there.items() if key == args.get("id") or each["name"] == args.get("name")]
        for key in ids:
            add(did="stop", id=key, name=there[key]["name"])
        return {"stopped": ids} if ids else f"nothing runs as {args}"

    return ledger.change(act)


def tool_restart(ledger: Ledger, args: dict[str, Any]) -> Any:
    def act(there: Any, add: Any, serial: int) -> Any:
        old = there.get(args["id"])
        if old is None:
            return f"nothing runs as {args}"
        add(did="stop", id=old["id"], name=old["name"])
        add(did="start", id=f"r{serial + 1}", name=old["name"])
        return {"id": f"r{serial + 1}"}

    return ledger.change(act)


def tool_drop(ledger: Ledger, args: dict[str, Any]) -> Any:
    with ledger.locked() as (lines, add):
        if args["name"] not in kept(lines):
            return f"nothing is kept of {args['name']}"
        add(did="drop", name=args["name"])
        return {"dropped": True}


def tool_note(ledger: Ledger, args: dict[str, Any]) -> Any:
    ledger.note(did="note", name=args["name"])
    return {"noted": True}


def tool_status(ledger: Ledger, args: dict[str, Any]) -> Any:
    return ledger.change(lambda there, _add, _serial: {"state": "running" if args["id"] in there else "absent"})


def tool_find(ledger: Ledger, args: dict[str, Any]) -> Any:
    def act(there: Any, _add: Any, _serial: int) -> Any:
        ids = [key for key, each in there.items() if each["name"] == args["name"]]
        return {"found": bool(ids), "id": ids[0] if ids else None}

    return ledger.change(act)


TOOLS = {
    "start": tool_start,
    "stop": tool_stop,
    "restart": tool_restart,
    "note": tool_note,
    "drop": tool_drop,
    "status": tool_status,
    "find": tool_find,
}


class Stdio:
    """A client at the other end of stdout: nothing is between a fault and the bytes."""

    sender = ""

    def __init__(self) -> None:
        self._writing = threading.Lock()

    def send(self, message: Any) -> None:
        """Send a whole message."""
        self._write(json.dumps(message).encode() + b"\n")

    def spoil(self, message: Any) -> None:
        """Send something that is not a message, and then one."""
        with self._writing:
            os.write(1, _GARBAGE)
        self.send(message)

    def die(self) -> None:
        """End at once."""
        os._exit(7)

    def _write(self, data: bytes) -> None:
        with self._writing:
            while data:
                data = data[os.write(1, data) :]


class HttpPost(BaseHTTPRequestHandler):
    """A client that waits for the answer to its POST."""

    protocol_version = "HTTP/1.1"

    @property
    def sender(self) -> str:
        """Which server it is of those that share this one, as its header says."""
        return self.headers.get("X-Replica", "")

    def do_POST(self) -> None:
        """Take one message."""
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "id" in message:
            cast("HttpServer", self.server).faults.take(message, self)
        else:
            self._answer(202, b"")

    def do_GET(self) -> None:
        """Refuse a stream of messages."""
        self._answer(405, b"")

    def send(self, message: Any) -> None:
        """Answer with a message."""
        self._answer(200, json.dumps(message).encode())

    def spoil(self, message: Any) -> None:
        """Answer with something that is not a message."""
        self._answer(200, _GARBAGE + json.dumps(message).encode())

    def die(self) -> None:
        """Close the connection without an answer."""
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing of a request."""

    def _answer(self, status: int, body: bytes) -> None:
        with suppress(OSError):  # the client may have left
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


class HttpServer(ThreadingHTTPServer):
    """The same server over HTTP, at a port of this machine."""

    daemon_threads = True

    def __init__(self, port: int, faults: "Server") -> None:
        self.faults = faults
        super().__init__(("127.0.0.1", port), HttpPost)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Go on when a client was killed."""


class Server:
    """JSON-RPC by hand."""

    def __init__(self, ledger: Path, faults: Path) -> None:
        self._ledger = Ledger(ledger)
        self._faults = faults
        self._hidden: list[str] | None = None
        """Tools that it did not list when it was asked last."""

    def serve(self) -> None:
        """Answer until stdin ends; then end at once, whatever is under way."""
        client = Stdio()
        threading.Thread(target=self._watch, args=(client,), daemon=True).start()
        for line in sys.stdin.buffer:
            threading.Thread(target=self.take, args=(json.loads(line), client), daemon=True).start()
        os._exit(0)

    def take(self, message: Any, client: "Stdio | HttpPost") -> None:
        """Answer a message, or do with it what a fault wants."""
        key, method = message.get("id"), message.get("method")
        if method == "initialize":
            capabilities = {"tools": {"listChanged": True}}
            about = {"name": "faults", "version": "1"}
            result = {"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": about}
            client.send(_result(key, result))
        elif method == "tools/list":
            self._hidden = hidden = self._plan().get("hidden") or []
            tools = [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS if name not in hidden]
            client.send(_result(key, {"tools": tools}))
        elif method == "tools/call":
            self._call(key, message["params"], client)
        elif key is not None:
            client.send({"jsonrpc": "2.0", "id": key, "error": {"code": -32601, "message": f"no {method}"}})

    def _call(self, key: Any, params: dict[str, Any], client: "Stdio | HttpPost") -> None:
        tool, args = params["name"], params.get("arguments") or {}
        fault = self._fault(tool, str(args.get("name") or args.get("id")))
        if fault:
            self._ledger.note(did="fault", fault=fault, tool=tool, args=args)
        what, _, when = fault.rpartition(" ")
        if client.sender and tool in ACTING:
            self._ledger.note(did="begin", sender=client.sender, call=key, args=args)
        if fault == "late":
            time.sleep(LATE)  # noqa: TID251 (a process of its own, without an event loop)
        answer = {} if when == "before" else TOOLS[tool](self._ledger, args)
        if client.sender and tool in ACTING:
            self._ledger.note(did="end", sender=client.sender, call=key, args=args)
        match what:
            case "dies":
                client.die()
            case "silent":
                return
            case "error":
                client.send(_text(key, "the daemon is not ready", is_error=True))
            case "garbage":
                client.spoil({"jsonrpc": "2.0", "id": key})
            case "malformed":
                client.send(_result(key, {"content": "no list", "isError": "perhaps"}))
            case "wrong":
                client.send(_text(key, "done"))
            case _:
                text = answer if isinstance(answer, str) else json.dumps(answer)
                client.send(_text(key, text, is_error=isinstance(answer, str)))

    def _plan(self) -> dict[str, Any]:
        try:
            return json.loads(self._faults.read_text())
        except (OSError, ValueError):
            return {}

    def _watch(self, client: Stdio) -> None:
        """Notify the client of each change of the tools."""
        while True:
            time.sleep(0.05)  # noqa: TID251 (a process of its own, without an event loop)
            if self._hidden is not None and self._hidden != (hidden := self._plan().get("hidden") or []):
                self._hidden = hidden
                client.send({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})

    def _fault(self, tool: str, name: str) -> str:
        plan = self._plan()
        if named := plan.get("plan", {}).get(f"{tool} {name}"):
            return str(named)
        is_act = tool in ACTING
        rate = plan.get("acting" if is_act else "looking", 0.0)
        if not rate:
            return ""
        call = f"{plan.get('seed')} {tool} {name}"
        chance = random.Random(f"{call} {self._ledger.count(call)}")
        return chance.choice(FAULTS_OF_ACTS if is_act else FAULTS_OF_LOOKS) if chance.random() < rate else ""


def _result(key: Any, result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": key, "result": result}


def _text(key: Any, text: str, *, is_error: bool = False) -> dict[str, Any]:
    return _result(key, {"content": [{"type": "text", "text": text}], "isError": is_error})


if __name__ == "__main__":
    faulty = Server(Path(sys.argv[1]), Path(sys.argv[2]))
    if len(sys.argv) > 3:
        Ledger(Path(sys.argv[1])).note(did="boot")
        HttpServer(int(sys.argv[3]), faulty).serve_forever()
    faulty.serve()
