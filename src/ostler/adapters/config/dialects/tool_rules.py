"""Rules about tools, as clients write them: globs over their names of tools, and what a list of rules permits."""

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from ostler.adapters.config.dialects.draft import covers


class Rule(Struct, frozen=True):
    """One rule.

    Attributes:
        glob: matches what the client calls a tool, its server's name included.
        prefix: what comes before the tool's name there; `{}` is the server's name.
        permits: whether the tools that match may be called.
        suffix: what comes after the tool's name there, in a client that puts the server last and has no globs.
        is_plain: whether the client makes small letters, digits and `_` of the names, and leaves the server's name out
            where the tool's begins with it (oh-my-pi); such a rule has no globs.
    """

    glob: str
    prefix: str
    permits: bool
    suffix: str = ""
    is_plain: bool = False

    def tools_of(self, server: str) -> Iterator[str]:
        """Yield globs of the tools of `server` that the rule is about."""
        for name in forms_of(server):
            end = self.suffix.format(name)
            if self.is_plain:
                rests = _remainders(self.glob.replace("_", "?"), self.prefix.format(name))
                yield from (_in_any_case(tool) for rest in rests for tool in (rest, f"{name}_{rest}"))
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


def _remainders(glob: str, prefix: str) -> list[str]:
    """Return the globs that the rest of a text must match for `prefix` + rest to match `glob`."""
    begin = re.split(r"[*?]", glob, maxsplit=1)[0]
    if not (begin.startswith(prefix) or prefix.startswith(begin)):
        return []
    places = {0}
    for char in prefix:
        reached = [place for place in _through_stars(glob, places) if place < len(glob)]
        places = {place if glob[place] == "*" else place + 1 for place in reached if glob[place] in ("*", "?", char)}
    return sorted({glob[place:] for place in places})


def _through_stars(glob: str, places: set[int]) -> set[int]:
    reached = set(places)
    for place in places:
        here = place
        while here < len(glob) and glob[here] == "*":
            here += 1
            reached.add(here)
    return reached
