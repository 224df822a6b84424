#!/usr/bin/env bash
# Guess: a client of 2025-11-25 over HTTP comes back when the server ends the stream of events of a call before the answer, as that
#        version says for long calls: the server has sent an event with an id and `retry`, and the client asks for the rest with
#        Last-Event-ID; one that does not fails the call at once.
# Seen:  both TypeScript clients, the Python SDK 2 and FastMCP do, after the time in `retry`. The clients of the AI SDK, of the
#        Java SDK and of LangChain4j never ask, and do not notice that the stream is over: the call waits until the client's own limit, or
#        the program, ends it. LangChain4j then returns "There was a timeout executing the tool" as a result without an error. The next
#        call works.
# With:  @modelcontextprotocol/sdk 1.32.2, client 2.4.0, @ai-sdk/mcp 2.0.99 (npm), io.modelcontextprotocol.sdk:mcp 2.2.0,
#        dev.langchain4j:langchain4j-mcp 1.11.0-beta19 (Maven), mcp 2.3.0, fastmcp 4.2.3 (PyPI), Node 20, Java 17; the server is a few lines
#        of Python.
# Why:   a server that frees its connections during long calls, or a gateway that cuts them, looks to these clients like a server that
#        hangs, while the answer waits to be fetched.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
npm_install @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0 @ai-sdk/mcp@2.0.99
venv_install "$WORK/mcp-2" mcp==2.3.0
venv_install "$WORK/fastmcp" fastmcp==4.2.3
maven_install sdk io.modelcontextprotocol.sdk:mcp:2.2.0 org.slf4j:slf4j-nop:2.0.17
maven_install langchain dev.langchain4j:langchain4j-mcp:1.11.0-beta19 org.slf4j:slf4j-nop:2.0.17
cat >server.py <<'PY'
"""Ends the stream of `build` after an event with an id; the answer is given to whoever comes back for it."""
import http.server
import json
import sys

waiting = {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, message=None):
        body = b"" if message is None else json.dumps(message).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, text):
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self):
        last = self.headers.get("Last-Event-ID")
        if last not in waiting:
            return self.reply(405)
        print("came back", flush=True)
        answer = {"jsonrpc": "2.0", "id": waiting[last], "result": {"content": [{"type": "text", "text": "built"}]}}
        self.stream(f"id: {last}-end\nevent: message\ndata: {json.dumps(answer)}\n\n")

    def do_DELETE(self):
        self.reply(405)

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "id" not in message:
            return self.reply(202)
        if message["method"] == "tools/call" and message["params"]["name"] == "build":
            name = f"build-{len(waiting)}"
            waiting[name] = message["id"]
            return self.stream(f"id: {name}\nretry: 300\ndata:\n\n")
        said = {
            "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
            "tools/list": {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ("build", "greet")]},
            "tools/call": {"content": [{"type": "text", "text": "hello"}]},
        }.get(message["method"])
        part = {"error": {"code": -32601, "message": "Method not found"}} if said is None else {"result": said}
        self.reply(200, {"jsonrpc": "2.0", "id": message["id"], **part})


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
PY
# Each client calls "build" with six seconds of time, then "greet".
cat >node/client.mjs <<'JS'
const [version, url] = process.argv.slice(2)
let call
if (version === "ai") {
  const { createMCPClient } = await import("@ai-sdk/mcp")
  const tools = await (await createMCPClient({ transport: { type: "http", url } })).tools()
  call = name => tools[name].execute({}, { toolCallId: "1", messages: [] })
} else {
  const old = version === "1"
  const { Client } = await import(old ? "@modelcontextprotocol/sdk/client/index.js" : "@modelcontextprotocol/client")
  const { StreamableHTTPClientTransport } = await import(old ? "@modelcontextprotocol/sdk/client/streamableHttp.js" : "@modelcontextprotocol/client")
  const client = new Client({ name: "findings", version: "1" })
  await client.connect(new StreamableHTTPClientTransport(new URL(url)))
  call = name => client.callTool({ name, arguments: {} })
}
const late = () => new Promise(done => setTimeout(done, 6000, "no answer"))
for (const name of ["build", "greet"])
  console.log(await Promise.race([late(), call(name).then(answer => answer.content[0].text, () => "error")]))
