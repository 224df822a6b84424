"""What tells a thing that runs from one that is gone, in the answers that a tool really gave about it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from ostler.model.json import JsonObject, JsonValue
from ostler.model.responses import ToolResponse
from ostler.rules.answers.prose import PROSE_ERROR, PROSE_GONE
from ostler.rules.drafts.answer_states import STATE_KEYS, is_alive
from ostler.rules.drafts.data_flow import path_below
from ostler.rules.drafts.lifecycle_words import squeezed
from ostler.rules.drafts.tool_traits import Tool

_LABELLED = re.compile(r"""(?im)\b(status|state|phase|running|alive|active)\b(["'`* ]*[:=]["'`* ]*)([A-Za-z_]+)""")
_WORD = re.compile(r"[A-Za-z][a-z_-]{2,}")
_MOST_DEEP = 4


def telling_expectation(alive: Sequence[ToolResponse], gone: Sequence[ToolResponse]) -> tuple[str, JsonObject] | None:
    """Return (`expect` or `expectNot`, the expectation) that answers about a running thing meet and others miss.

    Args:
        alive: answers of one tool while the thing ran.
        gone: answers to the same call when it was gone; with none, what looks like a state is taken.

    Returns:
        None when nothing in the answers tells them apart.
    """
    if not alive or any(answer.is_error for answer in alive):
        return None
    if gone and all(answer.is_error for answer in gone):
        return "expect", {"success": True}
    value = _telling_value(alive, gone)
    if value is not None:
        path, said = value
        return "expect", {"jsonPath": {path: said}}
    return _telling_text([answer.readable for answer in alive], [answer.readable for answer in gone])


def seen_expectation(tool: Tool) -> tuple[str, JsonObject] | None:
    """Return what recorded answers of a tool about one thing have while the thing runs, as `telling_expectation`."""
    answers = [ToolResponse(each.value, each.text, each.is_error) for each in tool.answers]
    failed = [answer for answer in answers if answer.is_error]
    gone = [answer for answer in answers if not answer.is_error and re.search(PROSE_GONE, answer.readable)]
    rest = [answer for answer in answers if answer not in failed and answer not in gone]
    alive = [answer for answer in rest if not re.search(PROSE_ERROR, answer.readable)]
    told = telling_expectation(alive, gone)
    if told is None or not failed or told[0] != "expect":
        return told
    return "expect", {"success": True, **told[1]}


def _telling_value(alive: Sequence[ToolResponse], gone: Sequence[ToolResponse]) -> tuple[str, JsonValue] | None:
    """Return the path and value that answers have while the thing runs, preferably a state."""
    known = [_said(answer) for answer in alive]
    others = [_said(answer) for answer in gone]
    found: list[tuple[int, int, str, JsonValue]] = []
    for path, value in known[0].items():
        if not all(path in each and each[path] == value for each in known):
            continue
        if any(path in each and each[path] == value for each in others):
            continue
        key = path.rpartition(".")[2].strip('"').lower()
        is_state = key in STATE_KEYS and (value is True or (isinstance(value, str) and is_alive(value)))
        is_word = value is True or (isinstance(value, str) and is_alive(value) and len(value) < 20)
        if is_state or (others and is_word):
            found.append((not is_state, path.count("."), path, value))
    return min(found, key=lambda item: item[:3])[2:] if found else None


def _telling_text(alive: Sequence[str], gone: Sequence[str]) -> tuple[str, JsonObject] | None:
    for label, between, word in _LABELLED.findall(alive[0]):
        pattern = f"(?i)\\b{label}{between.replace('*', '[*]')}{word}\\b"
        if not is_alive(word) and word.lower() != "true":
            continue
        if all(re.search(pattern, text) for text in alive) and not any(re.search(pattern, text) for text in gone):
            return "expect", {"matches": pattern}
    if not gone:
        return None
    if all(re.search(PROSE_GONE, text) for text in gone) and not any(re.search(PROSE_GONE, text) for text in alive):
        return "expectNot", {"matches": PROSE_GONE}
    for word in dict.fromkeys(_WORD.findall(alive[0])):
        pattern = f"\\b{word}\\b"
        if not is_alive(word) or not all(re.search(pattern, text) for text in alive):
            continue
        if not any(re.search(pattern, text) for text in gone):
            return "expect", {"matches": pattern}
    return None


def found_output(name: str, response: ToolResponse) -> JsonValue:
    """Return how an output called `name` can be taken from an answer; None when nothing in it is like that.

    Returns:
        a JMESPath, or `{"regex": …}` for an answer in prose.
    """
    wanted = squeezed(name)
    paths = [path for path, _ in _leaves(response.value, in_lists=True)]
    for path in sorted(paths, key=lambda path: (path.count("."), path)):
        last = squeezed(path.rpartition(".")[2])
        if last == wanted or (len(wanted) <= 4 and last.endswith(wanted)):
            return path
    words = re.split(r"[_-]|(?<=[a-z])(?=[A-Z])", name)
    label = r"[ _-]?".join(map(re.escape, words))
    group = re.sub(r"\W", "_", name)
    value = r"\d+" if words[-1].lower() in ("pid", "port") else r"[\w$%][\w.$%/:@-]*\w|\w"
    pattern = rf"(?i)\b{label}\b\W{{1,4}}(?P<{group}>{value})"
    if not isinstance(response.value, Mapping | list) and re.search(pattern, response.readable):
        return {"regex": pattern}
    return None


def _leaves(
    value: JsonValue, path: str = "", depth: int = 0, *, in_lists: bool = False
) -> Iterator[tuple[str, JsonValue]]:
    """Yield the JMESPath and value of each part of an object, and on request of the first item of a list."""
    if isinstance(value, Mapping) and depth <= _MOST_DEEP:
        for key, inner in cast("Mapping[str, JsonValue]", value).items():
            yield from _leaves(inner, path_below(path, key), depth + 1, in_lists=in_lists)
    elif in_lists and isinstance(value, list) and depth <= _MOST_DEEP:
        for inner in cast("list[JsonValue]", value)[:1]:
            yield from _leaves(inner, f"{path}[0]", depth + 1, in_lists=True)
    elif path:
        yield path, value


def _said(answer: ToolResponse) -> dict[str, JsonValue]:
    """Return every text and boolean within the objects of an answer, by its JMESPath."""
    return {path: value for path, value in _leaves(answer.value) if isinstance(value, str | bool)}
