import { PrismaPg } from "@prisma/adapter-pg";
import { PrismaClient } from "../generated/prisma/client";

const url = new URL(process.env.SERVER_URL!);
url.pathname = `/${process.env.DATABASE}`;
const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url.href }) });
export const dynamic = "force-dynamic";

export async function GET() {
  await prisma.note.create({ data: { text: "hello" } });
  return Response.json({ notes: (await prisma.note.count()) > 0, database: process.env.DATABASE });
}
