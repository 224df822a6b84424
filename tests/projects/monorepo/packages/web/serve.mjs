import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const script = new URL("dist/main.js", import.meta.url);
createServer(async (request, response) => {
  if (request.url === "/main.js") return response.end(readFileSync(script));
  response.end(await (await fetch(process.env.API_URL)).text());
}).listen(Number(process.env.PORT), "127.0.0.1");
