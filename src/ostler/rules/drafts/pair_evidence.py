"""What shows that two steps are one life: names, the value that flows from one to the other, descriptions."""

import re
from collections.abc import Set as AbstractSet

from msgspec import Struct

from ostler.rules.checking.identity import is_identifier
from ostler.rules.drafts.answer_fields import answer_fields
from ostler.rules.drafts.lifecycle_words import (
    ACCESSORIES,
    BACKGROUND,
    BLOCKING,
    CANCELS,
    FAINT,
    LIVING,
    NOMINALS,
    PARTNERS,
    RECORDS,
    STARTS,
    UNNAMED,
    squeezed,
    words_of,
)
from ostler.rules.drafts.server_words import Use
from ostler.rules.drafts.tool_traits import Step, kind_value

LINKED = 15
"""How much must say that a value flows, for steps whose names do not belong together."""

_SAME = 24
_PLACES = frozenset(
    "namespace context project organization org region zone cluster team account host target profile cwd broker".split()  # noqa: SIM905
)
_SPOKEN = {"pid": "process id"}
_ANSWERS_FIRST = re.compile(
    r"\basynchronous(?:ly)?\b[^.]*\bbackground\b|\breturns?\b[^.]{0,50}\bid\b[^.]{0,20}\bimmediately\b|"
    r"\breturns? immediately\b[^.]{0,40}\bid\b",
    re.IGNORECASE,
)
"""Phrases in descriptions of tools that answer while what they began still runs."""

_DETAIL = re.compile(r"[.,:;\n(]|\b(?:with|in|on|for|from|of|by|to|using|at|inside|and)\b")
_OF_OTHERS = re.compile(r"\buse \S+ (?:instead|for)\b|\binstead,? use\b", re.IGNORECASE)
_RUNS = frozenset(("run", "execute", "exec"))
MAKERS = frozenset(("create", "new", "add", "register"))
"""Verbs of tools whose callers choose the id of the new thing."""

_SIMPLE_STARTS = ("start", "run", "launch", "spawn", "open", "boot", "enqueue", "submit")


class Handle(Struct, frozen=True):
    """The parameter of a stop that says which one it ends.

    Attributes:
        name: its name; '' when the stop takes none.
        is_optional: the stop can be called without it, and may then end another one, or all.
        open_count: how many more parameters the stop needs that nothing is known for.
    """

    name: str = ""
    is_optional: bool = False
    open_count: int = 0


class Flow(Struct, frozen=True):
    """How much says that a stop's handle is known from the start.

    Attributes:
        answered: that the start's answer has it.
        shared: that both are called with it.
    """

    answered: int = 0
    shared: int = 0

    @property
    def total(self) -> int:
        """Both together."""
        return self.answered + self.shared


def handle_of(start: Step, stop: Step, things: AbstractSet[str]) -> Handle:
    """Return the parameter of `stop` that says which one it ends."""
    own = start.tool.parameters()
    needed = [name for name in stop.needed() if not kind_value(stop, name, things)]
    open_ones = [name for name in needed if name not in own]
    if open_ones:
        chosen = next((name for name in open_ones if _says_which(stop, name, things)), "")
        if chosen or len(open_ones) == 1:
            return Handle(chosen or open_ones[0], open_count=len(open_ones) - 1)
        return Handle(open_count=len(open_ones))
    named = [name for name in needed if _says_which(stop, name, things)]
    by_noun = [name for name in named if set(words_of(name)) & things]
    if named:
        return Handle((by_noun or named)[-1])
    return Handle(needed[0]) if needed else _optional_handle(start, stop, things)


def _optional_handle(start: Step, stop: Step, things: AbstractSet[str]) -> Handle:
    free = [name for name in stop.tool.parameters() if name not in dict(stop.fixed)]
    asked = [name for name in free if _says_which(stop, name, things) and not is_place(name)]
    given = {each.name for each in answer_fields(start.tool)}
    own = start.tool.parameters()
    action = str(stop.fixed[0][1]) if stop.fixed else ""

    def unlikely(name: str) -> tuple[bool, ...]:
        is_named = bool(action) and action in stop.description_of(name)
        return name not in given, not is_named, name in own, not set(words_of(name)) & things

    if asked:
        return Handle(min(asked, key=unlikely), is_optional=True)
    counted = next((name for name in free if words_of(name)[-1:] == ("index",)), "")
    return Handle(counted, is_optional=True) if counted else Handle()


