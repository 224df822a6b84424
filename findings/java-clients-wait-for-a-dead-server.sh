#!/usr/bin/env bash
# Guess: when the process of a stdio server exits, the call in flight and all later ones fail at once, as with the SDKs for
#        Python and TypeScript; a line on stdout that is not JSON is skipped or ends the connection; a call that ran out of
#        time is cancelled at the server, and reported as an error.
# Seen:  Java has three answers. The SDK's older client does not notice an exit: that call and each later one wait for their
#        whole time (20 s by default). One line that is not JSON does the same while the server is well: from then on
#        nothing is sent any more, nothing is read, and no error says so. A call that ran out of time is not cancelled. The
#        newer client of the same SDK skips the line, cancels, and fails at once. LangChain4j skips the line and cancels,
#        but waits for a server that has exited (60 s by default), and what it then returns is the text "There was a timeout
#        executing the tool" as a result without an error.
# With:  io.modelcontextprotocol.sdk:mcp 2.2.0, dev.langchain4j:langchain4j-mcp 1.11.0-beta19 (Maven), Java 17; the server is
#        a few lines of Python.
# Why:   behind a client in Java a crashed server looks like a slow one, for minutes; a server of whose libraries one prints a
#        banner looks like one that hangs.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
maven_install sdk io.modelcontextprotocol.sdk:mcp:2.2.0 org.slf4j:slf4j-nop:2.0.17
maven_install langchain dev.langchain4j:langchain4j-mcp:1.11.0-beta19 org.slf4j:slf4j-nop:2.0.17
cat >server.py <<'PY'
import json
import os
import sys

for line in sys.stdin:
    message = json.loads(line)
    method, params = message["method"], message.get("params") or {}
    tool = params.get("name") if method == "tools/call" else None
    with open(sys.argv[1], "a") as heard:
        print(tool or method, file=heard)
    if "id" not in message or tool == "wait":
        continue
    if tool == "leave":
        os._exit(7)
    if tool == "noise":
        print("listening", flush=True)
    new = {"resultType": "complete"} if "io.modelcontextprotocol/protocolVersion" in params.get("_meta", {}) else {}
    said = {"jsonrpc": "2.0", "id": message["id"], "result": {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "toy", "version": "1"}},
        "server/discover": {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private", **new},
        "tools/call": {"content": [{"type": "text", "text": str(tool)}], **new},
    }.get(method, {})}
    print(json.dumps(said), flush=True)
PY
cat >sdk/Common.java <<'JAVA'
interface Common {
  interface Call { String make(String tool) throws Exception; }

  static void run(String[] tools, Call call) {
    for (var tool : tools) {
      long begun = System.nanoTime();
      String said;
      try {
        said = call.make(tool);
      } catch (Throwable error) {
        said = "failed";
      }
      System.out.printf("%s %s %s%n", tool, said, System.nanoTime() - begun > 2_500_000_000L ? "late" : "soon");
    }
    System.exit(0);
  }
}
JAVA
cp sdk/Common.java langchain/
cat >sdk/Older.java <<'JAVA'
import io.modelcontextprotocol.client.McpClient;
import io.modelcontextprotocol.client.transport.*;
import io.modelcontextprotocol.json.McpJsonDefaults;
import io.modelcontextprotocol.spec.McpSchema;
import java.time.Duration;
import java.util.*;

public class Older {
  public static void main(String[] given) {
    var server = ServerParameters.builder("python3").args("server.py", given[0]).build();
    var client = McpClient.sync(new StdioClientTransport(server, McpJsonDefaults.getMapper())).requestTimeout(Duration.ofSeconds(3)).build();
    client.initialize();
    Common.run(Arrays.copyOfRange(given, 1, given.length),
        tool -> client.callTool(McpSchema.CallToolRequest.builder(tool).arguments(Map.of()).build()).isError() == Boolean.TRUE ? "isError" : "ok");
  }
}
JAVA
cat >sdk/Newer.java <<'JAVA'
import io.modelcontextprotocol.client.transport.ServerParameters;
import io.modelcontextprotocol.modern.McpSchema;
import io.modelcontextprotocol.modern.client.McpClient;
import io.modelcontextprotocol.modern.client.transport.StdioMcpClientTransport;
import java.time.Duration;
import java.util.*;

