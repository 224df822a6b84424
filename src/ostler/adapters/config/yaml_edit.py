"""Changes to one entry of a YAML text in block style; every other character of the text stays as it is.

The text is edited, and not written again from its values: that would change its quotes, line breaks and
indentation everywhere. The result is read again, and the change is refused if it says anything else than was meant.
"""

import re
from typing import Any, Final, cast

import yaml

from ostler.model.json import JsonObject, JsonValue

_REST_OF_LINE: Final = re.compile(r"[^\n]*(?:\n|$)")
_EMPTY: Final = re.compile(r"(?:\{\s*\}|\[\s*\])")


class YamlEditError(Exception):
    """The text is of a form that is not edited here, or is not YAML."""


def set_yaml_entry(text: str, place: str, name: str, entry: JsonObject, *, as_list: bool = False) -> str:
    """Return `text` with the entry `name` under the top-level key `place`, after the existing ones.

    Args:
        text: the file.
        place: the key.
        name: the entry.
        entry: its values.
        as_list: make a list of entries with names where there is nothing yet.

    Raises:
        YamlEditError: it cannot be done by an edit of the text.
    """
    before = _values(text)
    present = before.get(place)
    if not isinstance(present, dict | list | None):
        raise YamlEditError(f"{place!r} has no entries")
    listed = isinstance(present, list) or (as_list and not present)
    if _entry_of(present, name) == entry:
        return text
    if _entry_of(present, name) is not None:
        text = remove_yaml_entry(text, place, name)
    node = _place(text, place)
    body: JsonValue = [{"name": name, **entry}] if listed else {name: entry}
    if node is None:
        start = text if not text or text.endswith("\n") else text + "\n"
        after = start + _written({place: body}, 0)
    else:
        after = _inserted(text, *node, body)
    _check(after, place, _with_entry(before.get(place), name, entry, listed=listed), before)
    return after


def remove_yaml_entry(text: str, place: str, name: str) -> str:
    """Return `text` without the entry `name` under the top-level key `place`; unchanged if there is none.

    Raises:
        YamlEditError: it cannot be done by an edit of the text.
    """
    before = _values(text)
    if _entry_of(before.get(place), name) is None:
        return text
    node = _place(text, place)
    assert node is not None, "it has an entry"
    key, value = node
    if not isinstance(value, yaml.CollectionNode) or value.flow_style:
        raise YamlEditError(f"{place!r} is written on one line")
    if isinstance(value, yaml.MappingNode):
        items = [(one.start_mark.index, _end(text, inner)) for one, inner in value.value]
        index = next(index for index, (one, _) in enumerate(value.value) if one.value == name)
        rest: Any = {one: inner for one, inner in before[place].items() if one != name}
    else:
        # A list's items begin behind their dash.
        items = [(text.rfind("-", 0, one.start_mark.index), _end(text, one)) for one in value.value]
        index = next(index for index, one in enumerate(before[place]) if _named(one, name))
        rest = [one for one in before[place] if not _named(one, name)]
    start, end = items[index]
    start = text.rfind("\n", 0, start) + 1
    after = text[:start] + text[end:]
    if not rest:
        at = key.end_mark.index + 1
        after = f"{text[:at]} {'[]' if isinstance(rest, list) else '{}'}{after[at:]}"
    _check(after, place, rest, before)
    return after


def _inserted(text: str, key: yaml.Node, value: yaml.Node, body: JsonValue) -> str:
    if isinstance(value, yaml.ScalarNode) or _EMPTY.fullmatch(text[value.start_mark.index : value.end_mark.index]):
        at = key.end_mark.index + 1
        shown = value.end_mark.index if not isinstance(value, yaml.ScalarNode) or value.value else at
        line = _REST_OF_LINE.match(text, shown)
        assert line is not None, "it matches everywhere"
        head = text[:at] + line[0].rstrip("\n").rstrip() + "\n"
        return head + _written(body, key.start_mark.column + 2) + text[line.end() :]
    if not isinstance(value, yaml.CollectionNode) or value.flow_style:
        raise YamlEditError("the entries are written on one line")
    at = _end(text, value)
    column = value.start_mark.column
    head = text[:at] if text[:at].endswith("\n") else text[:at] + "\n"
    return head + _written(body, column) + text[at:]


def _end(text: str, node: yaml.Node) -> int:
    """Return where the line behind the last line of `node` begins: a collection's own mark is behind its comments."""
    if isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        last: Any = cast("list[Any]", node.value)[-1]
        return _end(text, cast("yaml.Node", last[1] if isinstance(last, tuple) else last))
    end: int = node.end_mark.index
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        return end - (len(text[:end]) - len(text[:end].rstrip(" ")))
    line = _REST_OF_LINE.match(text, end)
    assert line is not None, "it matches everywhere"
    return line.end()


def _place(text: str, place: str) -> tuple[yaml.Node, yaml.Node] | None:
    """Return the nodes of the top-level key and of what it has."""
    root = yaml.compose(text, yaml.SafeLoader)
    if root is None:
        return None
    if not isinstance(root, yaml.MappingNode) or (root.flow_style and root.value):
        raise YamlEditError("the file is not a mapping in block style")
    found = [(key, value) for key, value in root.value if key.value == place]
    if len(found) > 1:
        raise YamlEditError(f"{place!r} is written twice")
    return found[0] if found else None


def _written(body: JsonValue, column: int) -> str:
    lines = yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=10_000).splitlines()
    return "".join(f"{' ' * column}{line}\n" for line in lines)


def _values(text: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise YamlEditError(f"it is not valid YAML: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise YamlEditError("the file is not a mapping")
    return cast("dict[str, Any]", values)


def _entry_of(present: Any, name: str) -> JsonValue:
    if isinstance(present, dict):
        return cast("JsonObject", present).get(name)
    items = cast("list[JsonObject]", present) if isinstance(present, list) else []
    found = next((one for one in items if _named(one, name)), None)
    return None if found is None else {key: value for key, value in found.items() if key != "name"}


def _named(item: Any, name: str) -> bool:
    return isinstance(item, dict) and cast("JsonObject", item).get("name") == name


def _with_entry(present: Any, name: str, entry: JsonObject, *, listed: bool) -> JsonValue:
    if listed:
        kept = [one for one in cast("list[JsonValue]", present or []) if not _named(one, name)]
        return [*kept, {"name": name, **entry}]
    return {**cast("JsonObject", present or {}), name: entry}


def _check(after: str, place: str, expected: Any, before: dict[str, Any]) -> None:
    if _values(after) != {**before, place: expected}:
        raise YamlEditError("Ostler does not edit a file that is written this way")
