import io.modelcontextprotocol.client.transport.ServerParameters;
import io.modelcontextprotocol.json.McpJsonDefaults;
import io.modelcontextprotocol.modern.McpSchema;
import io.modelcontextprotocol.modern.client.McpClient;
import io.modelcontextprotocol.modern.client.transport.HttpClientMcpTransport;
import io.modelcontextprotocol.modern.client.transport.McpClientTransport;
import io.modelcontextprotocol.modern.client.transport.StdioMcpClientTransport;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Runs the Java SDK's client: `JavaClient TARGET FOLDER` prints what happened as JSON, as python_client.py does. */
public class JavaClient {
  record Step(String name, String tool, Map<String, Object> args, String word) {}

  public static void main(String[] given) throws Exception {
    var json = McpJsonDefaults.getMapper();
    var steps = new ArrayList<String>();
    var said = new java.util.HashMap<String, Object>(Map.of("steps", steps, "fault", "", "note", "", "args", Map.of()));
    try {
      McpClientTransport transport;
      if (given[0].startsWith("[")) {
        var words = new ArrayList<String>(List.of(json.readValue(given[0], String[].class)));
        var server = ServerParameters.builder(words.remove(0)).args(words).build();
        transport = StdioMcpClientTransport.builder(server).start();
      } else {
        transport = HttpClientMcpTransport.builder(json.readValue(given[0], String.class)).build();
      }
      var info = new McpSchema.Implementation("java-driver", null, "1", null, null, null);
      var client = McpClient.sync(transport).clientInfo(info).callTimeout(Duration.ofSeconds(90)).build();
      said.put("note", "protocol " + client.discover().supportedVersions().get(0));
      for (var tool : client.tools().list().tools()) {
        if (tool.name().equals("service_create")) {
          var schema = json.readValue(json.writeValueAsString(tool.inputSchema()), Map.class);
          said.put("args", ((Map<?, ?>) schema.get("properties")).get("args"));
        }
      }
      steps.add("list");
      Map<String, Object> shop = Map.of("name", "shop");
      Map<String, Object> site = Map.of("directory", given[1]);
      for (var step : List.of(
          new Step("create", "service_create",
              Map.of("serviceClassName", "static-web-server", "name", "shop", "args", site), "shop"),
          new Step("status", "service_status", shop, "shop"),
          new Step("wait", "service_wait", Map.of("name", "shop", "state", List.of("running")), "shop"),
          new Step("stop", "service_stop", shop, "shop"),
          new Step("delete", "service_delete", shop, "shop"),
          new Step("failure", "service_create", Map.of("serviceClassName", "nothing"), "Next:"))) {
        var result = client.tool(step.tool()).arguments(step.args()).call();
        var text = json.writeValueAsString(result.content());
        var failed = Boolean.TRUE.equals(result.isError());
        if (failed != step.name().equals("failure") || !text.contains(step.word())) {
          throw new IllegalStateException(step.name() + ": " + text);
        }
        steps.add(step.name());
      }
    } catch (Exception error) {
      said.put("fault", String.valueOf(error));
    }
    System.out.println(json.writeValueAsString(said));
    System.exit(0);
  }
}
