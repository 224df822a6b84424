"""Answers that tools gave, recorded next to the saved tools lists, for checks and drafts of classes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from ostler.adapters.atomic_files import replace, write_new
from ostler.adapters.config.paths import Paths, shipped_classes_dir
from ostler.adapters.config.tool_files import FOLDER, SAMPLES
from ostler.adapters.regular_files import read_regular_text
from ostler.model.errors import DefinitionError
from ostler.model.json import JsonMapping, JsonObject, JsonValue, as_objects, parse_json
from ostler.rules.answers.responses import normalise
from ostler.rules.drafts.tool_traits import Answered
from ostler.rules.secrets.masking import mask, secrets_by_key

_MAX_BYTES = 8 * 1024 * 1024

MAX_ANSWERS = 8
"""Answers kept of one tool; the oldest goes first."""

MAX_ANSWER = 65_536
"""Characters of one recorded answer."""


def record_answer(paths: Paths, tool: str, args: JsonMapping, result: JsonMapping) -> Path:
    """Keep what `server/tool` answered, with what looks like a secret masked; return the file.

    An answer to the same arguments takes the place of an earlier one.

    Args:
        paths: the folders.
        tool: `server/tool`.
        args: its arguments.
        result: its answer as MCP has it: `content`, `structuredContent`, `isError`.

    Raises:
        DefinitionError: the answer is too large, or the file holds something else.
        StoreError: the file cannot be written.
    """
    server, _, name = tool.partition("/")
    file = paths.config_dir / FOLDER / SAMPLES / f"{server}.json"
    call: JsonObject = {"tool": name, "args": dict(args), "result": dict(result)}
    made = cast("JsonObject", mask(call, secrets_by_key(call) | secrets_by_key(_values_of(result))))
    if len(json.dumps(made)) > MAX_ANSWER:
        raise DefinitionError(
            f"the answer of {tool!r} has more than {MAX_ANSWER} characters, and was not recorded",
            next_actions=("call it with args that make it shorter",),
        )
    calls = [each for each in _calls_in(file) if (each.get("tool"), each.get("args")) != (name, made["args"])]
    older = [each for each in calls if each.get("tool") == name]
    for each in older[: max(0, len(older) - MAX_ANSWERS + 1)]:
        calls.remove(each)
    file.parent.mkdir(parents=True, exist_ok=True)
    write = replace if file.exists() else write_new
    write(file, json.dumps([*calls, made], indent=1, ensure_ascii=False) + "\n")
    return file


def recorded_answers(paths: Paths, server: str) -> dict[str, tuple[Answered, ...]]:
    """Return the recorded answers of a server's tools, by name: those that come with Ostler, and the user's."""
    shipped = shipped_classes_dir()
    folders = [folder for folder in (shipped, paths.config_dir) if folder is not None]
    found: dict[str, tuple[Answered, ...]] = {}
    for folder in folders:
        for call in _calls_in(folder / FOLDER / SAMPLES / f"{server}.json"):
            tool, args, result = call.get("tool"), call.get("args"), call.get("result")
            if not isinstance(tool, str) or not isinstance(args, Mapping) or not isinstance(result, Mapping):
                continue
            answer = cast("JsonMapping", result)
            response = normalise(answer.get("content") or [], answer.get("structuredContent"))
            kept = Answered(
                dict(cast("JsonMapping", args)), response.value, response.text, is_error=bool(answer.get("isError"))
            )
            found[tool] = (*found.get(tool, ()), kept)
    return found


def _values_of(result: JsonMapping) -> JsonValue:
    """Return the value of an answer, which its text may hold as JSON."""
    return normalise(result.get("content") or [], result.get("structuredContent")).value


def _calls_in(file: Path) -> list[JsonObject]:
    if not file.is_file():
        return []
    try:
        value: JsonValue = parse_json(read_regular_text(file, _MAX_BYTES))
    except (OSError, ValueError) as error:
        raise DefinitionError(
            f"the recorded answers in {str(file)!r} cannot be read: {error}", next_actions=("fix or remove that file",)
        ) from None
    return as_objects(value)