public class Newer {
  public static void main(String[] given) {
    var server = ServerParameters.builder("python3").args("server.py", given[0]).build();
    var client = McpClient.sync(StdioMcpClientTransport.builder(server).start())
        .clientInfo(new McpSchema.Implementation("findings", null, "1", null, null, null)).callTimeout(Duration.ofSeconds(3)).build();
    client.discover();
    Common.run(Arrays.copyOfRange(given, 1, given.length),
        tool -> client.tool(tool).arguments(Map.of()).call().isError() == Boolean.TRUE ? "isError" : "ok");
  }
}
JAVA
cat >langchain/LangChain.java <<'JAVA'
import dev.langchain4j.agent.tool.ToolExecutionRequest;
import dev.langchain4j.mcp.client.DefaultMcpClient;
import dev.langchain4j.mcp.client.transport.stdio.StdioMcpTransport;
import java.time.Duration;
import java.util.*;

public class LangChain {
  public static void main(String[] given) {
    var server = StdioMcpTransport.builder().command(List.of("python3", "server.py", given[0])).build();
    var client = DefaultMcpClient.builder().transport(server).toolExecutionTimeout(Duration.ofSeconds(3)).build();
    Common.run(Arrays.copyOfRange(given, 1, given.length), tool -> {
      var result = client.executeTool(ToolExecutionRequest.builder().name(tool).arguments("{}").build());
      return result.isError() ? "isError" : result.resultText().equals(tool) ? "ok" : "ok,says-" + result.resultText().split(" ")[3];
    });
  }
}
JAVA
javac -cp 'sdk/lib/*' -d sdk/out sdk/*.java 2>javac.log && javac -cp 'langchain/lib/*' -d langchain/out langchain/*.java 2>>javac.log \
    || unable "javac: $(tail -1 javac.log)"
judge 200 <<'PY'
import subprocess

from wire import *


def run(folder, name, *tools):
    heard = f"{name}-{len(tools)}-heard"
    said = subprocess.run(["java", "-cp", f"{folder}/lib/*:{folder}/out", name, heard, *tools], capture_output=True, text=True, timeout=60)
    return said.stdout.split("\n")[:-1], [line for line in open(heard).read().split("\n")[:-1] if line in tools or line == "notifications/cancelled"]


older, heard_older = run("sdk", "Older", "wait", "leave", "greet")
silent, heard_silent = run("sdk", "Older", "noise", "greet")
newer, heard_newer = run("sdk", "Newer", "wait", "noise", "leave", "greet")
chain, heard_chain = run("langchain", "LangChain", "wait", "noise", "leave", "greet")
show(f"SDK, older client: {older}; the server heard {heard_older}")
show(f"SDK, older client, after a line that is not JSON: {silent}; the server heard {heard_silent}")
show(f"SDK, newer client: {newer}; the server heard {heard_newer}")
show(f"LangChain4j: {chain}; the server heard {heard_chain}")
finish((older == ["wait failed late", "leave failed late", "greet failed late"] and heard_older == ["wait", "leave"], "the older client"),
       (silent == ["noise failed late", "greet failed late"] and heard_silent == ["noise"], "a line that is not JSON"),
       (newer == ["wait failed late", "noise ok soon", "leave failed soon", "greet failed soon"], "the newer client"),
       (heard_newer == ["wait", "notifications/cancelled", "noise", "leave"] == heard_chain, "cancelled"),
       (chain == ["wait ok,says-timeout late", "noise ok soon", "leave ok,says-timeout late", "greet ok,says-timeout late"], "LangChain4j"))
PY
