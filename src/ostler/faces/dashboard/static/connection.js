// What both ways to the server share: an answer of a tool, and an error that says what to do.

class ConnectionError extends Error {
  constructor(message, kind = "lost") {
    super(message);
    this.kind = kind; // lost: try again; denied: a token is needed; refused: the server answered with an error
  }
}

function answerOf(result) {
  const text = (result.content ?? []).filter((block) => block.type === "text").map((block) => block.text).join("\n");
  return { failed: Boolean(result.isError), text, data: result.structuredContent ?? {} };
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
