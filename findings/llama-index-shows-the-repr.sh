#!/usr/bin/env bash
# Guess: as in other agent libraries, the model reads a tool's text, hears of a failure, and sees the tool's own schema.
# Seen:  the model reads Python's repr of the SDK's result object: "meta=None content=[TextContent(type='text', text='…'".
#        Quotes and line breaks in the text are escaped once more, structured content stands there as a Python dict. A result
#        with isError is no error for the library (`is_error` stays False). In the schema that models get each optional
#        argument may be null and defaults to null.
# With:  llama-index-tools-mcp 0.6.0, llama-index-core 0.14.25, mcp 2.3.0 (PyPI).
# Why:   an answer costs up to twice the tokens, a failed call counts as done, and a server that refuses null for what is
#        merely optional fails with models that fill in every field.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install llama-index-tools-mcp==0.6.0 llama-index-core==0.14.25 mcp==2.3.0
cat >server.py <<'PY'
import json
import sys

NAMED = {"type": "object", "properties": {"name": {"type": "string"}, "port": {"type": "integer"}}, "required": ["name"]}
NONE = {"type": "object", "properties": {}}
ANSWERS = {
    "fine": {"content": [{"type": "text", "text": 'first "line"\nsecond'}], "structuredContent": {"id": "k1"}},
    "fails": {"content": [{"type": "text", "text": "no such id"}], "isError": True},
}
TOOLS = [{"name": "fine", "description": "d", "inputSchema": NAMED}, {"name": "fails", "description": "d", "inputSchema": NONE}]
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    result = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
        "tools/list": {"tools": TOOLS},
        "tools/call": ANSWERS.get((message.get("params") or {}).get("name")),
    }.get(message["method"])
    said = {"result": result} if result else {"error": {"code": -32601, "message": "Method not found"}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}), flush=True)
PY
judge 120 <<'PY'
import asyncio

from llama_index.tools.mcp import BasicMCPClient, McpToolSpec
from wire import finish, show


async def main():
    tools = await McpToolSpec(client=BasicMCPClient("python3", args=["server.py"])).to_tool_list_async()
    named = {tool.metadata.name: tool for tool in tools}
    return named["fine"], await named["fine"].acall(name="x"), await named["fails"].acall()


tool, fine, fails = asyncio.run(main())
port = tool.metadata.get_parameters_dict()["properties"]["port"]
show(f"the model reads: {fine.content[:160]}")
show(f"of the failed call: is_error {fails.is_error}, {fails.content[:80]}")
show(f"the schema of an optional integer: {port}")
finish(
    (fine.content.startswith("meta=None content=[TextContent(type='text', text='first \"line\"\\nsecond'"), "the text for the model"),
    ("structured_content={'id': 'k1'}" in fine.content, "structured content is in that text"),
    (not fails.is_error and "is_error=True" in fails.content, "a failed call is no error"),
    ({"type": "null"} in port.get("anyOf", []) and port.get("default", 0) is None, "null in the schema"),
)
PY
