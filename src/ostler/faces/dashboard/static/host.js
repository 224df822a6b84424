// The way to the server through the MCP client that shows this page in a frame (MCP Apps, version 2026-01-26).

const APPS_VERSION = "2026-01-26";
const INLINE_HEIGHT = 560;

class HostConnection {
  constructor() {
    this.id = 0;
    this.embedded = true;
    this.waiting = new Map();
    this.told = () => {};
    this.modes = [];
    addEventListener("message", (event) => {
      if (event.source === parent && event.data?.jsonrpc === "2.0") this.take(event.data);
    });
  }

  send(message) {
    // The host's origin is not known here; what is sent holds no secret of this page's own.
    parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
  }

  ask(method, params) {
    const id = ++this.id;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.send({ id, method, params });
    });
  }

  take(message) {
    const { id, method, params } = message;
    if (!method) {
      const asked = this.waiting.get(id);
      this.waiting.delete(id);
      if (message.error) asked?.reject(new ConnectionError(message.error.message ?? "the client refused"));
      else asked?.resolve(message.result);
    } else if (method === "ui/notifications/host-context-changed") {
      this.adapt(params);
    } else if (method === "ui/notifications/tool-input") {
      this.told({ ...this.tool, arguments: params.arguments ?? {} });
    } else if (method === "ui/notifications/tool-result") {
      this.told({ ...this.tool, data: params.structuredContent ?? {} });
    } else if (method === "ui/resource-teardown" || method === "ping") {
      this.send({ id, result: {} });
    } else if (id !== undefined) {
      this.send({ id, error: { code: -32601, message: `method ${method} not found` } });
    }
  }

  async open() {
    const answer = await this.ask("ui/initialize", {
      protocolVersion: APPS_VERSION,
      appInfo: { name: "ostler-dashboard", version: "1" },
      appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
    });
    const able = answer.hostCapabilities ?? {};
    this.adapt(answer.hostContext ?? {});
    this.send({ method: "ui/notifications/initialized", params: {} });
    if (!able.serverTools) throw new ConnectionError("This client does not let pages call tools.", "refused");
    if (!able.serverResources) throw new ConnectionError("This client does not let pages read resources.", "refused");
  }

  adapt(context) {
    if (context.toolInfo) this.tool = { tool: context.toolInfo.tool?.name };
    if (context.availableDisplayModes) this.modes = context.availableDisplayModes;
    if (context.theme) setTheme(context.theme);
    const size = context.containerDimensions;
    if (size) {
      const fixed = size.height !== undefined;
      document.documentElement.style.setProperty("--page-height", fixed ? "100vh" : `${this.height(size)}px`);
      if (!fixed) this.send({ method: "ui/notifications/size-changed", params: { height: this.height(size) } });
    }
    if (context.displayMode) {
      document.documentElement.dataset.mode = context.displayMode;
      this.mode = context.displayMode;
    }
  }

  height = (size) => Math.min(INLINE_HEIGHT, size.maxHeight ?? INLINE_HEIGHT);

  call = async (tool, args = {}) => answerOf(await this.ask("tools/call", { name: tool, arguments: args }));

  async read(uri) {
    const result = await this.ask("resources/read", { uri });
    return JSON.parse(result.contents[0].text);
  }

  // Hosts pass no subscriptions on: wait for the next event, again and again.
  async follow(changed) {
    while (true) {
      const answer = await this.call("service_wait", { cursor: store.cursor, timeout: "40s" });
      if (answer.failed) throw new ConnectionError(answer.text);
      if (answer.data.met) await changed();
    }
  }

  async expand() {
    const answer = await this.ask("ui/request-display-mode", { mode: "fullscreen" });
    this.adapt({ displayMode: answer.mode });
  }

  link = (url) => void this.ask("ui/open-link", { url }).catch(() => {});
}
