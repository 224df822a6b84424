#!/usr/bin/env bash
# Guess: a server ends a call that its client cancelled, or at least does not answer it; a tool that throws gives an isError
#        result, which a model reads; the error of an unknown tool names that tool.
# Seen:  the Java SDK's server does not know `notifications/cancelled`: the call is carried out to its end, without an
#        interrupt, and answered as a success. A tool that throws is the protocol error -32603, with the exception's text;
#        arguments that do not fit the schema are an isError result. The message for any unknown tool is "Unknown tool:
#        invalid_tool_name"; the name is in `data`.
# With:  io.modelcontextprotocol.sdk:mcp 2.2.0 (Maven), its McpServer of 2025-11-25 over stdio, Java 17.
# Why:   a start that ran out of time comes up later all the same; clients that repeat what failed with a protocol error
#        (CrewAI does) run a tool that throws three times.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
maven_install sdk io.modelcontextprotocol.sdk:mcp:2.2.0 org.slf4j:slf4j-nop:2.0.17
cat >sdk/Server.java <<'JAVA'
import io.modelcontextprotocol.json.McpJsonDefaults;
import io.modelcontextprotocol.server.McpServer;
import io.modelcontextprotocol.server.transport.StdioServerTransportProvider;
import io.modelcontextprotocol.spec.McpSchema.*;
import java.nio.file.*;
import java.util.*;

public class Server {
  public static void main(String[] given) {
    Map<String, Object> schema = Map.of("type", "object", "properties", Map.of("file", Map.of("type", "string")), "required", List.of("file"));
    var server = McpServer.sync(new StdioServerTransportProvider(McpJsonDefaults.getMapper()));
    server.serverInfo("toy", "1").capabilities(ServerCapabilities.builder().tools(false).build());
    server.toolCall(Tool.builder("make", schema).build(), (exchange, call) -> {
      try {
        Thread.sleep(3000);
        Files.createFile(Path.of((String) call.arguments().get("file")));
      } catch (Exception interrupted) {
        throw new IllegalStateException("interrupted");
      }
      return CallToolResult.builder(List.of(TextContent.builder("made").build())).build();
    });
    server.toolCall(Tool.builder("fail", Map.of("type", "object")).build(), (exchange, call) -> {
      throw new IllegalStateException("the disk is full");
    });
    server.build();
  }
}
JAVA
javac -cp 'sdk/lib/*' -d sdk/out sdk/Server.java 2>javac.log || unable "javac: $(tail -1 javac.log)"
judge 90 <<'PY'
from wire import *

server = Stdio("java", "-cp", "sdk/lib/*:sdk/out", "Server")
server.hello()
asked = server.ask("tools/call", {"name": "make", "arguments": {"file": "made"}})
time.sleep(0.5)
server.notify("notifications/cancelled", {"requestId": asked})
answer = server.answer(asked, 20)["result"]
made = os.path.exists("made")
fail = server.call("fail").get("error")
wrong = server.call("make", {"file": 7}).get("result")
unknown = server.call("mkae").get("error")
status = server.end_input(10)
server.kill()
show(f"cancelled after 0.5 s of 3: answered {text_of(answer)!r}, isError {answer.get('isError')}; carried out: {made}")
show(f"a tool that throws: {fail}; an argument that does not fit: isError {wrong and wrong.get('isError')}; unknown: {unknown}")
finish((text_of(answer) == "made" and not answer.get("isError") and made, "a cancelled call"),
       (fail == {"code": -32603, "message": "the disk is full"}, "a tool that throws"), (bool(wrong and wrong.get("isError")), "arguments"),
       (unknown["code"] == -32602 and unknown["message"] == "Unknown tool: invalid_tool_name" and "mkae" in unknown["data"], "an unknown tool"))
PY
