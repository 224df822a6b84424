"""Which outputs of its dependencies a class uses."""

import re
from collections.abc import Iterator, Mapping
from typing import cast

from ostler.model.json import JsonMapping, JsonValue
from ostler.model.manifest import ServiceClass
from ostler.rules.templates.template import optional_names, referenced_names

_PATH_WORD = re.compile(r"[A-Za-z_][\w-]*")


def uses_output(service_class: ServiceClass, alias: str, output: str) -> bool:
    """Whether anything in the class names the `output` of its dependency `alias`, or may do so.

    A template that names the dependencies as a whole, or one of them, may use every output.
    """
    config = service_class.config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if any(_covers(name, alias, output) for name in referenced_names(config) | optional_names(config)):
        return True
    return any(
        words[:1] == ["dependencies"] and _covers(tuple(words[:4]), alias, output)
        for path in _paths(config.get("outputs"))
        if (words := cast("list[str]", _PATH_WORD.findall(path)))
    )


def _covers(name: tuple[str, ...], alias: str, output: str) -> bool:
    return all(part == wanted for part, wanted in zip(name, ("dependencies", alias, "outputs", output), strict=False))


def _paths(outputs: JsonValue) -> Iterator[str]:
    """Yield the paths of the service's own outputs, which look at what templates see."""
    if isinstance(outputs, Mapping):
        for spec in cast("JsonMapping", outputs).values():
            if isinstance(spec, Mapping) and isinstance(path := cast("JsonMapping", spec).get("path"), str):
                yield path
