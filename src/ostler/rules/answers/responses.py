"""What a tool answered, normalised once for outputs, expectations and people."""

from collections.abc import Sequence

from msgspec.structs import replace

from ostler.model.json import JsonObject, JsonValue, json_flaw, parse_json
from ostler.model.responses import ToolResponse


def normalise(
    content: Sequence[JsonObject], structured: JsonValue = None, *, is_error: bool = False, duration: float = 0.0
) -> ToolResponse:
    """Return the answer with its one value.

    The value is `structured` when there is any, exactly as it came (a server that wraps what its tool gave as
    `{"result": …}` is read with the path `result`). Else it is what the text blocks hold: one block its own value,
    several blocks a list of their values in order. A block's value is the object or array when its whole text is
    one in JSON; anything else stays text, also a bare `8080` or `true`, since prose must not change its type by
    chance (expectations compare such text with numbers and booleans loosely, and outputs can name a `type`).
    Without any text block the value is the list of the other blocks, and null when there is no block at all.

    Args:
        content: the content blocks as JSON objects, in the order of the answer.
        structured: the answer's structuredContent.
        is_error: the answer's `isError`.
        duration: seconds from sending the request to the answer.
    """
    blocks = tuple(content)
    texts = [text for block in blocks if block.get("type") == "text" and isinstance(text := block.get("text"), str)]
    value: JsonValue
    if structured is not None:
        value = structured
    elif len(texts) == 1:
        value = _json_or_text(texts[0])
    elif texts:
        value = [_json_or_text(text) for text in texts]
    else:
        value = [dict(block) for block in blocks] if blocks else None
    return ToolResponse(
        value=value,
        text="\n".join(texts),
        is_error=is_error,
        content=blocks,
        structured=structured,
        duration=duration,
    )


def without_reason(response: ToolResponse, tool: str) -> ToolResponse:
    """Return `response` with a text of ours if its tool failed without any text."""
    if not response.is_error or response.text.strip() or response.value not in (None, "", [], {}):
        return response
    if any(block.get("type") != "text" for block in response.content):
        return response
    server = tool.partition("/")[0]
    text = (
        f"{tool!r} failed and gave no reason; what is behind its server may be gone: `service_restart {server}` if it"
        " fails again"
    )
    return replace(response, text=text, is_silent=True)


def response_names(response: ToolResponse) -> JsonObject:
    """Return the answer as templates see it under `response`."""
    return {
        "value": response.value,
        "text": response.text,
        "isError": response.is_error,
        "content": list(response.content),
        "structured": response.structured,
    }


RESPONSE_KEYS = ("value", "text", "isError", "content", "structured")
"""What a template may name under `response`."""


def _json_or_text(text: str) -> JsonValue:
    stripped = text.strip()
    if not (stripped.startswith("{") and stripped.endswith("}")) and not (
        stripped.startswith("[") and stripped.endswith("]")
    ):
        return text
    try:
        value: JsonValue = parse_json(stripped)
    except ValueError:
        return text
    return text if json_flaw(value) else value
