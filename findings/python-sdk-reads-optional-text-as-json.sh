#!/usr/bin/env bash
# Guess: an argument that is text in the request and text in the tool's schema arrives as that text.
# Seen:  in the Python SDK it does for a parameter `str`. For `str | None`, whose schema is text or null, a text that happens
#        to be a JSON object or list is read as JSON and then refused as no text ("Input should be a valid string"); the
#        text "null" arrives as None. "123" and "true" stay text. FastMCP passes all on as they are.
# With:  mcp 1.30.0 and 2.3.0 (server of the SDK), fastmcp 4.2.3 (PyPI).
# Why:   `write(path, content: str | None = None)` fails for exactly the files that are JSON, and the text "null" is lost
#        without an error.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
cat >server.py <<'PY'
import sys

if sys.argv[1] == "fastmcp":
    from fastmcp import FastMCP as Server
elif sys.argv[1] == "mcp-1":
    from mcp.server.fastmcp import FastMCP as Server
else:
    from mcp.server.mcpserver import MCPServer as Server
server = Server("texts")


@server.tool()
def plain(content: str) -> str:
    return repr(content)


@server.tool()
def optional(content: str | None = None) -> str:
    return repr(content)


server.run()
PY
judge 90 <<'PY'
from wire import *

TEXTS = ['{"port": 80}', '["a"]', "null", "123", "true", "plain"]
facts = []
for name in ("mcp-1", "mcp-2", "fastmcp"):
    server = Stdio(f"{name}/bin/python", "server.py", name)
    server.hello()
    schema = next(t["inputSchema"] for t in server.request("tools/list", {})["result"]["tools"] if t["name"] == "optional")
    kinds = [one["type"] for one in schema["properties"]["content"]["anyOf"]]
    seen = {}
    for tool in ("plain", "optional"):
        results = [server.call(tool, {"content": text})["result"] for text in TEXTS]
        seen[tool] = ["refused" if r.get("isError") and "valid string" in text_of(r) else text_of(r) for r in results]
        show(f"{name}, {tool}: {dict(zip(TEXTS, seen[tool]))}")
    server.kill()
    same = [repr(text) for text in TEXTS]
    wanted = same if name == "fastmcp" else ["refused", "refused", "None", *same[3:]]
    facts += [(seen["plain"] == same, f"{name}: str"), (seen["optional"] == wanted and kinds == ["string", "null"], f"{name}: str | None")]
finish(*facts)
PY
