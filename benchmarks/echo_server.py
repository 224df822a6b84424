"""A downstream MCP server that costs next to nothing: `start` and `stop` answer at once with the given name."""

import json
import sys

TOOLS = [
    {"name": name, "inputSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}
    for name in ("start", "stop")
]


def answer(method: str, params: dict) -> dict | None:  # pyright: ignore[reportMissingTypeArgument, reportUnknownParameterType]
    match method:
        case "initialize":
            info = {"name": "echo", "version": "1"}
            return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": info}
        case "tools/list":
            return {"tools": TOOLS}
        case "tools/call":
            return {"content": [{"type": "text", "text": json.dumps({"id": params["arguments"].get("name")})}]}
        case "ping":
            return {}
        case _:
            return None


for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    result = answer(message["method"], message.get("params", {}))
    outcome = {"error": {"code": -32601, "message": "not found"}} if result is None else {"result": result}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **outcome}), flush=True)
