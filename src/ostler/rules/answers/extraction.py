"""Taking values out of answers: JMESPath, regular expressions and templates."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

from ostler.model.errors import ExtractionError, TemplateError
from ostler.model.json import JsonObject, JsonValue, json_flaw, parse_json
from ostler.model.manifest import OutputSpec
from ostler.model.responses import ToolResponse
from ostler.rules.answers.queries import search_value
from ostler.rules.answers.responses import response_names
from ostler.rules.secrets.masking import shorten
from ostler.rules.templates.template import is_template, render
from ostler.rules.text.patterns import PatternError, search, value_group
from ostler.rules.text.work_budget import bounded_work

SHOWN = 300
"""How many characters of an answer an error shows."""

RESULT = re.compile(r"result(?:\.|(?=\[)|$)")


class OutputsMissingError(ExtractionError):
    """An answer lacks outputs that are required; `taken` has those that it has."""

    def __init__(self, summary: str, taken: JsonObject) -> None:
        self.taken = taken
        super().__init__(
            summary, next_actions=("compare the outputs of the class with the tool's answer (serviceclass_get)",)
        )


def find_in_response(response: ToolResponse, path: str) -> JsonValue:
    """Return what `path` finds in the answer's value, or None.

    A leading `result.` is passed over when the value has no `result` of its own, as muster's manifests write it.

    Raises:
        ExtractionError: `path` is not JMESPath, does not fit the value, makes too much of it, or finds no JSON.
    """
    value = response.value
    if not (isinstance(value, Mapping) and "result" in value) and (prefix := RESULT.match(path)):
        path = path[prefix.end() :] or "@"
    return search_value(path, value)


def extract_from_response(response: ToolResponse, path: str) -> JsonValue:
    """Return what the JMESPath expression `path` finds in the answer's value.

    Raises:
        ExtractionError: it finds nothing (or null); the text names the path and shows what was there.
    """
    try:
        return _required(response, path)
    except ExtractionError as error:
        raise ExtractionError(
            f"{error.summary}; the answer was {_brief(response.value)}",
            next_actions=("compare the path with the answer, or make the output optional (required: false)",),
        ) from None


def process_tool_outputs(
    outputs: Mapping[str, str | OutputSpec], response: ToolResponse, names: Mapping[str, Any]
) -> JsonObject:
    """Return the outputs of one tool call.

    A text is a JMESPath expression over the answer's value, or a template when it has `{{`. Templates see the
    answer as `response.{value,text,isError,content,structured}` besides `names`. A regular expression searches the
    answer's text (its JSON, when it has no text); its value is the group named like the output, else `value`, else its
    only group, else the match.
    What finds nothing takes its default, or null when it is not required.

    Raises:
        ExtractionError: required outputs cannot be taken; all of them are listed.
    """
    with bounded_work():
        return _outputs(outputs, response, names)


def _outputs(outputs: Mapping[str, str | OutputSpec], response: ToolResponse, names: Mapping[str, Any]) -> JsonObject:
    taken: JsonObject = {}
    problems: list[str] = []
    seen = {**names, "response": response_names(response)} if _needs_names(outputs) else names
    for name, source in outputs.items():
        spec = _as_spec(source)
        try:
            taken[name] = _take(name, spec, response, seen)
        except (ExtractionError, TemplateError, PatternError) as error:
            if spec.has_default:
                taken[name] = spec.default
            elif not spec.required:
                taken[name] = None
            else:
                summary = error.summary if isinstance(error, ExtractionError | TemplateError) else str(error)
                problems.append(f"output {name!r}: {summary}")
    if problems:
        raise OutputsMissingError(f"{'; '.join(problems)}; the answer was {_brief(response.value)}", taken)
    return taken


def render_outputs(outputs: Mapping[str, str | OutputSpec], names: Mapping[str, Any]) -> JsonObject:
    """Return the outputs of a service (`serviceConfig.outputs`): templates over `names`, literals as they are.

    An output with `path` looks at `names` instead of an answer, such as `start.urls[0]`.

    Raises:
        ExtractionError: required outputs cannot be made; all of them are listed.
    """
    with bounded_work():
        return _service_outputs(outputs, names)


def _service_outputs(outputs: Mapping[str, str | OutputSpec], names: Mapping[str, Any]) -> JsonObject:
    made: JsonObject = {}
    problems: list[str] = []
    for name, source in outputs.items():
        spec = OutputSpec(template=source) if isinstance(source, str) else source
        try:
            made[name] = _take(name, spec, ToolResponse(value=dict(names)), names)
        except (ExtractionError, TemplateError, PatternError) as error:
            if spec.has_default:
                made[name] = spec.default
            elif not spec.required:
                made[name] = None
            elif spec.path is not None:
                problems.append(f"output {name!r}: path {spec.path!r} finds nothing among {', '.join(sorted(names))}")
            else:
                problems.append(f"output {name!r}: {getattr(error, 'summary', error)}")
    if problems:
        raise ExtractionError("; ".join(problems), step="outputs")
    return made


def coerce(value: JsonValue, kind: str) -> JsonValue:
    """Return `value` as the JSON type `kind`, if its text can be read as one.

    Raises:
        ExtractionError: it cannot.
    """
    made: JsonValue
    match kind:
        case "string":
            made = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        case "boolean":
            text = str(value).strip().lower()
            made = {"true": True, "false": False}.get(text) if isinstance(value, str | bool) else None
        case "integer" | "number":
            made = _number(value, kind)
        case _:
            parsed: JsonValue = _parsed(value) if isinstance(value, str) else value
            made = cast("JsonValue", parsed) if isinstance(parsed, dict if kind == "object" else list) else None
    if made is None:
        raise ExtractionError(f"{_brief(value)} cannot be read as {kind}")
    return made


def _take(name: str, spec: OutputSpec, response: ToolResponse, names: Mapping[str, Any]) -> JsonValue:
    if spec.path is not None:
        value = _required(response, spec.path)
    elif spec.regex is not None:
        match = search(spec.regex, response.readable)
        found = match.group(value_group(spec.regex, name)) if match else None
        if found is None:
            raise ExtractionError(f"regex {spec.regex!r} finds nothing")
        value = found
    else:
        value = render(spec.template, names)
    return coerce(value, spec.type) if spec.type is not None else value


def _required(response: ToolResponse, path: str) -> JsonValue:
    found = find_in_response(response, path)
    if found is None:
        raise ExtractionError(f"path {path!r} finds nothing")
    return found


def _as_spec(source: str | OutputSpec) -> OutputSpec:
    return source if isinstance(source, OutputSpec) else _written_short(source)


@lru_cache(maxsize=1_024)
def _written_short(source: str) -> OutputSpec:
    return OutputSpec(template=source) if is_template(source) else OutputSpec(path=source)


def _needs_names(outputs: Mapping[str, str | OutputSpec]) -> bool:
    return any(_as_spec(source).template is not None for source in outputs.values())


def _number(value: JsonValue, kind: str) -> int | float | None:
    number = _parsed(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        return None
    if kind == "number" or isinstance(number, int):
        return number
    return int(number) if number.is_integer() else None


def _parsed(text: str) -> JsonValue:
    try:
        value: JsonValue = parse_json(text)
    except ValueError:
        return None
    return None if json_flaw(value) else value


def _brief(value: JsonValue) -> str:
    shown = shorten(value, SHOWN)
    if isinstance(value, str) or not isinstance(shown, str):
        return json.dumps(shown, ensure_ascii=False, default=str)
    return shown
