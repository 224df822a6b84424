"""Answers of real MCP servers, as they came."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from ostler.model.responses import ToolResponse
from ostler.rules.answers.responses import normalise

DATA = Path(__file__).parents[1] / "rules" / "data"


@lru_cache(maxsize=1)
def _all() -> dict[str, Any]:
    return json.loads((DATA / "answers.json").read_text(encoding="utf-8"))


def answer(label: str) -> ToolResponse:
    """Return the recorded answer `server: label`, normalised."""
    result = _all()[label]
    return normalise(result["content"], result.get("structuredContent"), is_error=result.get("isError", False))


def text_answer(*texts: str, is_error: bool = False) -> ToolResponse:
    """Return an answer of text blocks."""
    return normalise([{"type": "text", "text": text} for text in texts], is_error=is_error)
