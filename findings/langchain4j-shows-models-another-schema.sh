#!/usr/bin/env bash
# Guess: a client library shows a model a tool's input schema as it is, or leaves out what only narrows it.
# Seen:  of what a server of the Python SDK lists for `env: dict[str, str]` and for a nested model, LangChain4j shows the model two
#        objects without a property: the type of the map's values is gone, and "$ref" is not followed to "$defs". Items of a list of
#        models are such objects, too. Bounds and defaults are gone. mcp-go's client, on which gateways in Go are built, drops what
#        stands beside "properties": "oneOf", "dependentRequired", "minProperties", "description".
# With:  dev.langchain4j:langchain4j-mcp 1.11.0-beta19 with langchain4j-open-ai 1.11.0 (Maven), github.com/mark3labs/mcp-go 1.2.1,
#        mcp 1.30.0 and 2.3.0 (PyPI), Java 17; the endpoint of the model is a few lines of Python.
# Why:   a model has to guess the names in a nested model, and is told nothing of a port's range; a tool that takes flat, plain
#        arguments and says in its description what the schema says is called right by each client.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need go
venv_install "$WORK/mcp-1" mcp==1.30.0
venv_install "$WORK/mcp-2" mcp==2.3.0
maven_install langchain dev.langchain4j:langchain4j-mcp:1.11.0-beta19 dev.langchain4j:langchain4j-open-ai:1.11.0 org.slf4j:slf4j-nop:2.0.17
cat >server.py <<'PY'
from typing import Annotated

from pydantic import BaseModel, Field

try:
    from mcp.server.fastmcp import FastMCP as Server
except ImportError:
    from mcp.server.mcpserver import MCPServer as Server


class Port(BaseModel):
    number: Annotated[int, Field(ge=1, le=65535)]
    name: str = "web"


server = Server("toy")


@server.tool()
def start(env: dict[str, str], port: Port, ports: list[Port], count: Annotated[int, Field(ge=1, description="how many")] = 1) -> str:
    return "started"


server.run()
PY
cat >plain.py <<'PY'
"""A tool whose schema has keywords beside its properties."""
import json
import sys

SCHEMA = {"type": "object", "description": "one of the two", "properties": {"name": {"type": "string"}, "port": {"type": "integer", "minimum": 1}},
          "minProperties": 1, "oneOf": [{"required": ["name"]}, {"required": ["port"]}], "dependentRequired": {"name": []},
          "additionalProperties": False}
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    said = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
        "tools/list": {"tools": [{"name": "find", "inputSchema": SCHEMA}]},
    }.get(message["method"])
    part = {"error": {"code": -32601, "message": "Method not found"}} if said is None else {"result": said}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **part}), flush=True)
PY
cat >model.py <<'PY'
"""An endpoint for chat completions that keeps what it is asked in argv[2]."""
import http.server
import json
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        with open(sys.argv[2], "wb") as kept:
            kept.write(self.rfile.read(int(self.headers["Content-Length"])))
        choice = {"index": 0, "message": {"role": "assistant", "content": "DONE"}, "finish_reason": "stop"}
        body = json.dumps({"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice],
                           "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
PY
cat >langchain/Ask.java <<'JAVA'
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.mcp.client.DefaultMcpClient;
import dev.langchain4j.mcp.client.transport.stdio.StdioMcpTransport;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.openai.OpenAiChatModel;
import java.util.*;

public class Ask {
  public static void main(String[] given) {
    var server = StdioMcpTransport.builder().command(List.of(given).subList(1, given.length)).build();
    var client = DefaultMcpClient.builder().transport(server).build();
    var model = OpenAiChatModel.builder().baseUrl(given[0]).apiKey("none").modelName("m").build();
    model.chat(ChatRequest.builder().messages(UserMessage.from("start it")).toolSpecifications(client.listTools()).build());
    System.exit(0);
  }
}
JAVA
javac -cp 'langchain/lib/*' -d langchain/out langchain/Ask.java 2>javac.log || unable "javac: $(tail -1 javac.log)"
go_build list github.com/mark3labs/mcp-go@v1.2.1 <<'GO'
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
)

func main() {
	ctx := context.Background()
	session, err := client.NewStdioMCPClient(os.Args[1], nil, os.Args[2:]...)
	if err != nil {
		panic(err)
	}
	var hello mcp.InitializeRequest
	hello.Params.ProtocolVersion = mcp.LATEST_PROTOCOL_VERSION
	hello.Params.ClientInfo = mcp.Implementation{Name: "findings", Version: "1"}
	if _, err = session.Initialize(ctx, hello); err != nil {
		panic(err)
	}
	listed, err := session.ListTools(ctx, mcp.ListToolsRequest{})
	if err != nil {
		panic(err)
	}
	said, _ := json.Marshal(listed.Tools[0])
	fmt.Println(string(said))
}
GO
PORT=$(free_port)
python3 model.py "$PORT" asked.json &
wait_for 10 listens "$PORT" || unable "the endpoint"
judge 120 "$PORT" <<'PY'
import sys

from wire import *

url = f"http://127.0.0.1:{sys.argv[1]}/v1"
EMPTY = {"type": "object", "properties": {}, "required": []}
facts = []


def listed(*command):
    server = Stdio(*command)
    server.hello()
    schema = server.request("tools/list")["result"]["tools"][0]["inputSchema"]
    server.kill()
    return schema


for version in ("1", "2"):
    command = [f"mcp-{version}/bin/python", "server.py"]
    wire = listed(*command)["properties"]
    subprocess.run(["java", "-cp", "langchain/lib/*:langchain/out", "Ask", url, *command], check=True, capture_output=True, timeout=60)
    shown = json.load(open("asked.json"))["tools"][0]["function"]["parameters"]
    for name in ("env", "port", "ports", "count"):
        show(f"{name}, server {version}: listed {json.dumps(wire[name])}; shown {json.dumps(shown['properties'][name])}")
    properties = shown["properties"]
    facts += [(wire["env"]["additionalProperties"] == {"type": "string"} and wire["port"] == {"$ref": "#/$defs/Port"}, f"the list of version {version}"),
              (properties["env"] == EMPTY and properties["port"] == EMPTY and properties["ports"]["items"] == EMPTY, f"empty objects, {version}"),
              (properties["count"] == {"type": "integer", "description": "how many"}, f"bounds and defaults, {version}"),
              ("$defs" not in shown and "definitions" not in shown, f"definitions, {version}")]
whole = listed(sys.executable, "plain.py")
kept = json.loads(subprocess.run(["./list", sys.executable, "plain.py"], capture_output=True, text=True, timeout=30, check=True).stdout)["inputSchema"]
show(f"mcp-go keeps {sorted(set(whole) & set(kept))}, drops {sorted(set(whole) - set(kept))}")
facts.append((set(whole) - set(kept) == {"oneOf", "dependentRequired", "minProperties", "description"} and kept["properties"] == whole["properties"], "mcp-go"))
finish(*facts)
PY
