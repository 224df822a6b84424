// Makes this worktree's database, and applies each migration once.
import { readdirSync, readFileSync } from "node:fs";
import pg from "pg";

const name = process.env.DATABASE;
const server = new pg.Client(process.env.SERVER_URL);
await server.connect();
const { rowCount } = await server.query("SELECT FROM pg_database WHERE datname = $1", [name]);
if (rowCount === 0) await server.query(`CREATE DATABASE "${name}"`);
await server.end();
const url = new URL(process.env.SERVER_URL);
url.pathname = `/${name}`;
const database = new pg.Client(url.href);
await database.connect();
await database.query("CREATE TABLE IF NOT EXISTS applied (name TEXT PRIMARY KEY)");
const folder = new URL("migrations/", import.meta.url);
for (const migration of readdirSync(folder).sort()) {
  const { rowCount: done } = await database.query("SELECT FROM applied WHERE name = $1", [migration]);
  if (done) continue;
  await database.query("BEGIN");
  await database.query(readFileSync(new URL(`${migration}/migration.sql`, folder), "utf8"));
  await database.query("INSERT INTO applied VALUES ($1)", [migration]);
  await database.query("COMMIT");
  console.log(`applied ${migration}`);
}
await database.end();