def flow_of(start: Step, stop: Step, handle: str) -> Flow:
    """Return how much says that what `stop` needs is known from `start`."""
    if not handle:
        return Flow()
    names = {each.name for each in answer_fields(start.tool)}
    answered = 0
    if squeezed(handle) in {squeezed(name) for name in names}:
        answered += 25
    elif is_identifier(handle) and any(name.lower() in ("id", "pid", "uuid") for name in names):
        answered += 15
    if start.tool.name in stop.description_of(handle) or start.tool.name in stop.tool.description:
        answered += 20
    spoken = _SPOKEN.get(handle, " ".join(words_of(handle)))
    text = " ".join(re.findall(r"\w+", re.sub(r"[_-]", " ", start.tool.description.lower())))
    if spoken not in ("", "id") and re.search(rf"\b{re.escape(spoken)}\b", text):
        answered += 15
    if is_identifier(handle) and background_switch(start):
        answered += 15
    if handle not in start.tool.parameters() or is_place(handle):
        return Flow(answered)
    # what the start is called with is not what it gives
    answered = min(answered, 5) if handle in start.needed() else answered
    return Flow(answered, 12 if _says_which(stop, handle, frozenset()) else 4)


def background_switch(start: Step) -> str:
    """Return the parameter that lets a start answer while what it started runs; '' when it has none."""
    return next(
        (
            name
            for name, schema in start.tool.parameters().items()
            if "'boolean'" in str(schema) and set(words_of(name)) & BACKGROUND
        ),
        "",
    )


def described_record(step: Step) -> tuple[str, ...]:
    """Return the record that a description says its tool makes, if names say nothing (`Create a model from …`)."""
    said = _said_first(step)[1:6]
    noun = next((word for word in said if word in RECORDS or word in LIVING - FAINT), "")
    return (noun,) if noun in RECORDS else ()


def said_things(step: Step) -> frozenset[str]:
    """Return what lives and a description begins with, before any further detail (`Create a session with a pane`)."""
    return frozenset() if step.fixed else frozenset(_said_first(step)[1:8]) & (LIVING - UNNAMED)


def _said_first(step: Step) -> tuple[str, ...]:
    """Return the words of a description up to the first detail."""
    return words_of(re.sub(r"[^A-Za-z]+", " ", _DETAIL.split(step.tool.description.strip())[0]))


def says_it_waits(description: str) -> bool:
    """Whether a description says that the tool itself, not another one, answers with a finished result."""
    if _ANSWERS_FIRST.search(description):
        return False
    return any(BLOCKING.search(said) for said in re.split(r"(?<=[.!?;])\s", description) if not _OF_OTHERS.search(said))


def name_score(start: Use, stop: Use) -> int | None:
    """Return how well the names belong together, None when they do not."""
    mine, theirs = set(start.things), set(stop.things)
    if mine == theirs or undoes(start.step, stop.step):
        return _SAME
    if not theirs:
        return 8 if mine & LIVING or stop.verb in PARTNERS.get(start.verb, ()) else 0
    if theirs == {NOMINALS.get(start.verb, "")}:
        return 12  # run_python, cancel_run
    if not mine:
        return 10 if theirs & LIVING and start.verb in _SIMPLE_STARTS else None
    if theirs < mine or mine < theirs:
        # not where what is more is a thing of its own: create_sandbox_snapshot / stop_sandbox
        return None if (mine ^ theirs) & (RECORDS | ACCESSORIES) else 12
    return 2 if mine & theirs & LIVING else None


def undoes(start: Step, stop: Step) -> bool:
    """Whether a stop is named like the start as a whole, with a word before or behind (`stop_port_forward`)."""
    if start.fixed:
        return False
    first, last = start.words, stop.words
    while len(first) > 1 and first[0] == last[0]:
        first, last = first[1:], last[1:]
    if not last:
        return False
    if last[0].startswith("un") and (last[0][2:], *last[1:]) == first:
        return True
    return any(last in ((word, *first), (*first, word)) for word in CANCELS)


