import express from "express";
import { createClient } from "redis";

const store = await createClient({ url: process.env.REDIS_URL }).connect();
const app = express();
app.get("/books", async (_, response) => {
  response.json({ books: JSON.parse(await store.get(`${process.env.PREFIX}:books`)), prefix: process.env.PREFIX });
});
app.listen(process.env.PORT, "127.0.0.1", () => console.log(`listening on ${process.env.PORT}`));
