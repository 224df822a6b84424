"""Pydantic's errors as violations: with file, line and column, a rule id, and what to write instead."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from msgspec import Struct
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from ostler.model.json import JsonValue, KeyPath
from ostler.rules.secrets.masking import shorten
from ostler.rules.text.findings import Violation, dotted
from ostler.rules.text.schema_shape import SchemaShape

_UNION_TAGS = frozenset({"str", "list[str]", "OutputSpec", "DependencySpec"})
_YAML_1_1_BOOLEANS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_KINDS: Mapping[str, str] = {
    "bool_type": "true or false", "int_type": "a whole number", "float_type": "a number", "string_type": "text",
    "dict_type": "a mapping", "list_type": "a list", "model_type": "a mapping", "model_attributes_type": "a mapping",
}  # fmt: skip


def model_violations(value: JsonValue, errors: Sequence[ErrorDetails], shape: SchemaShape) -> Iterator[Violation]:
    """Yield what is wrong for each of pydantic's `errors` about `value`, unions reported once.

    Args:
        value: what was validated.
        errors: what pydantic says of it.
        shape: which keys such a document may have where.
    """
    seen: set[tuple[KeyPath, str]] = set()
    for error in errors:
        path, union = _document_path(value, error["loc"])
        if union is None or union.fits:
            violation = _violation(value, path, error, shape)
        elif union.other_fits:
            continue
        else:
            message = f"expected text or {union.other}, got {_shown(_value_at(value, union.path))}"
            violation = Violation(union.path, "bad-type", message)
        if (path, violation.rule) not in seen:
            seen.add((path, violation.rule))
            yield violation


class _Union(Struct, frozen=True):
    """The branch of a union that an error is about: the union's place, and which branches fit what stands there."""

    path: KeyPath
    other: str
    fits: bool
    other_fits: bool


def _union(tag: str, path: KeyPath, value: JsonValue) -> _Union:
    """Every union of the manifest is of text and one other form: a list of texts, or a mapping."""
    takes_list = path[-1] in ("jmespath", "contains", "matches")
    other_fits = isinstance(value, list if takes_list else Mapping)
    is_text = tag == "str"
    fits = isinstance(value, str) if is_text else other_fits
    return _Union(path, "a list of texts" if takes_list else "a mapping", fits, other_fits if is_text else False)


def error_path(value: JsonValue, loc: tuple[int | str, ...]) -> KeyPath:
    """Return where in `value` pydantic's location `loc` is, without the names of branches of unions."""
    return _document_path(value, loc)[0]


def _document_path(value: JsonValue, loc: tuple[int | str, ...]) -> tuple[KeyPath, _Union | None]:
    """Split pydantic's location into the document's path and the branch of a union that it is in."""
    path: list[str | int] = []
    union: _Union | None = None
    for index, part in enumerate(loc):
        if isinstance(value, Mapping) and part in value:
            value = cast("Mapping[Any, JsonValue]", value)[part]
            path.append(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(cast("list[JsonValue]", value)):
            value = cast("list[JsonValue]", value)[part]
            path.append(part)
        elif part in _UNION_TAGS or str(part).startswith("function-"):
            union = _union(str(part), tuple(path), value)
        elif index == len(loc) - 1 and isinstance(value, Mapping) and part != "[key]":
            path.append(part)
    return tuple(path), union


def _value_at(value: JsonValue, path: KeyPath) -> JsonValue:
    for part in path:
        if isinstance(value, Mapping):
            value = cast("Mapping[Any, JsonValue]", value).get(part)
        elif isinstance(value, list) and isinstance(part, int):
            value = cast("list[JsonValue]", value)[part]
        else:
            return None
    return value


def _violation(root: JsonValue, path: KeyPath, error: ErrorDetails, shape: SchemaShape) -> Violation:
    kind = error["type"]
    value = _value_at(root, path)
    match kind:
        case "extra_forbidden":
            return _unknown_key(path, shape)
        case "missing":
            name = path[-1]
            where = dotted(path[:-1]) or shape.what
            return Violation(path[:-1], "missing-key", f"{where} needs {str(name)!r}", f"add {name!r}")
        case "literal_error" | "enum":
            wanted = str(error.get("ctx", {}).get("expected", ""))
            close = difflib.get_close_matches(
                str(value), wanted.replace("'", "").replace(" or ", ", ").split(", "), n=1
            )
            fix = f"write {close[0]!r}" if close else ""
            return Violation(path, "bad-value", f"{_shown(value)} is not possible here; expected {wanted}", fix)
        case "value_error":
            message = error["msg"].removeprefix("Value error, ")
            return _value_error(path, message, at_key=error["loc"][-1:] == ("[key]",))
        case _ if kind in _KINDS:
            fix = _type_fix(kind, value)
            return Violation(path, "bad-type", f"expected {_KINDS[kind]}, got {_shown(value)}", fix)
        case _:
            rule = "bad-type" if kind.endswith("_type") else "bad-value"
            return Violation(path, rule, f"{_shown(value)}: {error['msg']}")


def _unknown_key(path: KeyPath, shape: SchemaShape) -> Violation:
    key, parent = str(path[-1]), path[:-1]
    known = shape.keys_at(parent)
    where = dotted(parent) or shape.what
    camel = to_camel(key.replace("-", "_"))
    lowered = {name.lower(): name for name in known}
    if camel in known:
        fix = f"write {camel!r}"
    elif close := difflib.get_close_matches(key.lower(), list(lowered), n=1, cutoff=0.6):
        fix = f"did you mean {lowered[close[0]]!r}?"
    elif places := shape.places_of(camel):
        fix = f"{camel!r} belongs under {places[0] or 'the top level'!r}"
    else:
        fix = f"possible keys: {', '.join(known)}" if known else "remove it"
    return Violation(path, "unknown-key", f"unknown key {key!r} in {where}", fix, at_key=True)


def _value_error(path: KeyPath, message: str, *, at_key: bool) -> Violation:
    rules = {
        "is not a duration": "bad-duration",
        "a duration is at most": "bad-duration",
        "is not a valid name": "bad-name",
        "is not a tool name": "bad-tool",
    }
    rule = next((rule for phrase, rule in rules.items() if phrase in message), "bad-value")
    if "has no effect" in message or "needs at least one of" in message:
        rule = "no-effect"
    return Violation(path, rule, message, at_key=at_key)


def _type_fix(kind: str, value: JsonValue) -> str:
    if kind == "bool_type" and isinstance(value, str):
        meant = _YAML_1_1_BOOLEANS.get(value.lower(), value.lower())
        return f"write {meant}" if meant in ("true", "false") else "write true or false"
    if kind == "string_type" and isinstance(value, int | float):
        return f'write it in quotes: "{str(value).lower()}"'
    if kind in ("int_type", "float_type") and isinstance(value, str):
        return "write the number without quotes"
    return ""


def _shown(value: JsonValue) -> str:
    if value is None:
        return "nothing"
    return repr(shorten(value, 80)) if not isinstance(value, bool) else str(value).lower()
