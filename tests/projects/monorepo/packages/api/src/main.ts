import { createServer } from "node:http";
// @ts-ignore built by the service "shared"
import { greeting } from "../../shared/dist/greeting.js";

createServer((_, response) => response.end(JSON.stringify({ greeting: greeting("api") }))).listen(
  Number(process.env.PORT), "127.0.0.1",
);
