"""JMESPath expressions: checked when a class is loaded, and searched with bounded work and results that are JSON.

A short expression can double a list or a text at each of its steps (`[@,@][] | [@,@][] | …`). Each search therefore
counts what it makes and stops at a limit, before memory is taken.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, cast

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jmespath.parser import ParsedResult
from jmespath.visitor import TreeInterpreter

from ostler.model.errors import ExtractionError
from ostler.model.json import JsonMapping, JsonValue, json_flaw, parse_json
from ostler.model.near_names import did_you_mean
from ostler.rules.text.work_budget import WorkSpentError, bounded_work, spend

MAX_PATH: Final = 4096
"""The longest expression, in characters."""

MAX_DEPTH: Final = 100
"""The deepest nesting of an expression; each `|` and `||` is one level, too."""

MAX_WORK: Final = 300_000
"""What one search may make: steps, items of lists, and every 64 characters of texts count one each."""

_TOO_DEEP: Final = f"it is nested deeper than {MAX_DEPTH} levels"
_SHOWN: Final = 200
_TEXT_UNIT: Final = 64
_WORK_BETWEEN_LOOKS: Final = 256
_LITERAL: Final = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`""", re.DOTALL)
"""A quoted part of a JMESPath expression."""

_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""A key that JMESPath takes without quotes."""

_FUNCTIONS: Final = cast("Mapping[str, Mapping[str, Any]]", Functions.FUNCTION_TABLE)


class _TooMuchWorkError(Exception):
    """A search created more than `MAX_WORK` values."""


def key_expression(key: str) -> str:
    """Return the JMESPath expression of the value of `key`: quoted if JMESPath wants quotes."""
    return key if _PLAIN_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)


@lru_cache(maxsize=2048)
def compile_path(path: str) -> ParsedResult:
    """Return the JMESPath expression `path`, compiled.

    Raises:
        ExtractionError: it is not JMESPath, or too long or nested too deep; the text says where and what to write
            instead.
    """
    if len(path) > MAX_PATH:
        raise ExtractionError(f"a JMESPath expression of {len(path)} characters is too long (at most {MAX_PATH})")
    try:
        compiled = jmespath.compile(_LITERAL.sub(_as_json_literal, path))
        problem = _problem(compiled.parsed)
    except RecursionError:
        raise ExtractionError(f"{_shown(path)} is not a JMESPath expression: {_TOO_DEEP}") from None
    except (JMESPathError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else "the expression is empty"
        hint = "; write it without the leading '$'" if path.startswith("$") else ""
        raise ExtractionError(f"{_shown(path)} is not a JMESPath expression: {reason}{hint}") from None
    if problem:
        raise ExtractionError(f"{_shown(path)} is not a JMESPath expression: {problem}")
    return compiled


def search_value(path: str, value: JsonValue) -> JsonValue:
    """Return what `path` finds in `value`, which is JSON, or None.

    Raises:
        ExtractionError: `path` is not JMESPath, does not fit the value, makes too much of it, or finds no JSON.
    """
    compiled = compile_path(path)
    search = _Search()
    try:
        with bounded_work():
            found = search.visit(compiled.parsed, value)
    except WorkSpentError as error:
        raise ExtractionError(f"path {_shown(path)} {error}; take less of the answer") from None
    except _TooMuchWorkError:
        raise ExtractionError(
            f"path {_shown(path)} makes too much of the answer (more than {MAX_WORK} items); "
            "take less of it, without lists inside lists"
        ) from None
    except JMESPathError as error:
        raise ExtractionError(f"path {_shown(path)} cannot be applied to the answer: {error}") from None
    except (RecursionError, TypeError, ValueError, ArithmeticError, MemoryError) as error:
        raise ExtractionError(f"path {_shown(path)} cannot be applied to the answer ({type(error).__name__})") from None
    if flaw := json_flaw(found, most=MAX_WORK):
        raise ExtractionError(f"path {_shown(path)} finds what is not JSON: {flaw}")
    return found


class _Search(TreeInterpreter):
    """One search, which counts the values that it creates."""

    def __init__(self) -> None:
        super().__init__()
        self._left = MAX_WORK
        self._since_look = 0
        self._calls: Any = Functions()

    def visit(self, node: Any, *args: Any, **keys: Any) -> Any:
        """Visit `node`, and count its result."""
        made = super().visit(node, *args, **keys)
        self._spend(1)
        if node["type"] not in ("field", "current", "identity", "index"):  # those only point into what was there
            self._spend_on(made)
        return made

    def visit_flatten(self, node: Mapping[str, Any], value: JsonValue) -> JsonValue:
        """Flatten a list after checking its new length."""
        base = self.visit(node["children"][0], value)
        if not isinstance(base, list):
            return None
        items = cast("list[JsonValue]", base)
        self._spend(sum(len(cast("list[JsonValue]", item)) if isinstance(item, list) else 1 for item in items))
        return [part for item in items for part in (cast("list[Any]", item) if isinstance(item, list) else [item])]

    def visit_function_expression(self, node: Mapping[str, Any], value: JsonValue) -> JsonValue:
        """Call a function after checking the size of its result."""
        given = [self.visit(child, value) for child in node["children"]]
        for argument in given:
            self._spend_on(argument)
        match node["value"], given:
            case "join", [str(glue), _] if isinstance(given[1], list):
                texts = cast("list[object]", given[1])
                size = sum(len(text) for text in texts if isinstance(text, str)) + len(glue) * len(texts)
                self._spend(size // _TEXT_UNIT)
            case "to_string", [argument] if not isinstance(argument, str):
                self._spend(_written_size(argument, self._left) // _TEXT_UNIT)
            case _:
                pass
        return self._calls.call_function(node["value"], given)

    def _spend_on(self, value: object) -> None:
        if isinstance(value, str):
            self._spend(len(value) // _TEXT_UNIT)
        elif isinstance(value, list | dict):
            self._spend(len(cast("Sequence[object]", value)))

    def _spend(self, work: int) -> None:
        self._left -= work
        self._since_look += work
        if self._left < 0:
            raise _TooMuchWorkError
        if self._since_look > _WORK_BETWEEN_LOOKS:
            self._since_look = 0
            spend()


def _shown(path: str) -> str:
    return repr(path if len(path) <= _SHOWN else path[:_SHOWN] + "…")


def _written_size(value: object, most: int) -> int:
    """Return how many characters `value` has at most once it is written as JSON, looking at `most` values."""
    waiting, size, left = [value], 0, most
    while waiting:
        part = waiting.pop()
        left -= 1
        if left < 0:
            raise _TooMuchWorkError
        if isinstance(part, Mapping):
            keys = cast("JsonMapping", part)
            size += sum(map(len, keys)) * 6
            waiting += keys.values()
        elif isinstance(part, list):
            waiting += cast("list[object]", part)
        size += len(part) * 6 if isinstance(part, str) else 24
    return size


def _problem(tree: Mapping[str, Any]) -> str:
    """Return what is wrong with a parsed expression; the empty text when nothing is."""
    waiting: list[tuple[Mapping[str, Any], int, bool]] = [(tree, 1, False)]
    while waiting:
        node, depth, takes_expression = waiting.pop()
        if depth > MAX_DEPTH:
            return _TOO_DEEP
        kind, children = node["type"], cast("list[Any]", node.get("children") or [])
        if kind == "expref" and not takes_expression:
            return "'&' is allowed only before an argument of a function that takes one, as in sort_by(items, &name)"
        if kind == "function_expression" and (problem := _call_problem(node["value"], len(children))):
            return problem
        for index, child in enumerate(children):
            if isinstance(child, Mapping):
                takes = kind == "function_expression" and _takes_expression(node["value"], index)
                waiting.append((cast("Mapping[str, Any]", child), depth + 1, takes))
    return ""


def _takes_expression(name: str, index: int) -> bool:
    signature = cast("list[Mapping[str, Any]]", _FUNCTIONS[name]["signature"])
    return index < len(signature) and "expref" in signature[index]["types"]


def _call_problem(name: str, given: int) -> str:
    if name not in _FUNCTIONS:
        hint = did_you_mean(name, list(_FUNCTIONS), "take it with a 'regex' or a template instead")
        return f"there is no function {name!r}; {hint}"
    signature = cast("list[Mapping[str, Any]]", _FUNCTIONS[name]["signature"])
    is_open = bool(signature) and bool(signature[-1].get("variadic"))
    if given == len(signature) or (is_open and given > len(signature)):
        return ""
    wanted = f"{len(signature)} argument{'' if len(signature) == 1 else 's'}"
    return f"function {name!r} takes {'at least ' if is_open else ''}{wanted}, not {given}"


def _as_json_literal(match: re.Match[str]) -> str:
    """Return a literal such as `running` (which jmespath is about to give up) as the JSON that it stands for."""
    token = match[0]
    if not token.startswith("`") or _is_json(body := token[1:-1].replace("\\`", "`")):
        return token
    text = f'"{body.lstrip()}"'
    return "`" + text.replace("`", "\\`") + "`" if _is_json(text) else token


def _is_json(text: str) -> bool:
    try:
        parse_json(text)
    except ValueError:
        return False
    return True
