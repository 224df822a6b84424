"""Rules about tools, as clients write them: globs over their names of tools, and what a list of rules permits."""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final

from msgspec import Struct

from ostler.adapters.config.dialects.draft import covers

_TOKEN: Final = re.compile(r"\[!?\]?[^\]]*\]|.", re.DOTALL)
"""A part of a glob that matches one character, or a star."""


class Rule(Struct, frozen=True):
    """One rule.

    Attributes:
        glob: matches what the client calls a tool, its server's name included.
        prefix: what comes before the tool's name there; `{}` is the server's name.
        permits: whether the tools that match may be called.
        suffix: what comes after the tool's name there, in a client that puts the server last and has no globs.
        is_plain: whether the client makes small letters, digits and `_` of the names, and leaves the server's name out
            where the tool's begins with it (oh-my-pi); such a rule has no globs.
        any_case: whether small and capital letters are the same there (Mistral Vibe).
    """

    glob: str
    prefix: str
    permits: bool
    suffix: str = ""
    is_plain: bool = False
    any_case: bool = False

    def tools_of(self, server: str) -> Iterator[str]:
        """Yield globs of the tools of `server` that the rule is about."""
        for name in forms_of(server):
            end = self.suffix.format(name)
            if self.is_plain:
                rests = _remainders(self.glob.replace("_", "?"), self.prefix.format(name))
                yield from (_in_any_case(tool) for rest in rests for tool in (rest, f"{name}_{rest}"))
            elif self.any_case:
                rests = _remainders(self.glob.lower(), self.prefix.format(name).lower())
                yield from (_TOKEN.sub(_token_in_any_case, rest) for rest in rests)
            elif self.glob.endswith(end):
                yield from _remainders(self.glob.removesuffix(end), self.prefix.format(name))


def limits_of(rules: Sequence[Rule], names: Sequence[str]) -> tuple[list[str] | None, list[str]]:
    """Return the globs of the only tools of a server that may be called, None for all, and of those that may not.

    The first rule that matches a tool counts. What cannot be written as two lists is denied.

    Args:
        rules: the rules.
        names: the server's names, of which a rule may use any.
    """
    allowed: list[str] = []
    denied: list[str] = []
    for rule in rules:
        for glob in (glob for name in names for glob in rule.tools_of(name)):
            if not glob or any(covers(earlier, glob) for earlier in (*allowed, *denied)):
                continue
            if not glob.strip("*"):
                if rule.permits:
                    return None, denied
                return (allowed, denied) if allowed else (None, ["*"])
            (allowed if rule.permits else denied).append(glob)
    return None, denied


def forms_of(server: str) -> list[str]:
    """Return the forms of a server's name in clients' names of tools: as written, or with other characters replaced."""
    forms = [server, re.sub(r"[^A-Za-z0-9_.-]", "_", server), re.sub(r"[^A-Za-z0-9_-]", "_", server)]
    hyphened = re.sub(r"\s+", "-", server.lower())  # VS Code
    without_spaces = re.sub(r"[^a-z0-9_-]", "_", re.sub(r"\s", "", server.lower()))  # Goose
    return list(dict.fromkeys([*forms, forms[-1].lower(), hyphened, without_spaces]))


def _in_any_case(name: str) -> str:
    """Return the glob of the names that become `name` in small letters, with `_` for every other character."""
    lower = re.sub(r"[^a-z0-9]", "?", name.lower())
    return re.sub(r"[a-z]", lambda found: f"[{found[0]}{found[0].upper()}]", lower)


def _token_in_any_case(token: re.Match[str]) -> str:
    text = token[0]
    if len(text) == 1:
        return f"[{text.lower()}{text.upper()}]" if text.isalpha() else text
    inner = text[1:-1]
    begin = "!" if inner[0] == "!" else ""
    return f"[{begin}{inner.removeprefix('!').lower()}{inner.removeprefix('!').upper()}]"


def _remainders(glob: str, prefix: str) -> list[str]:
    """Return the globs that the rest of a text must match for `prefix` + rest to match `glob`."""
    tokens = _TOKEN.findall(glob)
    places = {0}
    for char in prefix:
        reached = [place for place in _through_stars(tokens, places) if place < len(tokens)]
        places = {
            place if tokens[place] == "*" else place + 1
            for place in reached
            if tokens[place] in ("*", char) or fnmatchcase(char, tokens[place])
        }
    return sorted({"".join(tokens[place:]) for place in places})


def _through_stars(tokens: Sequence[str], places: set[int]) -> set[int]:
    reached = set(places)
    for place in places:
        here = place
        while here < len(tokens) and tokens[here] == "*":
            here += 1
            reached.add(here)
    return reached
