#!/usr/bin/env bash
# Guess: a model gets each tool of each server, under its own name or with a prefix; the names that the specification
#        allows (letters, digits, `_`, `-`, `.`) all do, and two servers may each have a `start`; a second list is like the first.
# Seen:  Spring AI drops dots and turns `-` into `_`; of two servers' `start` one becomes `alt_1_start`, but only in the first
#        list: the next, which it makes after tools/list_changed, fails for all tools with "Multiple tools with the same name".
#        Semantic Kernel leaves out tools that are called `close`, `connect` or `name`, as its plugin has such attributes, and
#        one tool with a dot in its name makes the whole plugin fail. LangChain's agent has only the last server's `start`.
# With:  spring-ai-mcp 2.0.0 (Maven), Java 17; semantic-kernel 1.45.0 on mcp 1.30.0, langchain 1.5.2 with
#        langchain-mcp-adapters 0.3.2 (PyPI); the servers are a few lines of Python.
# Why:   a model that was asked to start one service starts the other server's; adding a tool to one server takes away those
#        of all; what works alone fails beside another server.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
maven_install spring org.springframework.ai:spring-ai-mcp:2.0.0 com.fasterxml.jackson.core:jackson-annotations:2.21 org.slf4j:slf4j-nop:2.0.17
venv_install "$WORK/kernel" semantic-kernel==1.45.0 mcp==1.30.0
venv_install "$WORK/langchain" langchain==1.5.2 langchain-mcp-adapters==0.3.2
cat >server.py <<'PY'
import json
import sys

name, tools = sys.argv[1], sys.argv[2].split(",")
for line in sys.stdin:
    message = json.loads(line)
    params = message.get("params") or {}
    if "id" not in message:
        continue
    said = {
        "initialize": {"protocolVersion": params.get("protocolVersion"), "capabilities": {"tools": {"listChanged": True}}, "serverInfo": {"name": name, "version": "1"}},
        "tools/list": {"tools": [{"name": tool, "description": f"{tool} of {name}", "inputSchema": {"type": "object", "properties": {}}} for tool in tools]},
        "tools/call": {"content": [{"type": "text", "text": f"{params.get('name')} of {name}"}]},
        "ping": {},
    }.get(message["method"])
    part = {"error": {"code": -32601, "message": "Method not found"}} if said is None else {"result": said}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **part}), flush=True)
PY
cat >spring/Names.java <<'JAVA'
import io.modelcontextprotocol.client.*;
import io.modelcontextprotocol.client.transport.*;
import io.modelcontextprotocol.json.McpJsonDefaults;
import java.util.*;
import org.springframework.ai.mcp.*;

public class Names {
  static McpSyncClient client(String name, String tools) {
    var server = ServerParameters.builder("python3").args("server.py", name, tools).build();
    var client = McpClient.sync(new StdioClientTransport(server, McpJsonDefaults.getMapper())).build();
    client.initialize();
    return client;
  }

  public static void main(String[] given) {
    var provider = SyncMcpToolCallbackProvider.builder().mcpClients(List.of(client("A", "db.stop,db-stop,start"), client("B", "start"))).build();
    for (int list = 1; list <= 2; list++) {
      try {
        for (var tool : provider.getToolCallbacks()) {
          System.out.println(list + " " + tool.getToolDefinition().name() + ": " + tool.getToolDefinition().description());
        }
      } catch (IllegalStateException error) {
        System.out.println(list + " " + error.getMessage());
      }
      provider.onApplicationEvent(new McpToolsChangedEvent("A", List.of()));
    }
    System.exit(0);
  }
}
JAVA
cat >plugin.py <<'PY'
import asyncio
import sys

from semantic_kernel import Kernel
from semantic_kernel.connectors.mcp import MCPStdioPlugin


async def main():
    for tools in ("start,stop", "start,close,connect,name", "start,db.stop"):
        kernel = Kernel()
        try:
            async with MCPStdioPlugin(name="A", command="python3", args=["server.py", "A", tools]) as plugin:
                kernel.add_plugin(plugin)
                print(",".join(sorted(function.name for function in kernel.get_full_list_of_function_metadata())))
        except Exception as error:
            print(type(error).__name__)


asyncio.run(main())
PY
cat >agent.py <<'PY'
import asyncio

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_mcp_adapters.client import MultiServerMCPClient


class Model(GenericFakeChatModel):
    def bind_tools(self, tools, **_):
        print("bound", [tool.description for tool in tools])
        return self


async def main():
    for order in ("AB", "BA"):
        client = MultiServerMCPClient({name: {"transport": "stdio", "command": "python3", "args": ["server.py", name, "start"]} for name in order})
        tools = await client.get_tools()
        print("listed", [tool.description for tool in tools])
        call = AIMessage("", tool_calls=[{"name": "start", "args": {}, "id": "1"}])
        result = await create_agent(Model(messages=iter([call, AIMessage("done")])), tools).ainvoke({"messages": [("user", "start A's")]})
        print("called", result["messages"][2].content[0]["text"])


asyncio.run(main())
PY
javac -cp 'spring/lib/*' -d spring/out spring/Names.java 2>javac.log || unable "javac: $(tail -1 javac.log)"
judge 120 <<'PY'
import subprocess

from wire import *


def lines(*argv):
    return list(dict.fromkeys(subprocess.run(argv, capture_output=True, text=True, timeout=60).stdout.split("\n")[:-1]))


spring = lines("java", "-cp", "spring/lib/*:spring/out", "Names")
kernel = lines("kernel/bin/python", "plugin.py")
chain = lines("langchain/bin/python", "agent.py")
show(f"Spring AI, first and second list: {spring}")
show(f"Semantic Kernel, of start,stop; start,close,connect,name; start,db.stop: {kernel}")
show(f"LangChain, servers A, B and then B, A: {chain}")
finish((spring == ["1 dbstop: db.stop of A", "1 db_stop: db-stop of A", "1 start: start of A", "1 alt_1_start: start of B",
                   "2 Multiple tools with the same name (start)"], "Spring AI"),
       (kernel == ["start,stop", "start", "FunctionInitializationError"], "Semantic Kernel"),
       (chain == ["listed ['start of A', 'start of B']", "bound ['start of B']", "called start of B",
                  "listed ['start of B', 'start of A']", "bound ['start of A']", "called start of A"], "LangChain"))
PY
