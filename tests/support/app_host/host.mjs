// A host of MCP Apps as chat clients have one: the official client, bridge and frame, without the chat.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { AppBridge, PostMessageTransport, getToolUiResourceUri } from "@modelcontextprotocol/ext-apps/app-bridge";

// What hosts let a page load that names no domains.
const POLICY =
  "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'none'";

// Call a tool and show the page that it names, as a host does. What the page asks of the host is kept in `asked`.
globalThis.show = async ({ url, token, tool, args, theme }) => {
  const settings = { extensions: { "io.modelcontextprotocol/ui": { mimeTypes: ["text/html;profile=mcp-app"] } } };
  const client = new Client({ name: "host", version: "1" }, { capabilities: settings });
  const headers = { authorization: `Bearer ${token}` };
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
  const known = (await client.listTools()).tools.find((each) => each.name === tool);
  const result = await client.callTool({ name: tool, arguments: args });
  const [content] = (await client.readResource({ uri: getToolUiResourceUri(known) })).contents;

  const frame = document.createElement("iframe");
  frame.sandbox = "allow-scripts";
  frame.style = "width: 100%; border: 0";
  const able = { serverTools: {}, serverResources: {}, openLinks: {} };
  const hostContext = {
    toolInfo: { tool: known },
    theme,
    displayMode: "inline",
    availableDisplayModes: ["inline", "fullscreen"],
    containerDimensions: { maxHeight: 480, maxWidth: 900 },
  };
  const bridge = new AppBridge(client, { name: "host", version: "1" }, able, { hostContext });
  globalThis.asked = [];
  bridge.onopenlink = async ({ url }) => (asked.push(["link", url]), {});
  bridge.onrequestdisplaymode = async ({ mode }) => (asked.push(["mode", mode]), { mode });
  bridge.onsizechange = ({ height }) => (frame.style.height = `${height}px`);
  bridge.oninitialized = async () => {
    await bridge.sendToolInput({ arguments: args });
    await bridge.sendToolResult(result);
  };
  document.body.append(frame);
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  const policy = `<meta http-equiv="content-security-policy" content="${POLICY}">`;
  frame.srcdoc = content.text.replace("<head>", `<head>${policy}`);
  globalThis.bridge = bridge;
  return content.mimeType;
};
