#!/usr/bin/env bash
# Guess: agent frameworks show a model a server's tools as they are; `"additionalProperties": true` lets it pass any key.
# Seen:  Mastra, with a model of OpenAI, closes each object: "args" becomes {"type": "object", "required": [],
#        "additionalProperties": false} or null, and every argument is required; with a model of another maker it stays
#        open. Genkit's plugin for OpenAI-compatible models leaves out what each tool is for: there is no description.
#        smolagents makes every argument required that does not say "nullable", a word of OpenAPI and not of JSON Schema.
# With:  @mastra/core 1.71.0, @mastra/mcp 2.0.0, genkit 1.42.0, @genkit-ai/mcp and compat-oai 1.42.0 (npm);
#        smolagents 1.26.0, mcp 1.30.0 (PyPI). No account: the model is an endpoint on this machine.
# Why:   a tool that takes an object of any keys cannot be used at all; names must say what tools are for; a server must
#        take "", [], {}, false and null for "not given".
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install node@26.10.0 @mastra/core@1.71.0 @mastra/mcp@2.0.0 genkit@1.42.0 @genkit-ai/mcp@1.42.0 @genkit-ai/compat-oai@1.42.0 zod@4.6.7
venv_install "$WORK/smolagents" "smolagents[mcp]==1.26.0" "mcp[ws]==1.30.0"
cat >server.py <<'PY'
import json
import sys

OBJECT = {"type": "object", "additionalProperties": True, "description": "any keys"}
KEYS = {"name": {"type": "string", "description": "its name"}, "args": OBJECT}
TOOL = {"name": "make", "description": "Makes it.", "inputSchema": {"type": "object", "properties": KEYS, "required": ["name"]}}
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    result = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
        "tools/list": {"tools": [TOOL]},
        "ping": {},
    }.get(message["method"])
    said = {"result": result} if result is not None else {"error": {"code": -32601, "message": "Method not found"}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}), flush=True)
PY
cat >node/ask.mjs <<'JS'
// Prints what a model is shown of the one tool; the endpoint answers DONE.
import { createServer } from "node:http";
let seen;
const model = createServer((request, response) => {
  let text = "";
  request.on("data", chunk => { text += chunk; });
  request.on("end", () => {
    seen ??= JSON.parse(text).tools[0];
    const message = { role: "assistant", content: "DONE" };
    const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ id: "c", object: "chat.completion", created: 1, model: "m", usage,
      choices: [{ index: 0, message, finish_reason: "stop" }] }));
  });
});
await new Promise(done => model.listen(0, "127.0.0.1", done));
const url = `http://127.0.0.1:${model.address().port}/v1`;
const toy = { command: "python3", args: [process.argv[3]] };
if (process.argv[2] === "genkit") {
  const { genkit } = await import("genkit");
  const { createMcpHost } = await import("@genkit-ai/mcp");
  const { openAICompatible } = await import("@genkit-ai/compat-oai");
  const ai = genkit({ plugins: [openAICompatible({ name: "here", apiKey: "k", baseURL: url })] });
  const host = createMcpHost({ name: "host", mcpServers: { toy } });
  await ai.generate({ model: "here/m", prompt: "go", tools: await host.getActiveTools(ai) });
} else {
  const { MCPClient } = await import("@mastra/mcp");
  const { Agent } = await import("@mastra/core/agent");
  const client = new MCPClient({ servers: { toy } });
  const tools = await client.listTools();
  await new Agent({ id: "a", name: "a", instructions: "go", model: { id: process.argv[2], url, apiKey: "k" }, tools }).generate("go");
}
console.log(JSON.stringify(seen.function));
process.exit(0);
JS
ask() { # MODEL FILE
    (cd node && bounded 120 node ask.mjs "$1" "$WORK/server.py" 2>"$WORK/err.txt" | tail -1 >"$WORK/$2") || { tail -3 err.txt >&2; unable "$1"; }
    [ -s "$2" ] || { tail -3 err.txt >&2; unable "$1"; }
}
ask openai/gpt-4o openai.json
ask openrouter/qwen/qwen3 other.json
ask genkit genkit.json
cat >smol.py <<'PY'
import json

from mcp import StdioServerParameters
from smolagents import MCPClient
from smolagents.models import get_tool_json_schema

with MCPClient(StdioServerParameters(command="python3", args=["server.py"]), structured_output=False) as tools:
    print(json.dumps(get_tool_json_schema(tools[0])["function"]))
PY
bounded 90 smolagents/bin/python smol.py >smol.json 2>err.txt || { tail -3 err.txt >&2; unable smolagents; }
judge 20 <<'PY'
import json

from wire import finish, show

openai, other, genkit, smol = (json.load(open(f"{name}.json")) for name in ("openai", "other", "genkit", "smol"))
closed, is_open = (found["parameters"]["properties"]["args"] for found in (openai, other))
show(f"Mastra, OpenAI: args {closed}, required {openai['parameters']['required']}")
show(f"Mastra, another: args {is_open}, required {other['parameters']['required']}")
show(f"Genkit: {sorted(genkit)}")
show(f"smolagents: required {smol['parameters']['required']}")
objects = [option for option in closed.get("anyOf", [closed]) if option.get("type") == "object"]
finish(
    (objects and all(o["additionalProperties"] is False and not o.get("properties") for o in objects), "Mastra closes the object"),
    ("args" in openai["parameters"]["required"], "Mastra requires all"),
    (is_open["additionalProperties"] is True and "args" not in other["parameters"]["required"], "not for other models"),
    ("description" not in genkit and "description" in openai, "Genkit drops the description"),
    ("args" in smol["parameters"]["required"], "smolagents requires all"),
)
PY
