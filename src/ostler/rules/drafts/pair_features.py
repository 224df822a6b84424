"""What a tools list says for and against two of its steps being one life, as numbers that are weighed alike.

No word decides alone. A pair is described by its verbs, its nouns, the value that flows from the start to the stop,
what the descriptions say, the annotations, and by how the rest of the server is built around the thing.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property

from msgspec import Struct

from ostler.rules.checking.identity import is_identifier
from ostler.rules.drafts.lifecycle_words import (
    ACCESSORIES,
    ACTS,
    DEFINED,
    EDITS,
    ENDS,
    FAINT,
    FILLERS,
    LIFE,
    LIVING,
    LOOKS,
    OPPOSITES,
    PARTNERS,
    RECORDS,
    STARTS,
    UNNAMED,
    WEAK,
    WORKS,
    squeezed,
    words_of,
)
from ostler.rules.drafts.pair_evidence import (
    LINKED,
    Flow,
    Handle,
    belong,
    described_record,
    described_thing,
    flow_of,
    handle_of,
    is_of_another,
    is_place,
    mentions,
    name_score,
    partner_score,
    said_things,
    thing_of,
    undoes,
)
from ostler.rules.drafts.server_words import ServerWords, Use
from ostler.rules.drafts.tool_traits import Step, Tool
from ostler.rules.text.work_budget import spend

SURE = 2
"""How much must say that a thing runs, for it not to be called a record."""

_STRONG_STARTS = frozenset(("start", "launch", "spawn", "boot", "serve", "forward", "provision", "allocate", "up"))
_STRONG_ENDS = frozenset(("stop", "terminate", "kill", "shutdown", "quit", "halt", "down"))
_GIVING = frozenset(
    ("start", "launch", "spawn", "boot", "create", "open", "new", "connect", "begin", "run", "submit", "initialize",
     "init")
)  # fmt: skip
"""Verbs of tools whose answers have the id of the new thing."""

_ATTACHES = frozenset(("attach", "add", "load", "register", "subscribe", "claim", "join", "enable"))
"""Verbs that move something that exists, rather than begin it."""

_DECLARED = 20
"""How strong a verb at the head of a description must be, for a tool whose name has none to count as a start."""

_LASTING = re.compile(
    r"\bbackground|long-running|persistent|keeps? running|daemon|until (?:you|it is) (?:stop|clos|call)|stays? open",
    re.IGNORECASE,
)
_RETURNS_ID = re.compile(r"\breturns?\b[^.]{0,60}\b(?:id|pid|handle|session|uuid)\b", re.IGNORECASE)
_MOST_LIFE = 8


class PairFacts(Struct, frozen=True):
    """What is known of a start and a stop.

    Attributes:
        features: what says for and against them, by name; each about from -1 to 1, 0 if nothing does.
        handle: the parameter of the stop that says which one it ends.
        thing: the noun that they are about.
        life: how much says that it runs; below `SURE` it is more likely only written down.
    """

    features: Mapping[str, float]
    handle: Handle
    thing: tuple[str, ...]
    life: int

    def reason(self) -> str:
        """Return in words what says most for and against them."""
        known = {
            "linked": f"the start's answer gives {self.handle.name!r}",
            "shared": f"both take {self.handle.name!r}",
            "names_same": "they are named alike",
            "mentions": "one's description names the other or its thing",
            "handle_none": "the stop takes nothing that says which one",
            "handle_unknown": f"nothing shows where {self.handle.name!r} comes from",
            "of_another": "the start works in a thing that must be there already",
            "in_given": "the start works in a thing that another tool makes",
            "accessory": "it is a part of another thing",
        }
        said = [words for name, words in known.items() if self.features.get(name)]
        return "; ".join([*said, *(["it looks like a record, which does not run"] if self.life < SURE else [])])


class PairFeatures:
    """The features of pairs of one server's steps."""

    def __init__(self, tools: Sequence[Tool], words: ServerWords, steps: Sequence[Step]) -> None:
        self._tools = tools
        self._words = words
        self._steps = steps
        self._place = {tool.name: place for place, tool in enumerate(tools)}
        self._parameters = {tool.name: set(tool.parameters()) for tool in tools}
        self._tool_words = [set(words_of(tool.name)) for tool in tools]
        self._content = [words.content(step) for step in steps]
        self._first: dict[str, Use] = {}
        self._last: dict[str, Use] = {}
        self._handles: dict[tuple[str, str], Handle] = {}
        self._uses: dict[tuple[frozenset[str], bool], int] = {}
        self._shares: dict[frozenset[str], float] = {}

    def __repr__(self) -> str:
        return f"PairFeatures({len(self._tools)} tools)"

    @cached_property
    def starts(self) -> list[Step]:
        """The steps that may start something: by their verb, or because nothing says that they do something else."""
        return [step for step in self._steps if not step.tool.is_read_only and self._may_start(step)]

    @cached_property
    def ends(self) -> list[Step]:
        """The steps that end something. The words for this are few, so a step without one is none."""
        return [step for step in self._steps if not step.tool.is_read_only and self._words.verb(step, ENDS)]

    def use_as_start(self, step: Step) -> Use:
        """Return a step with its verb as a start."""
        known = str(step)
        if known not in self._first:
            self._first[known] = self._words.use(step, STARTS)
        return self._first[known]

    def use_as_end(self, step: Step) -> Use:
        """Return a step with its verb as an end."""
        known = str(step)
        if known not in self._last:
            self._last[known] = self._words.use(step, ENDS)
        return self._last[known]

    def open_parameters(self, start: Step, stop: Step) -> int:
        """Return how many parameters a stop needs that nothing is known for, besides the one that says which."""
        return self._handle(start, stop).open_count

    def _handle(self, start: Step, stop: Step) -> Handle:
        """Return the parameter of a stop that says which one it ends."""
        known = (str(start), str(stop))
        if known not in self._handles:
            things = {*self.use_as_start(start).things, *self.use_as_end(stop).things}
            self._handles[known] = handle_of(start, stop, things)
        return self._handles[known]

    def facts(self, start: Step, stop: Step) -> PairFacts:
        """Return the features of two steps as a pair."""
        first, last = self.use_as_start(start), self.use_as_end(stop)
        handle = self._handle(start, stop)
        flow = flow_of(start, stop, handle.name)
        by_handle = (
            tuple(word for word in words_of(handle.name) if word in LIVING) if is_identifier(handle.name) else ()
        )
        record = described_record(start) if not first.things and not last.things else ()
        thing = thing_of(first, last, by_handle or record or self._words.prefix or described_thing(start, stop))
        life = self._life(first, last, thing)
        features = {
            **_verbs(first, last),
            **self._names(first, last),
            **_flow(first, last, handle, flow),
            **_thing(thing, handle, life),
            **_descriptions(first, last),
            **self._server(first, last, handle, thing),
        }
        features["made_defined"] = features["made_deleted"] * float(bool(thing) and {*thing} <= DEFINED)
        features["made_living"] = features["made_deleted"] * features["living"]
        return PairFacts({name: value for name, value in features.items() if value}, handle, thing, life)

    def _may_start(self, step: Step) -> bool:
        if self._words.verb(step, STARTS):
            return True
        words = self._words.content(step)
        if step.fixed or not words or words[0] in ENDS or self._words.verb(step, ENDS):
            return False
        declared = heading_verb(step)
        if declared != "run" and STARTS.get(declared, 0) >= _DECLARED:
            return True
        return words[0] == "navigate" or not set(words) & (LOOKS | ACTS | RECORDS | {"log"})

    # -- what the names say --------------------------------------------------------------------------------

    def _names(self, first: Use, last: Use) -> dict[str, float]:
        mine, theirs = set(first.things), set(last.things)
        shared = set(self._words.content(first.step)) & set(self._words.content(last.step)) - FILLERS
        is_part = bool(mine and theirs) and mine != theirs and (theirs < mine or mine < theirs)
        is_named = not theirs and bool(mine) and frozenset(mine) in self._ended
        return {
            "names_same": float(mine == theirs and bool(mine)),
            "names_bare": float(not mine and not theirs),
            "names_apart": float(name_score(first, last) is None),
            "name_undone": float(undoes(first.step, last.step)),
            "stop_bare": float(not theirs and bool(mine)),
            "start_bare": float(not mine and bool(theirs)),
            "names_nested": float(is_part),
            "names_overlap": float(bool(mine & theirs) and not (mine <= theirs or theirs <= mine)),
            "word_shared": float(bool(shared)),
            "another_named": float(is_named),
            "stop_of_another": float(bool(theirs) and mine != theirs and self._has_own_start(last)),
            "better_partner": float(mine == theirs and self._has_own_start(last, partner_score(first.verb, last.verb))),
            "ends_another": float(self._ends_another(first, last)),
        }

    def _has_own_start(self, last: Use, fit: int = 0) -> bool:
        """Whether a start is about the very thing that an end names, and its verb fits the end better than `fit`."""
        verbs = self._verbs_by_things.get(frozenset(last.things), ())
        return any(partner_score(verb, last.verb) > fit for verb in verbs)

    @cached_property
    def _verbs_by_things(self) -> dict[frozenset[str], list[str]]:
        """What starts are about → the verbs of those."""
        found: dict[frozenset[str], list[str]] = {}
        for use in map(self.use_as_start, self.starts):
            found.setdefault(frozenset(use.things), []).append(use.verb)
        return found

    @cached_property
    def _ended(self) -> set[frozenset[str]]:
        """What ends are about."""
        return {frozenset(self.use_as_end(end).things) for end in self.ends}

    def _ends_another(self, first: Use, last: Use) -> bool:
        """Whether the very opposite of an end is there, and is about something else (`enter_copy_mode`)."""
        things = set(last.things)
        if not things or things & set(first.things) or last.step.fixed:
            return False
        for words in self._content:
            # a tool may be called what all tools are about, and no more: bash, of bash_…
            verb, *about = words or ("",)
            if set(about) == things and last.verb in OPPOSITES.get(verb, PARTNERS.get(verb, ())):
                return True
        return False

    # -- what the rest of the server says ------------------------------------------------------------------

    def _server(self, first: Use, last: Use, handle: Handle, thing: tuple[str, ...]) -> dict[str, float]:
        start, stop = first.step, last.step
        is_which = bool(handle.name) and not is_place(handle.name)
        things = set(thing)
        gap = self._place[stop.tool.name] - self._place[start.tool.name]
        needed = [name for name in start.needed() if is_identifier(name)]
        taken = [name for name in start.tool.parameters() if is_identifier(name) and name not in needed]
        uses = self._use_of(things, is_living=bool(things & LIVING - FAINT)) if things else 0
        return {
            "handle_share": self._handle_share(handle.name, start, stop) if is_which else 0.0,
            "thing_share": self._thing_share(frozenset(things)),
            "next_to": float(gap == 1),
            "near": float(0 <= gap <= 3),
            "behind": float(gap < 0),
            "of_given": float(handle.name in needed and self._gives(handle.name, start)),
            "in_given": float(any(name != handle.name and self._gives(name, start) for name in needed)),
            "may_be_in_given": float(any(name != handle.name and self._gives(name, start) for name in taken)),
            "uses": uses / 3,
        }

    def _handle_share(self, handle: str, start: Step, stop: Step) -> float:
        """Return how many of the other tools take the parameter."""
        own = {start.tool.name, stop.tool.name}
        taking = self._taking[handle] - sum(handle in self._parameters[name] for name in own)
        return taking / max(1, len(self._parameters) - len(own))

    @cached_property
    def _taking(self) -> Counter[str]:
        return Counter(name for names in self._parameters.values() for name in names)

    def _thing_share(self, things: frozenset[str]) -> float:
        """Return how many of the tools are named after the thing."""
        if things not in self._shares:
            about = sum(not things.isdisjoint(words) for words in self._tool_words)
            self._shares[things] = about / len(self._tools)
        return self._shares[things]

    def _gives(self, name: str, start: Step) -> bool:
        """Whether another step makes what `name` is the id of, so that `start` needs it to exist already."""
        return bool(self._givers.get(squeezed(name), set()) - {start.tool.name})

    @cached_property
    def _givers(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        makers = [step for step in self.starts if self.use_as_start(step).verb in _GIVING]
        for start in makers:
            spend()
            first = self.use_as_start(start)
            for stop in self.ends:
                last = self.use_as_end(stop)
                handle = self._handle(start, stop).name
                if not handle or is_place(handle) or handle in start.needed():
                    continue
                if name_score(first, last) is not None or flow_of(start, stop, handle).answered >= LINKED:
                    found.setdefault(squeezed(handle), set()).add(start.tool.name)
        return found

    def _life(self, start: Use, stop: Use, thing: tuple[str, ...]) -> int:
        """Return how much says that the thing runs (or, below `SURE`, that it is only written down)."""
        is_chosen = bool(start.step.fixed)
        records = set(words_of(start.step.tool.name)) & RECORDS if is_chosen else set[str]()
        # where all tools are about one thing, none says it again: ssh_connect, ssh_disconnect
        nouns = {*thing, *records, *(() if start.things else self._words.prefix)}
        is_living = bool(nouns & LIVING - FAINT)
        life = 3 if is_living else 1 if nouns & FAINT else 0
        # what is run and stopped is no mere record, whatever it is called: run_scene, stop_scene
        is_run = start.verb in _STRONG_STARTS - {"up"} | {"run"} and stop.verb in _STRONG_ENDS and not is_chosen
        if nouns & RECORDS and not is_run and (is_chosen or not is_living or thing[-1] in RECORDS):
            life = min(life, 0) - 5
        life += 3 if _is_strong(start) else 1 if start.verb in ("run", "open", "reserve", "deploy") else 0
        gentle = stop.verb in ("close", "end", "cancel", "abort", "release", "destroy") and bool(life or not thing)
        life += 2 if stop.verb in _STRONG_ENDS else int(gentle)
        if not is_chosen:
            descriptions = f"{start.step.tool.description[:400]} {stop.step.tool.description[:400]}"
            life += min(2, len({word.lower() for word in LIFE.findall(descriptions)}) // 2)
            is_written = start.verb in ("create", "new", "add") and stop.verb in ("delete", "remove")
            if is_written and nouns & DEFINED and re.search(r"\bfiles?\b|(?<![\w.])\.[a-z]{2,5}\b", descriptions):
                life -= 5
        return life + self._use_of(nouns, is_living=is_living)

    def _use_of(self, nouns: set[str], *, is_living: bool) -> int:
        """Return what the other tools say: what lives is asked to do things, records are edited."""
        known = (frozenset(nouns), is_living)
        if known not in self._uses:
            self._uses[known] = self._seen_use(nouns, is_living=is_living)
        return self._uses[known]

    def _seen_use(self, nouns: set[str], *, is_living: bool) -> int:
        about = [words for words in self._content if not nouns.isdisjoint(words)]
        use = 1 if any(set(words) & set(WORKS) for words in about) else 0
        if any(words[0] in EDITS or words[-1] in EDITS for words in about):
            use -= 1 if is_living else 3
        if nouns & {"branch", "tag"} and any("commit" in step.words for step in self._steps):
            use -= 3
        return use


def heading_verb(step: Step) -> str:
    """Return the first word of a tool's description as a verb (`Starts a job` is `start`); '' of one of many uses."""
    found = re.match(r"[^A-Za-z]*([A-Za-z]+)", step.tool.description)
    return next(iter(words_of(found[1].lower())), "") if found and not step.fixed else ""


def start_strength(use: Use) -> int:
    """Return how strongly a step says that it starts; `watch(action=start)` starts no more than a watch."""
    own = [STARTS[word] for word in words_of(use.step.tool.name) if word in STARTS] if use.step.fixed else []
    return min(own, default=STARTS.get(use.verb, 0))


def _is_strong(first: Use) -> bool:
    """Whether a verb says that a thing runs from then on, and is not that of a mere watch."""
    return first.verb in _STRONG_STARTS and start_strength(first) >= _DECLARED


def _verbs(first: Use, last: Use) -> dict[str, float]:
    begins, ends = start_strength(first), ENDS.get(last.verb, 0)
    partner = partner_score(first.verb, last.verb)
    is_weak = min(begins, ends) < WEAK
    return {
        "begins": begins / 30,
        "ends": ends / 30,
        "partner": partner / 20,
        "partners": float(partner > 0),
        "weak": float(is_weak),
        "weak_alone": float(is_weak and partner == 0),
        "weak_partner": float(is_weak and partner > 0),
        "unknown_start": float(begins == 0),
        "strong": float(_is_strong(first) and last.verb in _STRONG_ENDS),
        "made_deleted": float(
            first.verb in ("create", "new", "add") and last.verb in ("delete", "remove", "destroy", "drop")
        ),
        "runs": float(first.verb in ("run", "execute", "exec")),
        "navigates": float("navigate" in first.step.words),
        "by_action": float(bool(first.step.fixed)),
        "by_weak_tool": float(bool(first.step.fixed) and 0 < begins < _DECLARED),
        "one_tool": float(first.step.tool is last.step.tool),
    }


def _flow(first: Use, last: Use, handle: Handle, flow: Flow) -> dict[str, float]:
    start, stop = first.step, last.step
    kind = str(stop.tool.parameter(handle.name).get("type")) if handle.name else ""
    runs_command = first.verb in ("run", "execute", "exec")
    return {
        "answered": min(flow.answered, 30) / 30,
        "linked": float(flow.answered >= LINKED),
        "shared": flow.shared / 12,
        "handle_none": float(not handle.name),
        "handle_optional": float(handle.is_optional),
        "handle_open": float(handle.open_count > 0),
        "handle_unknown": float(bool(handle.name) and not flow.total),
        "handle_list": float("array" in kind),
        "of_another": float(is_of_another(first, handle.name, flow)),
        "runs_silently": float(runs_command and not flow.answered),
        "attaches": float(first.verb in _ATTACHES),
        "belongs": float(belong(first, last, name_score(first, last), flow, handle.name)),
        "stop_destroys": float(stop.tool.annotations.get("destructiveHint") is True),
        "start_destroys": float(start.tool is not stop.tool and start.tool.annotations.get("destructiveHint") is True),
    }


def _thing(thing: tuple[str, ...], handle: Handle, life: int) -> dict[str, float]:
    things = set(thing)
    return {
        "living": float(bool(things & (LIVING - FAINT - UNNAMED))),
        "faint": float(bool(things & FAINT) and not things & (LIVING - FAINT)),
        "record": float(bool(things & RECORDS)),
        "record_last": float(bool(thing) and thing[-1] in RECORDS),
        "accessory": float(bool({*thing, *words_of(handle.name)} & ACCESSORIES)),
        "life": max(-_MOST_LIFE, min(_MOST_LIFE, life)) / _MOST_LIFE,
        "sure": float(life >= SURE),
    }


def _descriptions(first: Use, last: Use) -> dict[str, float]:
    begins, ends = heading_verb(first.step), heading_verb(last.step)
    said = "" if first.step.fixed else first.step.tool.description
    return {
        "mentions": float(mentions(first, last)),
        "said_to_start": float(STARTS.get(begins, 0) >= _DECLARED),
        "said_to_look": float(begins in LOOKS | ACTS and begins not in STARTS),
        "said_to_end": float(ENDS.get(ends, 0) >= 18),
        "said_to_last": float(bool(_LASTING.search(said[:500]))),
        "said_thing": float(bool(said_things(first.step) & {*last.things})),
        "said_to_give_id": float(bool(_RETURNS_ID.search(said))),
    }
