"""The class that mistakes are put into, and what describes where and how."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from ostler.model.json import JsonObject, JsonValue
from ostler.rules.checking.tool_lists import KnownTools

Path: TypeAlias = tuple[str | int, ...]
Sites: TypeAlias = Iterator[tuple[Path, JsonValue]]

GONE = object()
"""Instead of a value: its key is removed."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A class that mistakes are put into."""

    text: str
    value: JsonObject
    tools: KnownTools
    rng: random.Random

    @property
    def config(self) -> JsonObject:
        """Its `serviceConfig`."""
        return self.value["spec"]["serviceConfig"]

    def calls(self) -> Iterator[tuple[Path, JsonObject]]:
        """Yield every tool call with its path."""
        base: Path = ("spec", "serviceConfig", "lifecycleTools")
        for step, call in self.config["lifecycleTools"].items():
            if isinstance(call, list):
                yield from (((*base, step, index), item) for index, item in enumerate(call))
            else:
                yield (*base, step), call

    def schema(self, call: JsonObject) -> JsonObject:
        """Return the input schema of the call's tool."""
        server, _, tool = call["tool"].partition("/")
        listed = self.tools.of(server)
        return dict(listed.tools[tool].input_schema) if listed else {}


@dataclass(frozen=True, slots=True)
class Renamed:
    """Instead of a value: its key gets another name."""

    name: str


def typo(text: str, rng: random.Random) -> str:
    """Return `text` with a letter lost, doubled, swapped or hit beside."""
    letters = [index for index, letter in enumerate(text) if letter.isalnum()]
    if len(text) < 2 or not letters:
        return f"{text}x"
    for _ in range(20):
        index = rng.choice(letters)
        match rng.randrange(4):
            case 0:
                made = text[:index] + text[index + 1 :]
            case 1:
                made = text[:index] + text[index] + text[index:]
            case 2:
                made = text[:index] + text[index + 1 : index + 2] + text[index] + text[index + 2 :]
            case _:
                made = text[:index] + rng.choice("aeimnorstu") + text[index + 1 :]
        if made not in (text, ""):
            return made
    return f"{text}x"


def leaves(value: JsonValue, path: Path = ()) -> Sites:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, value


def templates(subject: Subject) -> Iterator[tuple[Path, str]]:
    for path, value in leaves(subject.config, ("spec", "serviceConfig")):
        if isinstance(value, str) and "{{" in value:
            yield path, value
