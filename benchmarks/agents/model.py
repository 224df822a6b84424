"""A model endpoint that plays a script: its n-th answer is the n-th call, and the last one says DONE.

It speaks the four APIs that coding agents speak to their models, as far as one conversation needs them, and keeps what
the agent sent: the tools it offered, and the results that it showed.
"""

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple

Body = dict[str, Any]


class Call(NamedTuple):
    """One tool call of the script: the tool's own name, and its arguments."""

    tool: str
    args: Mapping[str, object]


class Step(NamedTuple):
    """One call of the script, and words of its answer that the agent must show its model."""

    call: Call
    words: tuple[str, ...]


@dataclass
class Model:
    """What is played, and what was seen.

    Attributes:
        script: what the model does.
        bodies: the requests of the conversation with tools, in order.
    """

    script: Sequence[Step]
    bodies: list[Body] = field(default_factory=list[Body])

    def faults(self) -> Iterator[str]:
        """Yield in words which calls were not made, and what of their answers was not shown."""
        results = self.results()
        if len(results) < len(self.script):
            yield f"it made {len(results)} of {len(self.script)} calls"
        for step, result in zip(self.script, results, strict=False):
            yield from (f"{step.call.tool}: {word!r} is not shown" for word in step.words if word not in result)

    def results(self) -> list[str]:
        """Return what the agent showed of the result of each call, as JSON."""
        return _results(self.bodies[-1]) if self.bodies else []

    def offered(self) -> dict[str, Any]:
        """Return the tools that the agent offered, by name, each with the schema of its arguments."""
        return _offered(self.bodies[-1]) if self.bodies else {}

    def instructions_shown(self, words: str) -> bool:
        """Return whether `words` of the server's instructions are anywhere in the conversation."""
        return any(words in json.dumps(body) for body in self.bodies)


@contextmanager
def endpoint(model: Model) -> Generator[str]:
    """Serve `model` on this machine; yield the URL."""

    class Handler(_Handler):
        played = model

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    played: Model

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Be quiet."""

    def do_GET(self) -> None:
        self._reply(404, b"{}", "application/json")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        body: Body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        path = self.path.partition("?")[0]
        form = next((form for ending, form in _FORMS.items() if path.endswith(ending)), None)
        if form is None and ":" in path:
            form = _gemini
        if form is None:
            self._reply(200, b'{"input_tokens": 1}', "application/json")
            return
        call = None
        if _offered(body):
            self.played.bodies.append(body)
            left = self.played.script[len(_results(body)) :]
            call = left[0].call if left else None
        events = form(body, call)
        if isinstance(events, dict):
            self._reply(200, json.dumps(events).encode(), "application/json")
        elif form is _gemini and "stream" not in path:
            self._reply(200, json.dumps(events[0]).encode(), "application/json")
        else:
            self._reply(200, "".join(map(_event, events)).encode(), "text/event-stream")

    def _reply(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _event(event: Body | str) -> str:
    if isinstance(event, str):
        return f"data: {event}\n\n"
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event)}\n\n"


def _offered(body: Body) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for tool in body.get("tools") or []:
        for inner in tool.get("functionDeclarations") or tool.get("tools") or [tool.get("function", tool)]:
            schema = inner.get("parametersJsonSchema") or inner.get("parameters") or inner.get("input_schema")
            found[str(inner.get("name", ""))] = schema
    return found


def _results(body: Body) -> list[str]:
    found: list[str] = []
    for message in body.get("messages") or body.get("input") or body.get("contents") or []:
        if message.get("role") == "tool" or message.get("type") == "function_call_output" or _is_observation(message):
            found.append(json.dumps(message))
        parts = message.get("content") or message.get("parts") or []
        if isinstance(parts, list):
            results = [part for part in parts if part.get("type") == "tool_result" or "functionResponse" in part]
            found += map(json.dumps, results)
    return found


def _is_observation(message: Body) -> bool:
    """Whether a framework writes the result of a call as what its user says (smolagents does)."""
    return message.get("role") == "user" and "Observation:\\n" in json.dumps(message.get("content"))


def _arguments(body: Body, call: Call) -> str:
    """Return the call's arguments as JSON, with blanks for what the schema shown requires besides."""
    schema = _offered(body).get(_named(body, call)) or {}
    required = [name for name in schema.get("required", []) if name not in call.args]
    return json.dumps({**{name: _blank(schema["properties"][name]) for name in required}, **call.args})


