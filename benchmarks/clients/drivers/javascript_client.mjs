// `javascript_client.mjs LIBRARY TARGET FOLDER` prints what happened as JSON; TARGET as for python_client.py.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [library, targetText, folder] = process.argv.slice(2);
const target = JSON.parse(targetText);
const require = createRequire(`${process.cwd()}/`);
const load = async name => import(pathToFileURL(require.resolve(name)).href);
const text = result => result.content.map(block => block.text ?? "").join("");

async function sdk1() {
  const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
  const { StdioClientTransport } = await load("@modelcontextprotocol/sdk/client/stdio.js");
  const { StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");
  return sdk(Client, StdioClientTransport, StreamableHTTPClientTransport);
}

async function sdk2() {
  const { Client, StreamableHTTPClientTransport, ...rest } = await load("@modelcontextprotocol/client");
  const { StdioClientTransport } = rest.StdioClientTransport ? rest : await load("@modelcontextprotocol/client/stdio");
  return sdk(Client, StdioClientTransport, StreamableHTTPClientTransport, { versionNegotiation: { mode: "auto" } });
}

async function sdk(Client, Stdio, Http, options = {}) {
  const client = new Client({ name: "trial", version: "1" }, options);
  const transport = typeof target === "string"
    ? new Http(new URL(target)) : new Stdio({ command: target[0], args: target.slice(1) });
  await client.connect(transport);
  const { tools } = await client.listTools();
  return {
    schemas: Object.fromEntries(tools.map(tool => [tool.name, tool.inputSchema])),
    note: client.getNegotiatedProtocolVersion ? `protocol ${client.getNegotiatedProtocolVersion()}` : "",
    call: async (name, args) => {
      const result = await client.callTool({ name, arguments: args });
      return [Boolean(result.isError), text(result)];
    },
    close: () => client.close(),
  };
}

async function ai() {
  const { generateText } = await load("ai");
  const { createMCPClient, experimental_createMCPClient } = await load("@ai-sdk/mcp");
  const stdio = async () => {
    const { Experimental_StdioMCPTransport, StdioMCPTransport } = await load("@ai-sdk/mcp/mcp-stdio");
    return new (StdioMCPTransport ?? Experimental_StdioMCPTransport)({ command: target[0], args: target.slice(1) });
  };
  const transport = typeof target === "string" ? { type: "http", url: target } : await stdio();
  const client = await (createMCPClient ?? experimental_createMCPClient)({ transport });
  const tools = await client.tools();
  const bodies = {};
  for (const [name, factory, model] of [
    ["openai", "createOpenAI", "gpt-4o"], ["google", "createGoogleGenerativeAI", "gemini-2.5-flash"],
    ["anthropic", "createAnthropic", "claude-sonnet-4-5"],
  ]) {
    const make = (await load(`@ai-sdk/${name}`))[factory];
    const fetch = async (_, init) => { bodies[name] = JSON.parse(init.body); throw new Error("captured"); };
    const provider = make({ apiKey: "none", fetch });
    await generateText({ model: provider(model), tools, prompt: "hello", maxRetries: 0 }).catch(() => {});
  }
  const googles = bodies.google.tools[0].functionDeclarations.find(tool => tool.name === "service_create");
  const declared = {
    openai: bodies.openai.tools.find(tool => (tool.name ?? tool.function?.name) === "service_create").parameters,
    google: googles.parametersJsonSchema ?? googles.parameters,
    anthropic: bodies.anthropic.tools.find(tool => tool.name === "service_create").input_schema,
  };
  const lost = Object.entries(declared).filter(([, schema]) => {
    const args = schema.properties.args;
    return args?.type !== "object" || args.additionalProperties === false;
  }).map(([name]) => name);
  if (lost.length) throw new Error(`args cannot be passed through: ${lost.join(", ")}`);
  return {
    schemas: { service_create: declared.openai },
    handed: [bodies.openai.tools, bodies.google.tools, bodies.anthropic.tools],
    note: "the request bodies to OpenAI, Google and Anthropic were captured",
    call: async (name, args) => {
      const result = await tools[name].execute(args, { toolCallId: "1", messages: [] });
      return [Boolean(result.isError), text(result)];
    },
    close: () => client.close(),
  };
}

const steps = [];
let fault = "", note = "", args = null, handed = null;
try {
  const tools = await { sdk1, sdk2, ai }[library]();
  steps.push("list");
  const name = "shop";
  for (const [step, tool, given] of [
    ["create", "service_create", { serviceClassName: "static-web-server", name, args: { directory: folder } }],
    ["status", "service_status", { name }],
    ["wait", "service_wait", { name, state: ["running"] }],
    ["stop", "service_stop", { name }],
    ["delete", "service_delete", { name }],
  ]) {
    const [failed, said] = await tools.call(tool, given);
    if (failed || !said.includes(name)) throw new Error(`${step}: ${said.slice(0, 300)}`);
    steps.push(step);
  }
  const [failed, said] = await tools.call("service_create", { serviceClassName: "nothing" });
  if (!failed || !said.includes("Next:")) throw new Error(`the failure is not seen: ${said.slice(0, 300)}`);
  steps.push("failure");
  note = tools.note;
  handed = tools.handed;
  args = tools.schemas.service_create.properties.args;
  await tools.close();
} catch (error) {
  fault = String(error?.stack ?? error).slice(0, 600);
}
console.log(JSON.stringify({ steps, fault, note, args, handed }));
process.exit(0);
