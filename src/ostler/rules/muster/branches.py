"""What the branches of an if/else hold: their text without the space around it, and whether it is all JSON."""

import json
from collections.abc import Callable, Sequence

from ostler.model.json import JsonValue
from ostler.rules.muster.go_template import Call, Comment, Expression, If, Node, Output, Text
from ostler.rules.muster.jinja_functions import TESTS


def is_test(value: Expression) -> bool:
    """Return whether the expression is true or false, and nothing else."""
    if not isinstance(value, Call):
        return False
    return value.function in TESTS or (value.function in ("and", "or") and all(is_test(arg) for arg in value.args))


def stripped(nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes of a branch without the white space around them."""
    kept = list(nodes)
    ends: Sequence[tuple[int, Callable[[str], str]]] = ((0, str.lstrip), (-1, str.rstrip))
    for index, strip in ends:
        while kept and isinstance(node := kept[index], Text):
            text = strip(node.trimmed)
            if text:
                kept[index] = Text(node.text, text)
                break
            kept.pop(index)
    return kept


def typed_texts(chain: If) -> dict[str, JsonValue] | None:
    """Return the values of the texts in an if/else, when each of them is JSON other than a quoted text."""
    if chain.branches[-1].condition is not None:
        return None
    values: dict[str, JsonValue] = {}
    for branch in chain.branches:
        kept = stripped([node for node in branch.body if not isinstance(node, Comment)])
        if len(kept) != 1:
            return None
        if isinstance(kept[0], Output):
            continue
        if not isinstance(kept[0], Text):
            return None
        text = kept[0].trimmed
        try:
            value: JsonValue = json.loads(text, parse_constant=_refused)
        except (ValueError, RecursionError):
            return None
        if isinstance(value, str):
            return None
        values[text] = value
    return values or None


def _refused(constant: str) -> JsonValue:
    raise ValueError(constant)  # NaN and Infinity are not JSON
