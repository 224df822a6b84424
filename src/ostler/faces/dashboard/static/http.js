// The way to the server over HTTP: the page is an MCP client of the server that it came from.

const PROTOCOL = "2026-07-28";
const ENDPOINT = "mcp/full"; // all tools, whatever the server shows clients that do not choose
const MAX_ROUNDS = 5;
const FINAL = [403, 404, 421]; // statuses that another try does not change
const TOKEN_KEY = "ostler-token";

class HttpConnection {
  constructor() {
    this.id = 0;
    this.embedded = false;
  }

  get token() {
    return sessionStorage.getItem(TOKEN_KEY) ?? "";
  }

  set token(value) {
    sessionStorage.setItem(TOKEN_KEY, value);
  }

  // Exchange the one-time code of the link, which leaves the address at once.
  async open() {
    const code = new URLSearchParams(location.hash.slice(1)).get("code");
    if (!code) return;
    history.replaceState(null, "", location.pathname);
    const answer = await fetch("dashboard/session", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ code }),
    });
    if (answer.ok) this.token = (await answer.json()).token;
    else if (!this.token) throw new ConnectionError("This link was used before, or is too old.", "denied");
  }

  async post(method, params, name, signal) {
    const headers = {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": PROTOCOL,
      "mcp-method": method,
    };
    if (name) headers["mcp-name"] = name;
    if (this.token) headers.authorization = `Bearer ${this.token}`;
    const _meta = {
      "io.modelcontextprotocol/protocolVersion": PROTOCOL,
      "io.modelcontextprotocol/clientInfo": { name: "ostler-dashboard", version: "1" },
      "io.modelcontextprotocol/clientCapabilities": { elicitation: { form: {} } },
    };
    const body = JSON.stringify({ jsonrpc: "2.0", id: ++this.id, method, params: { ...params, _meta } });
    let answer;
    try {
      answer = await fetch(ENDPOINT, { method: "POST", headers, body, signal, credentials: "omit" });
    } catch {
      throw new ConnectionError("The server does not answer.");
    }
    if (answer.status === 401) throw new ConnectionError("A token is needed.", "denied");
    return answer;
  }

  async ask(method, params, name) {
    const answer = await this.post(method, params, name);
    let message = null;
    if ((answer.headers.get("content-type") ?? "").startsWith("text/event-stream")) {
      for await (const event of eventsOf(answer)) if ("result" in event || "error" in event) message = event;
    } else {
      message = await answer.json().catch(() => null);
    }
    if (message?.result) return message.result;
    const why = message?.error?.message ?? message?.error ?? `HTTP status ${answer.status}`;
    throw new ConnectionError(String(why), FINAL.includes(answer.status) ? "refused" : "lost");
  }

  // Call a tool; what the server wants a person to confirm first is shown, and the call repeated with the reply.
  async call(tool, args = {}) {
    let result = await this.ask("tools/call", { name: tool, arguments: args }, tool);
    for (let round = 0; result.resultType === "input_required" && round < MAX_ROUNDS; round += 1) {
      const inputResponses = {};
      for (const [key, request] of Object.entries(result.inputRequests ?? {})) {
        inputResponses[key] = await replied(request);
      }
      const repeated = { name: tool, arguments: args, inputResponses, requestState: result.requestState };
      result = await this.ask("tools/call", repeated, tool);
    }
    return answerOf(result);
  }

  async read(uri) {
    const result = await this.ask("resources/read", { uri }, uri);
    return JSON.parse(result.contents[0].text);
  }

  // Call `changed` whenever the server announces a change; return when the stream ends.
  async follow(changed, signal) {
    const wanted = { resourcesListChanged: true, resourceSubscriptions: ["ostler://services"] };
    const answer = await this.post("subscriptions/listen", { notifications: wanted }, "", signal);
    if (!answer.ok) throw new ConnectionError(`HTTP status ${answer.status}`);
    for await (const event of eventsOf(answer)) if (event.method) changed();
  }

  link = (url) => window.open(url, "_blank", "noopener,noreferrer");
}

async function* eventsOf(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  while (true) {
    const { done, value } = await reader.read().catch(() => ({ done: true }));
    if (done) return;
    const parts = (waiting + value).split(/\r?\n\r?\n/);
    waiting = parts.pop();
    for (const part of parts) {
      const data = part.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
      if (data.length && data[0]) yield JSON.parse(data.join("\n"));
    }
  }
}