def partner_score(first: str, last: str) -> int:
    """Return how well a word that ends fits the word that started."""
    partners = PARTNERS.get(first, ())
    return 20 - 5 * min(partners.index(last), 6) if last in partners else 0


def belong(start: Use, stop: Use, names: int | None, flow: Flow, handle: str) -> bool:
    """Whether anything says that two steps are one life, besides that the one starts and the other ends something."""
    is_linked = flow.answered >= LINKED or mentions(start, stop)
    mine, theirs = set(start.things), set(stop.things)
    if names is None:
        return is_linked and not (mine & RECORDS)
    # what runs a command gives back what is over, unless it says which one it began
    if start.verb in _RUNS and not flow.answered:
        is_apart = mine != theirs and not (mine & LIVING - UNNAMED)
        if start.verb != "run" or is_apart or (mine != theirs and handle in start.step.needed()):
            return False
    return not (start.verb in _RUNS - {"run"} and handle in start.step.needed())


def is_of_another(start: Use, handle: str, flow: Flow) -> bool:
    """Whether a start needs the id of a thing that must exist already."""
    if handle not in start.step.needed() or start.verb in MAKERS:
        return False
    if re.search(r"(?i)\b(?:requires?|needs?|must have) an? (?:existing|open|active)\b", start.step.tool.description):
        return True
    return not flow.answered and bool(re.search(r"id$", handle, re.IGNORECASE))


def mentions(start: Use, stop: Use) -> bool:
    """Whether the description of what ends it names what starts it, or what was started."""
    first, last = start.step.tool, stop.step.tool
    if first is last:
        return False
    if first.name in last.description or last.name in first.description:
        return True
    ended = "|".join(map(re.escape, {*stop.things} & LIVING - FAINT - UNNAMED))
    if ended and re.search(
        rf"(?i)\b(?:start|launch|spawn|boot)\w*\W+(?:\w+\W+){{0,2}}(?:{ended})\b", first.description
    ):
        return True
    said = set(words_of(re.sub(r"[^A-Za-z]+", " ", last.description[:200])))
    things = set(start.things)
    return bool(things & LIVING - FAINT) and things <= said


def thing_of(start: Use, stop: Use, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words for what two steps are about; `otherwise` when they say none."""
    things, ended = start.things, stop.things
    if set(things) == set(ended) or not ended:
        return things or ended or otherwise
    if not things:
        return ended
    shared = tuple(word for word in things if word in ended)
    if shared:
        return shared if len(shared) < len(things) and set(shared) & LIVING else things
    return ended if set(ended) & LIVING and not set(things) & LIVING - FAINT - UNNAMED else things


def described_thing(start: Step, stop: Step) -> tuple[str, ...]:
    """Return what lives and both descriptions begin with, if names say none (`connect`: Open a session)."""
    first, last = (
        words_of(re.sub(r"[^A-Za-z]+", " ", re.split(r"[.\n]\s", step.tool.description.strip())[0]))
        for step in (start, stop)
    )
    if not first or first[0] not in STARTS or first[0] == start.words[-1]:
        return ()  # to connect to a server does not start it
    return tuple(dict.fromkeys(word for word in first if word in last and word in LIVING - FAINT - UNNAMED))[:1]


def is_place(name: str) -> bool:
    """Whether a parameter says where things are, and not which one."""
    return bool(set(words_of(name)) & _PLACES) and set(words_of(name)) - {"id", "name", "uid"} <= _PLACES


def _says_which(step: Step, name: str, things: AbstractSet[str]) -> bool:
    """Whether a parameter says which one is meant: by its name, or because it is named like the thing."""
    if is_identifier(name):
        return True
    words = set(words_of(name))
    kind = str(step.tool.parameter(name).get("type", "string"))
    return bool(words - UNNAMED) and (words <= things or words <= LIVING) and kind not in ("object", "boolean", "array")
