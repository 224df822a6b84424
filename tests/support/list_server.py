"""The least MCP server over stdio that can be checked: `check {name}` and `list {count}`; for benchmarks."""

import json
import sys
from typing import Any


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """Return the result of a request; None: the method is not known."""
    if method == "initialize":
        return {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "list", "version": "1"},
        }
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ("check", "list")]}
    if method == "tools/call":
        args = params.get("arguments") or {}
        if params["name"] == "check":
            value: Any = {"name": args.get("name"), "state": "running"}
        else:
            value = {"items": [{"name": f"s{index}", "state": "running"} for index in range(args["count"])]}
        return {"content": [], "structuredContent": value}
    return None


def main() -> None:
    """Answer until stdin ends."""
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if "id" not in message:
            continue
        result = answer(message["method"], message.get("params") or {})
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        reply |= {"result": result} if result is not None else {"error": {"code": -32601, "message": "no such method"}}
        sys.stdout.buffer.write(json.dumps(reply).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
