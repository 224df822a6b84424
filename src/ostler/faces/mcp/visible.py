"""Answers for connections with few tools: no advice names a tool that the connection does not have."""

import re
from collections.abc import Set as AbstractSet
from typing import cast

import mcp_types as types
from msgspec.structs import replace

from ostler.adapters.serving.answers import Answer
from ostler.model.json import JsonObject, JsonValue

_NEXT = "Next: "
_ADVICE = ("nextActions", "nextCalls")


def seen_with(tools: AbstractSet[str], everything: AbstractSet[str], answer: Answer) -> Answer:
    """Return `answer` without the advice that names one of `everything` that is not among `tools`."""
    hidden = everything - tools
    if not hidden:
        return answer
    pattern = re.compile(rf"\b(?:{'|'.join(sorted(hidden))})\b")  # `re` keeps it
    content = [
        block.model_copy(update={"text": _kept_text(block.text, pattern)})
        if isinstance(block, types.TextContent) and _NEXT in block.text
        else block
        for block in answer.content
    ]
    structured = answer.structured
    if structured is not None:
        structured = cast("JsonObject", _without_advice(structured, pattern))
    return replace(answer, text=_kept_text(answer.text, pattern), content=content, structured=structured)


def _kept_text(text: str, pattern: re.Pattern[str]) -> str:
    return "\n".join(_kept(line, pattern) for line in text.split("\n")) if _NEXT in text else text


def _kept(line: str, pattern: re.Pattern[str]) -> str:
    """Return a line with those pieces of advice after `Next: ` that can be followed."""
    before, marker, advice = line.partition(_NEXT)
    if not marker:
        return line
    kept = [piece for piece in advice.split("; ") if not pattern.search(piece)]
    return f"{before}{marker}{'; '.join(kept)}" if kept else before.rstrip()


def _without_advice(value: JsonValue, pattern: re.Pattern[str]) -> JsonValue:
    if isinstance(value, list):
        return [_without_advice(item, pattern) for item in cast("list[JsonValue]", value)]
    if not isinstance(value, dict):
        return value
    return {
        key: [piece for piece in cast("list[JsonValue]", item) if not pattern.search(str(piece))]
        if key in _ADVICE and isinstance(item, list)
        else _without_advice(item, pattern)
        for key, item in cast("JsonObject", value).items()
    }
