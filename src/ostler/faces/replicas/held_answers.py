"""Answers that are held back until it is certain that they are given here, and that show their age."""

import json
from collections.abc import Callable
from typing import Final

from starlette.types import Message, Send

from ostler.model.durations import format_duration
from ostler.model.json import JsonObject, as_object, parse_json

AGE: Final = "ostler/age"
"""The key of `_meta` with the seconds since an answer was certainly true."""


class HeldAnswer:
    """An answer that is held back until it is certain that it is given here.

    Args:
        send: the way to the client.
        is_void: whether it must not be sent, by its HTTP status.
        why: why it has an age, if it has one.
        age: seconds since it was certainly true; None: it is.
    """

    def __init__(self, send: Send, is_void: Callable[[int], bool], why: str, age: float | None) -> None:
        self._send = send
        self._is_void = is_void
        self._why = why
        self._age = age
        self._start: Message | None = None
        self._body = b""
        self._is_dropped = False
        self.has_begun = False

    async def __call__(self, message: Message) -> None:
        if self._is_dropped:
            return
        if message["type"] == "http.response.start":
            self._start = message
            return
        if not self.has_begun:
            assert self._start is not None, "a body before its start"
            if self._is_void(self._start["status"]):
                self._is_dropped = True
                return
            if self._age is not None:
                self._body += message.get("body", b"")
                if message.get("more_body"):
                    return
                message = {"type": "http.response.body", "body": _aged(self._body, self._age, self._why)}
            self.has_begun = True
            await self._send(_with_length(self._start, len(message["body"])) if self._age is not None else self._start)
        await self._send(message)


def _with_length(start: Message, length: int) -> Message:
    kept = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
    return {**start, "headers": [*kept, (b"content-length", str(length).encode())]}


def _aged(body: bytes, age: float, why: str) -> bytes:
    """Return an answer with its age."""
    try:
        answer: JsonObject = parse_json(body)
    except ValueError:
        return body
    if not isinstance(answer.get("result"), dict):
        return body
    result: JsonObject = answer["result"]
    result["_meta"] = {**as_object(result.get("_meta")), AGE: round(age, 1)}
    if isinstance(result.get("content"), list):
        said = f"as it was {format_duration(max(1, round(age)))} ago: {why}"
        result["content"].append({"type": "text", "text": f"({said})"})
        if isinstance(result.get("structuredContent"), dict):
            result["structuredContent"]["asOf"] = said
    return json.dumps(answer, separators=(",", ":")).encode()
