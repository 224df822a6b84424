"""A stdio MCP server whose tools fail in every way there is, over a ledger of what really happened.

`fault_server.py LEDGER FAULTS`: the ledger is a file of JSON lines that only grows, shared by all processes of the
server; FAULTS is a JSON file, read at each call: `{"acting": rate, "looking": rate, "seed": text}`, or the fault of a
tool in `{"plan": {"TOOL NAME": "fault"}}`. Which call has which fault follows from the seed, the tool, the name and how
many such calls there were. Each fault that was played is a line of the ledger, too.

Tools: `start {name, key?}` gives `{id}`, the same one for the same key; `stop {id | name}`, `restart {id}`,
`note {name}` (it may be done twice), `status {id}` and `find {name}`.
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
from pathlib import Path
from typing import Any

ACTING = ("start", "stop", "restart", "note")
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
        with self._locked() as (lines, add):
            return act(present(lines), add, sum(line["did"] == "start" for line in lines))

    def count(self, call: str) -> int:
        """Note a call; return how many of its kind there were before."""
        with self._locked() as (lines, add):
            add(did="call", call=call)
            return sum(line.get("call") == call for line in lines)

    @contextmanager
    def _locked(self) -> Generator[tuple[list[dict[str, Any]], Callable[..., None]]]:
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


def tool_note(ledger: Ledger, args: dict[str, Any]) -> Any:
    ledger.change(lambda _there, add, _serial: add(did="note", name=args["name"]))
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
    "status": tool_status,
    "find": tool_find,
}


class Server:
    """JSON-RPC over stdio by hand: nothing is between a fault and the bytes."""

    def __init__(self, ledger: Path, faults: Path) -> None:
        self._ledger = Ledger(ledger)
        self._faults = faults
        self._writing = threading.Lock()

    def serve(self) -> None:
        """Answer until stdin ends; then end at once, whatever is under way."""
        for line in sys.stdin.buffer:
            message = json.loads(line)
            key, method = message.get("id"), message.get("method")
            if method == "initialize":
                capabilities = {"tools": {}}
                about = {"name": "faults", "version": "1"}
                self._send(key, {"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": about})
            elif method == "tools/list":
                self._send(key, {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]})
            elif method == "tools/call":
                threading.Thread(target=self._call, args=(key, message["params"]), daemon=True).start()
            elif key is not None:
                self._write({"jsonrpc": "2.0", "id": key, "error": {"code": -32601, "message": f"no {method}"}})
        os._exit(0)

    def _call(self, key: Any, params: dict[str, Any]) -> None:
        tool, args = params["name"], params.get("arguments") or {}
        fault = self._fault(tool, str(args.get("name") or args.get("id")))
        if fault:
            self._ledger.change(lambda _there, add, _serial: add(did="fault", fault=fault, tool=tool, args=args))
        what, _, when = fault.rpartition(" ")
        if fault == "late":
            time.sleep(LATE)  # noqa: TID251 (a process of its own, without an event loop)
        answer = {} if when == "before" else TOOLS[tool](self._ledger, args)
        match what:
            case "dies":
                os._exit(7)
            case "silent":
                return
            case "error":
                self._send(key, _text("the daemon is not ready", is_error=True))
            case "garbage":
                with self._writing:
                    os.write(1, _GARBAGE)
                self._write({"jsonrpc": "2.0", "id": key})
            case "malformed":
                self._send(key, {"content": "no list", "isError": "perhaps"})
            case "wrong":
                self._send(key, _text("done"))
            case _:
                text = answer if isinstance(answer, str) else json.dumps(answer)
                self._send(key, _text(text, is_error=isinstance(answer, str)))

    def _fault(self, tool: str, name: str) -> str:
        try:
            plan = json.loads(self._faults.read_text())
        except (OSError, ValueError):
            return ""
        if named := plan.get("plan", {}).get(f"{tool} {name}"):
            return str(named)
        is_act = tool in ACTING
        rate = plan.get("acting" if is_act else "looking", 0.0)
        if not rate:
            return ""
        call = f"{plan.get('seed')} {tool} {name}"
        chance = random.Random(f"{call} {self._ledger.count(call)}")
        return chance.choice(FAULTS_OF_ACTS if is_act else FAULTS_OF_LOOKS) if chance.random() < rate else ""

    def _send(self, key: Any, result: Any) -> None:
        self._write({"jsonrpc": "2.0", "id": key, "result": result})

    def _write(self, message: Any) -> None:
        data = json.dumps(message).encode() + b"\n"
        with self._writing:
            while data:
                data = data[os.write(1, data) :]


def _text(text: str, *, is_error: bool = False) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": is_error}


if __name__ == "__main__":
    Server(Path(sys.argv[1]), Path(sys.argv[2])).serve()
