#!/usr/bin/env bash
# Guess: a server with a tool whose file cannot be loaded does not start, or says so to its client; a cancelled call ends.
# Seen:  the tool is left out and one line on stderr says why; the server goes on, "running and ready", and a call of that
#        tool is "Unknown tool" with the code of an internal error. With no file that loads it is a server without tools.
#        A cancelled call is carried out and answered as a success.
# With:  mcp-framework 0.2.22 with @modelcontextprotocol/sdk 1.32.2 and zod 3.25.76 (npm), Node.js 20.
# Why:   a missing dependency of one tool, or an environment variable that its file wants, looks like a tool that was never
#        there; a check that the server is up and lists tools passes.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install mcp-framework@0.2.22 @modelcontextprotocol/sdk@1.32.2 zod@3.25.76
mkdir -p node/dist/tools
cd node
printf '{"name": "shop", "version": "1.2.3", "type": "module", "main": "dist/index.js"}' >package.json
printf 'import { MCPServer } from "mcp-framework";\nnew MCPServer().start();\n' >dist/index.js
cat >dist/tools/MakeTool.js <<'JS'
import { MCPTool } from "mcp-framework";
import { z } from "zod";
import { writeFileSync } from "node:fs";
export default class MakeTool extends MCPTool {
  name = "make";
  description = "Makes a file";
  schema = z.object({ file: z.string().describe("its name") });
  async execute({ file }) {
    await new Promise(resolve => setTimeout(resolve, 2000));
    writeFileSync(file, "");
    return "made";
  }
}
JS
sed 's/MakeTool/StopTool/; s/"make"/"stop"/; 1i import nothing from "no-such-package";' dist/tools/MakeTool.js >dist/tools/StopTool.js
judge 60 <<'PY'
from wire import *

server = Stdio("node", "dist/index.js")
server.hello()
tools = [tool["name"] for tool in server.request("tools/list")["result"]["tools"]]
unknown = server.call("stop", {"file": "x"})["error"]
asked = server.ask("tools/call", {"name": "make", "arguments": {"file": "made"}})
time.sleep(0.3)
server.notify("notifications/cancelled", {"requestId": asked})
answer = server.answer(asked, 10).get("result", {})
made = os.path.exists("made")
server.end_input()
log = [line.split("] ", 1)[-1] for line in server.errors]
why, ready = (next((line for line in log if word in line), "") for word in ("StopTool", "ready"))
os.remove("dist/tools/MakeTool.js")
empty = Stdio("node", "dist/index.js")
empty.hello()
none = empty.request("tools/list")
empty.end_input()
show(f"tools {tools}, log '{why[:70]}…', '{ready}'; a call of the other: {unknown}")
show(f"cancelled after 0.3 s of 2: {text_of(answer)!r}, carried out {made}; no file that loads: {none.get('result', none.get('error'))}")
finish((tools == ["make"] and "no-such-package" in why and bool(ready), "the tools"), (unknown["code"] == -32603 and unknown["message"].startswith("Unknown tool"), "the call"),
       (text_of(answer) == '"made"' and not answer.get("isError") and made, "cancelled"),
       (none.get("result", {}).get("tools", []) == [] , f"none: {none}"))
PY
