// `javascript_framework.mjs FRAMEWORK TARGET URL` lets the framework's agent run to the end; see python_framework.py.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [framework, targetText, url] = process.argv.slice(2);
const target = JSON.parse(targetText);
const isHttp = typeof target === "string";
const load = async name => {
  const path = createRequire(`${process.cwd()}/`).resolve(name, { conditions: new Set(["node", "import"]) });
  return import(pathToFileURL(path).href);
};

async function mastra() {
  const { MCPClient } = await load("@mastra/mcp");
  const { Agent } = await load("@mastra/core/agent");
  const entry = isHttp ? { url: new URL(target) } : { command: target[0], args: target.slice(1) };
  const client = new MCPClient({ servers: { ostler: entry } });
  const model = { id: "openai/gpt-4o", url, apiKey: "none" };
  const agent = new Agent({ id: "a", name: "a", instructions: "go", model, tools: await client.listTools() });
  await agent.generate("go", { maxSteps: 20 });
  await client.disconnect();
}

async function langgraph() {
  const { MultiServerMCPClient } = await load("@langchain/mcp-adapters");
  const { createReactAgent } = await load("@langchain/langgraph/prebuilt");
  const { ChatOpenAI } = await load("@langchain/openai");
  const entry = isHttp
    ? { transport: "http", url: target } : { transport: "stdio", command: target[0], args: target.slice(1) };
  const client = new MultiServerMCPClient({ mcpServers: { ostler: entry } });
  const llm = new ChatOpenAI({ model: "gpt-4o", apiKey: "none", configuration: { baseURL: url } });
  const agent = createReactAgent({ llm, tools: await client.getTools() });
  await agent.invoke({ messages: [{ role: "user", content: "go" }] }, { recursionLimit: 50 });
  await client.close();
}

async function genkit() {
  const { genkit: make } = await load("genkit");
  const { createMcpHost } = await load("@genkit-ai/mcp");
  const { openAICompatible } = await load("@genkit-ai/compat-oai");
  const ai = make({ plugins: [openAICompatible({ name: "here", apiKey: "none", baseURL: url })] });
  const entry = isHttp ? { url: target } : { command: target[0], args: target.slice(1) };
  const host = createMcpHost({ name: "host", mcpServers: { ostler: entry } });
  await ai.generate({ model: "here/gpt-4o", prompt: "go", tools: await host.getActiveTools(ai), maxTurns: 20 });
  await host.close();
}

async function strands() {
  const { Agent, McpClient } = await load("@strands-agents/sdk");
  const { OpenAIModel } = await load("@strands-agents/sdk/models/openai");
  const { StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");
  const { StdioClientTransport } = await load("@modelcontextprotocol/sdk/client/stdio.js");
  const transport = isHttp ? new StreamableHTTPClientTransport(new URL(target))
    : new StdioClientTransport({ command: target[0], args: target.slice(1) });
  const client = new McpClient({ transport });
  const model = new OpenAIModel({ api: "chat", apiKey: "none", modelId: "gpt-4o", clientConfig: { baseURL: url } });
  await new Agent({ model, tools: [client], printer: false }).invoke("go");
  await client.disconnect();
}

try {
  await { mastra, langgraph, genkit, strands }[framework]();
} catch (error) {
  console.error(String(error?.stack ?? error).slice(0, 600));
  process.exit(1);
}
process.exit(0);