def _blank(schema: Body) -> Any:
    if "default" in schema:
        return schema["default"]
    if any(option.get("type") == "null" for option in schema.get("anyOf", [])):
        return None
    blanks: Body = {"string": "", "boolean": False, "integer": 0, "number": 0, "array": [], "object": {}}
    return blanks[schema["type"]]


def _named(body: Body, call: Call) -> str:
    """Return the name by which the agent knows the tool; one that shows tools only after a search takes this form."""
    endings = ("_" + call.tool, "-" + call.tool)
    names = (name for name in _offered(body) if name == call.tool or name.endswith(endings))
    return next(names, f"mcp__ostler__{call.tool}")


def _anthropic(body: Body, call: Call | None) -> Body | list[Body | str]:
    usage = {"input_tokens": 1, "output_tokens": 1}
    if call is None:
        start: Body = {"type": "text", "text": ""}
        delta, why = {"type": "text_delta", "text": "DONE"}, "end_turn"
    else:
        key = f"toolu_{len(_results(body))}"
        start = {"type": "tool_use", "id": key, "name": _named(body, call), "input": {}}
        delta, why = {"type": "input_json_delta", "partial_json": json.dumps(call.args)}, "tool_use"
    whole = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "stop_sequence": None,
        "usage": usage,
    }
    if not body.get("stream"):
        return {**whole, "content": [{"type": "text", "text": "DONE"}], "stop_reason": "end_turn"}
    return [
        {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": start},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": why, "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]


def _chat(body: Body, call: Call | None) -> Body | list[Body | str]:
    message: Body = {"role": "assistant", "content": "DONE"}
    why = "stop"
    if call is not None:
        function = {"name": _named(body, call), "arguments": _arguments(body, call)}
        calls = [{"index": 0, "id": f"call_{len(_results(body))}", "type": "function", "function": function}]
        message, why = {"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls"
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    whole = {"id": f"c{len(_results(body))}", "created": 1, "model": body["model"], "usage": usage}
    if not body.get("stream"):
        return {
            **whole,
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": why}],
        }
    chunk = {**whole, "object": "chat.completion.chunk"}
    return [
        {**chunk, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
        {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": why}]},
        "[DONE]",
    ]


def _responses(body: Body, call: Call | None) -> Body | list[Body | str]:
    if call is None:
        text = {"type": "output_text", "text": "DONE", "annotations": []}
        item: Body = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [text]}
    else:
        space = next((t["name"] for t in body["tools"] for i in t.get("tools", []) if i["name"] == call.tool), None)
        key = len(_results(body))
        item = {"type": "function_call", "id": f"f{key}", "call_id": f"call_{key}", "status": "completed"}
        item |= {"name": call.tool, "arguments": json.dumps(call.args), **({"namespace": space} if space else {})}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, **details}
    whole = {"id": "r", "object": "response", "created_at": 1, "model": body["model"], "output": [item], "usage": usage}
    return [
        {"type": "response.created", "response": {**whole, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {**whole, "status": "completed"}},
    ]


def _gemini(body: Body, call: Call | None) -> Body | list[Body | str]:
    part = {"text": "DONE"} if call is None else {"functionCall": {"name": _named(body, call), "args": dict(call.args)}}
    answer = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    return [{"candidates": [answer], "usageMetadata": usage}]


_FORMS: dict[str, Callable[[Body, Call | None], Body | list[Body | str]]] = {
    "/messages": _anthropic,
    "/chat/completions": _chat,
    "/responses": _responses,
}
