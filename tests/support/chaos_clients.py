"""Clients that ask for one thing, and say whether the tool failed; whatever happens to them is an exception."""

import http.client
import json
import subprocess
import sys
from typing import Any

from ostler.faces.bridge.place import ServerPlace
from ostler.faces.cli.rpc import ToolAnswer

_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "chaos", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
_BRIDGE = """
import sys
from ostler.adapters.config.paths import Paths
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.bridge.program import run_bridge
place = ServerPlace(Paths.resolve(sys.argv[1], sys.argv[2]))
sys.exit(run_bridge(place, version="0.1.0", command=[sys.executable, "-S", "-c", "raise SystemExit(75)"]))
"""
"""A bridge that finds servers and starts none: they are forked, which is faster."""


def _request(tool: str, args: dict[str, Any]) -> bytes:
    params = {"name": tool, "arguments": args, "_meta": _META}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode() + b"\n"


def over_bridge(place: ServerPlace, tool: str, args: dict[str, Any], running: list[Any]) -> bool:
    """Call `tool` through a bridge of its own, which is in `running` meanwhile."""
    command = [sys.executable, "-c", _BRIDGE, place.config_dir, place.state_dir]
    bridge = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert bridge.stdin is not None
    assert bridge.stdout is not None
    running.append(bridge)
    try:
        bridge.stdin.write(_request(tool, args))
        bridge.stdin.flush()
        for line in bridge.stdout:
            message = json.loads(line)
            if message.get("id") == 1:
                return bool(message["result"]["isError"])
        raise ConnectionError("the bridge has ended")
    finally:
        running.remove(bridge)
        bridge.kill()
        bridge.wait()
        bridge.stdin.close()
        bridge.stdout.close()


def over_http(port: int, tool: str, args: dict[str, Any]) -> ToolAnswer:
    """Call `tool` over streamable HTTP."""
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Mcp-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": tool,
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/mcp", _request(tool, args), headers)
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    data = [line[6:] for line in text.splitlines() if line.startswith("data: {")] or [text]
    result = json.loads(data[-1])["result"]
    return ToolAnswer(result.get("structuredContent") or {}, result["content"][0]["text"], result["isError"])