process.exit(0)
JS
cat >client.py <<'PY'
import sys

import anyio

which, url = sys.argv[1:]


async def main():
    if which == "fastmcp":
        from fastmcp import Client
    else:
        from mcp import Client
    async with Client(url) as client:
        for name in ("build", "greet"):
            said = "no answer"
            with anyio.move_on_after(6):
                said = (await client.call_tool(name, {})).content[0].text
            print(said, flush=True)


anyio.run(main)
PY
cat >sdk/Ask.java <<'JAVA'
import io.modelcontextprotocol.client.McpClient;
import io.modelcontextprotocol.client.transport.HttpClientStreamableHttpTransport;
import io.modelcontextprotocol.spec.McpSchema;
import java.time.Duration;
import java.util.*;

public class Ask {
  public static void main(String[] given) {
    var transport = HttpClientStreamableHttpTransport.builder(given[0].replace("/mcp", "")).endpoint("/mcp").build();
    var client = McpClient.sync(transport).requestTimeout(Duration.ofSeconds(6)).build();
    client.initialize();
    for (var name : List.of("build", "greet")) {
      try {
        var answer = client.callTool(McpSchema.CallToolRequest.builder(name).arguments(Map.of()).build());
        System.out.println(((McpSchema.TextContent) answer.content().get(0)).text());
      } catch (Exception error) {
        System.out.println(String.valueOf(error).contains("TimeoutException") ? "no answer" : "error");
      }
    }
    System.exit(0);
  }
}
JAVA
cat >langchain/Ask.java <<'JAVA'
import dev.langchain4j.agent.tool.ToolExecutionRequest;
import dev.langchain4j.mcp.client.DefaultMcpClient;
import dev.langchain4j.mcp.client.transport.http.StreamableHttpMcpTransport;
import java.time.Duration;
import java.util.*;

public class Ask {
  public static void main(String[] given) {
    var transport = StreamableHttpMcpTransport.builder().url(given[0]).build();
    var client = DefaultMcpClient.builder().transport(transport).toolExecutionTimeout(Duration.ofSeconds(6)).build();
    for (var name : List.of("build", "greet")) {
      var answer = client.executeTool(ToolExecutionRequest.builder().name(name).arguments("{}").build());
      System.out.println((answer.isError() ? "error: " : "") + answer.resultText());
    }
    System.exit(0);
  }
}
JAVA
for name in sdk langchain; do javac -cp "$name/lib/*" -d "$name/out" "$name/Ask.java" 2>javac.log || unable "javac: $(tail -1 javac.log)"; done
PORT=$(free_port)
python3 server.py "$PORT" >heard 2>server.log &
wait_for 10 listens "$PORT" || unable "the server does not listen"
judge 170 "http://127.0.0.1:$PORT/mcp" <<'PY'
import sys

from wire import *

url = sys.argv[1]
CLIENTS = {"TypeScript 1": ["node", "node/client.mjs", "1"], "TypeScript 2": ["node", "node/client.mjs", "2"],
           "Python 2": ["mcp-2/bin/python", "client.py", "mcp-2"], "FastMCP": ["fastmcp/bin/python", "client.py", "fastmcp"],
           "AI SDK": ["node", "node/client.mjs", "ai"], "Java SDK": ["java", "-cp", "sdk/lib/*:sdk/out", "Ask"],
           "LangChain4j": ["java", "-cp", "langchain/lib/*:langchain/out", "Ask"]}
COMES_BACK = {"TypeScript 1", "TypeScript 2", "Python 2", "FastMCP"}
facts = []
for name, command in CLIENTS.items():
    before = len(open("heard").read().splitlines())
    said = subprocess.run([*command, url], capture_output=True, text=True, timeout=60).stdout.splitlines()
    back = len(open("heard").read().splitlines()) - before
    show(f"{name}: comes back {back} times, build: {said[0]!r}, the next call: {said[1]!r}")
    first = "There was a timeout executing the tool" if name == "LangChain4j" else "no answer"
    facts.append(((back, said) == ((1, ["built", "hello"]) if name in COMES_BACK else (0, [first, "hello"])), name))
finish(*facts)
PY
