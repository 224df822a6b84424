#!/usr/bin/env bash
# Guess: a client session of MCP that is given to the Gemini SDK offers every tool with a valid JSON Schema, or leaves one out.
# Seen:  one tool whose schema has "additionalProperties": true ends the conversion of all with an AttributeError about a
#        'bool' object; false does the same. A schema object in its place, or none, is converted.
# With:  google-genai 2.34.0 with mcp 2.3.0 (PyPI). No model is asked.
# Why:   "additionalProperties": true is what keeps free-form arguments alive in other libraries; with this one a server
#        that has it in one tool has no tools at all.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
pip_install google-genai==2.34.0 mcp==2.3.0

judge 120 <<'PY'
from wire import *
from google.genai import _mcp_utils
from mcp.types import Tool

def convert(**schema):
    tool = Tool.model_validate({"name": "create", "inputSchema": {"type": "object", "properties": {"args": {"type": "object", **schema}}}})
    try:
        return str(_mcp_utils.mcp_to_gemini_tool(tool).function_declarations[0].name)
    except AttributeError as error:
        return f"AttributeError: {error}"

seen = {
    "none": convert(),
    "true": convert(additionalProperties=True),
    "false": convert(additionalProperties=False),
    "a schema": convert(additionalProperties={"type": "string"}),
}
for given, came in seen.items():
    show(f"additionalProperties {given}: {came}")
finish((seen["none"] == "create", "none"), (seen["true"].startswith("AttributeError: 'bool'"), "true"),
       (seen["false"].startswith("AttributeError: 'bool'"), "false"), (seen["a schema"] == "create", "a schema"))
PY
