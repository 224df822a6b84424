import { readFileSync } from "node:fs";
import { createClient } from "redis";

const books = JSON.parse(readFileSync("seed.json", "utf8"));
const store = await createClient({ url: process.env.REDIS_URL }).connect();
await store.set(`${process.env.PREFIX}:books`, JSON.stringify(books));
await store.close();
console.log(`${books.length} books written`);
