#!/usr/bin/env bash
# Guess: a model reads the text of a call that failed, so that it can do what the text says.
# Seen:  Microsoft's Agent Framework shows its model "Error: Function failed." and none of the text, unless the client was
#        made with function_invocation_configuration={"include_detailed_errors": True}. Agno shows Python's repr of the
#        list of content blocks: "Error from MCP tool 'start': [TextContent(type='text', text=…".
# With:  agent-framework-core 1.23.0, agent-framework-openai 1.17.0, agno 3.1.10, mcp 2.3.0 (PyPI), each for one turn
#        against a model endpoint on this machine that calls one tool.
# Why:   a server that says in its errors what to do next is not heard; the model guesses, or calls the same again.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
venv_install "$WORK/microsoft" agent-framework-core==1.23.0 agent-framework-openai==1.17.0 mcp==2.3.0 tenacity==9.1.4
venv_install "$WORK/agno" "agno[mcp]==3.1.10" openai==3.57.0 mcp==2.3.0
cat >server.py <<'PY'
import json
import sys

EMPTY = {"type": "object", "properties": {}}
FAILED = {"content": [{"type": "text", "text": 'port 80 is taken. Next: call "ports"'}], "isError": True}
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    result = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
        "tools/list": {"tools": [{"name": "start", "description": "d", "inputSchema": EMPTY}]},
        "tools/call": FAILED,
        "ping": {},
    }.get(message["method"])
    said = {"result": result} if result is not None else {"error": {"code": -32601, "message": "Method not found"}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}), flush=True)
PY
cat >model.py <<'PY'
"""A model that calls its first tool once, and then says DONE; what it was shown of the result goes into a file."""
import http.server
import json
import sys


class Model(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        results = [message["content"] for message in body["messages"] if message["role"] == "tool"]
        if results:
            open(sys.argv[2], "w").write(results[0])
            message, why = {"role": "assistant", "content": "DONE"}, "stop"
        else:
            call = {"name": body["tools"][0]["function"]["name"], "arguments": "{}"}
            calls = [{"index": 0, "id": "call_1", "type": "function", "function": call}]
            message, why = {"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls"
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        choices = [{"index": 0, "message": message, "finish_reason": why}]
        answer = {"id": f"c{len(body['messages'])}", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Model).serve_forever()
PY
cat >microsoft.py <<'PY'
import asyncio
import sys

from agent_framework import MCPStdioTool
from agent_framework.openai import OpenAIChatCompletionClient


async def main():
    more = {"function_invocation_configuration": {"include_detailed_errors": True}} if sys.argv[2:] else {}
    client = OpenAIChatCompletionClient(model="m", api_key="k", base_url=sys.argv[1], **more)
    async with MCPStdioTool(name="toy", command="python3", args=["server.py"], load_prompts=False) as tool:
        await client.as_agent(name="a", instructions="go", tools=tool).run("go")


asyncio.run(main())
PY
cat >agno_agent.py <<'PY'
import asyncio
import sys

from agno.agent import Agent
from agno.models.openai import OpenAIChat
from agno.tools.mcp import MCPTools
from mcp import StdioServerParameters


async def main():
    async with MCPTools(transport="stdio", server_params=StdioServerParameters(command="python3", args=["server.py"])) as tools:
        await Agent(model=OpenAIChat(id="m", base_url=sys.argv[1], api_key="k"), tools=[tools], telemetry=False).arun("go")


asyncio.run(main())
PY
ask() { # FILE PROGRAM [WORD]: what the model was shown goes into FILE
    local port
    port=$(free_port)
    python3 model.py "$port" "$1" &
    wait_for 10 listens "$port" || unable "the model endpoint"
    bounded 90 "${@:2:2}" "http://127.0.0.1:$port/v1" "${@:4}" >"$1.log" 2>&1 || { tail -3 "$1.log" >&2; unable "$3"; }
}
ask microsoft.txt "$WORK/microsoft/bin/python" microsoft.py
ask detailed.txt "$WORK/microsoft/bin/python" microsoft.py detailed
ask agno.txt "$WORK/agno/bin/python" agno_agent.py
judge 20 <<'PY'
from wire import finish, show

plain, detailed, agno = (open(f"{name}.txt").read() for name in ("microsoft", "detailed", "agno"))
show(f"Agent Framework: {plain!r}")
show(f"with include_detailed_errors: {detailed!r}")
show(f"Agno: {agno!r}")
finish(
    ("port 80" not in plain and "failed" in plain, "Agent Framework hides the text"),
    ("port 80 is taken" in detailed, "include_detailed_errors shows it"),
    ("[TextContent(type='text', text='port 80 is taken" in agno, "Agno shows a repr"),
)
PY
