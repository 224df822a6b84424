"""The answers that the tests of classes script, as answers that were recorded: what a tool without a schema gives."""

import json
from collections.abc import Iterator, Mapping
from typing import cast

from ostler.model.json import JsonMapping, JsonObject, JsonValue
from ostler.model.responses import ToolResponse
from ostler.rules.answers.responses import normalise
from ostler.rules.text.yaml_source import read_documents

_FAILURES = ("error", "fails", "isError")


def scripted_answers(text: str, file: str) -> dict[str, list[ToolResponse]]:
    """Return the answers in a file of class tests, by `server/tool`; failures are left out.

    What is wrong with the file is reported where the tests are run, not here.
    """
    found: dict[str, list[ToolResponse]] = {}
    for document in read_documents(text, file)[0]:
        for call in _calls(document.value):
            tool = call["tool"]
            answer = None if any(call.get(key) for key in _FAILURES) else _answer(call)
            if answer is not None and isinstance(tool, str):
                found.setdefault(tool, []).append(answer)
    return found


def _calls(value: JsonValue) -> Iterator[JsonMapping]:
    if isinstance(value, Mapping):
        mapping = cast("JsonMapping", value)
        if isinstance(mapping.get("tool"), str):
            yield mapping
            return
        for item in mapping.values():
            yield from _calls(item)
    elif isinstance(value, list):
        for item in cast("list[JsonValue]", value):
            yield from _calls(item)


def _answer(call: JsonMapping) -> ToolResponse | None:
    content, structured, value = call.get("content"), call.get("structured"), call.get("answer")
    if isinstance(content, list):
        return normalise(cast("list[JsonObject]", content), structured)
    if isinstance(value, dict):
        return normalise([], cast("JsonObject", value))
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return normalise([{"type": "text", "text": text}])
