#!/usr/bin/env bash
# Guess: a tool that returns a list answers that list as one JSON text; an empty list, nothing and an empty text can be
#        told apart in the text.
# Seen:  each element becomes a content item of its own, so that ["a", "b"] is two texts that are no JSON; an empty list
#        and None both answer no content at all. The structured content has {"result": …}, wrapped, and tells them
#        apart. A tool annotated plain `dict` has no structured content at all, only text.
# With:  mcp 1.30.0 and 2.3.0 (PyPI), alike.
# Why:   a client that gives models the text alone shows nothing for "no jobs", which reads like a failed call; code that
#        parses content[0] as JSON works for dicts and breaks for lists of one.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
for version in 1.30.0 2.3.0; do venv_install "$WORK/mcp-$version" "mcp==$version"; done
cat >server.py <<'PY'
try:
    from mcp.server.mcpserver import MCPServer as Server
except ImportError:
    from mcp.server.fastmcp import FastMCP as Server
server = Server("lists")
@server.tool()
def two() -> list[str]:
    return ["a", "b"]
@server.tool()
def empty() -> list[str]:
    return []
@server.tool()
def nothing() -> None:
    return None
@server.tool()
def plain() -> dict:
    return {"id": 1}
server.run()
PY
judge 90 <<'PY'
from wire import *

facts = []
for version in ("1.30.0", "2.3.0"):
    server = Stdio(f"{os.environ['WORK']}/mcp-{version}/bin/python", "server.py")
    server.hello()
    seen = {}
    for tool in ("two", "empty", "nothing", "plain"):
        result = server.call(tool)["result"]
        seen[tool] = ([part["text"] for part in result["content"]], result.get("structuredContent", "none"))
        show(f"mcp {version}, {tool}: texts {seen[tool][0]}, structured {seen[tool][1]}")
    server.kill()
    facts += [(seen["two"] == (["a", "b"], {"result": ["a", "b"]}), f"{version}: a list"),
              (seen["empty"] == ([], {"result": []}) and seen["nothing"] == ([], {"result": None}), f"{version}: nothing in it"),
              (len(seen["plain"][0]) == 1 and seen["plain"][1] == "none", f"{version}: a dict")]
finish(*facts)
PY
