// `schemas.mjs TARGET FOLDER` prints as JSON: what Ajv, strict, finds in each schema, and what the usual way costs.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [targetText, folder] = process.argv.slice(2);
const require = createRequire(`${process.cwd()}/`);
const load = async name => import(pathToFileURL(require.resolve(name)).href);
const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");
const { Ajv2020 } = await load("ajv/dist/2020.js");

const client = new Client({ name: "trial", version: "1" });
const base = JSON.parse(targetText);
await client.connect(new StreamableHTTPClientTransport(new URL(base)));
const { tools } = await client.listTools();
const faults = [];
const tokens = text => Math.ceil(Buffer.byteLength(text) / 4);
const small = new Client({ name: "trial", version: "1" });
await small.connect(new StreamableHTTPClientTransport(new URL(`${base}/core`)));
const seen = list => list.map(({ name, description, inputSchema }) => ({ name, description, inputSchema }));
const costs = [];
for (const [what, list] of [["", tools], [" of the toolset `core`", (await small.listTools()).tools]]) {
  costs.push([`names, descriptions and input schemas of \`tools/list\`${what}`, tokens(JSON.stringify(seen(list))), ""]);
  costs.push([`\`tools/list\`${what}, whole`, tokens(JSON.stringify({ tools: list })), ""]);
}
for (const [name, args] of [
  ["serviceclass_list", {}],
  ["service_create", { serviceClassName: "static-web-server", name: "tokens", args: { directory: folder } }],
  ["service_status", { name: "tokens" }],
  ["service_stop", { name: "tokens" }],
]) {
  const result = await client.callTool({ name, arguments: args });
  if (result.isError) faults.push(`${name}: ${JSON.stringify(result.content)}`);
  costs.push([`\`${name}\``, tokens(result.content.map(block => block.text ?? "").join("")),
    tokens(JSON.stringify(result.structuredContent))]);
}
await client.callTool({ name: "service_delete", arguments: { name: "tokens" } });
// Last, since it holds the event loop up for longer than the server keeps an idle connection.
for (const tool of tools) {
  for (const [kind, schema] of [["input", tool.inputSchema], ["output", tool.outputSchema]]) {
    if (!schema) continue;
    try {
      new Ajv2020({ strict: true }).compile(schema);
      for (const [name, property] of Object.entries(schema.properties ?? {})) {
        if ("default" in property && !new Ajv2020({ strict: true }).compile(property)(property.default)) {
          faults.push(`${tool.name}.${kind}.${name}: its default does not fit it`);
        }
      }
    } catch (error) {
      faults.push(`${tool.name}.${kind}: ${error.message}`);
    }
  }
}
console.log(JSON.stringify({ schemas: tools.length, faults, costs }));
process.exit(0);
