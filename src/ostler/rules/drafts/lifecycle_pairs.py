"""Finding the tools of a server that start and stop one thing.

Each two uses of tools are weighed by all that a list says: the verbs and what the tools are about, whether an id or a
name flows from the one to the other, annotations, descriptions, output schemas and recorded answers. What is merely
written down and deleted again, such as a note or a user, is not a lifecycle.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from ostler.rules.checking.identity import is_identifier
from ostler.rules.drafts.companions import Companions, companions_of
from ostler.rules.drafts.lifecycle_words import (
    ACCESSORIES,
    BLOCKING,
    BULK,
    DEFINED,
    EDITS,
    ENDS,
    FAINT,
    LIFE,
    LIVING,
    OPPOSITES,
    PARTNERS,
    RECORDS,
    STARTS,
    UNNAMED,
    WEAK,
    WORKS,
    words_of,
)
from ostler.rules.drafts.pair_evidence import (
    LINKED,
    belong,
    described_thing,
    flow_of,
    handle_of,
    is_of_another,
    mentions,
    name_score,
    partner_score,
    thing_of,
)
from ostler.rules.drafts.server_words import ServerWords, Use
from ostler.rules.drafts.tool_traits import Step, Tool, steps_of

_SURE = 2
"""How much must say that a thing lives, for its pair to be taken without being asked for."""

_CLOSE = 10
"""Scores that are no further apart than this do not show which pair is meant."""

_PAUSES = frozenset(("pause", "suspend", "disable"))
"""What these end is there before and after."""

_ACCESSORY = 50
_EXISTING = 30
_UNKNOWN_HANDLE = 12
_STRONG_STARTS = frozenset(("start", "launch", "spawn", "boot", "serve", "forward", "provision", "allocate", "up"))
_STRONG_ENDS = frozenset(("stop", "terminate", "kill", "shutdown", "quit", "halt", "down"))


@dataclass(frozen=True, slots=True)
class LifecyclePair:
    """What starts a thing and what stops it, with what else shows it.

    Attributes:
        start: the step that starts it.
        stop: the step that ends it.
        thing: what it is, in the words of the tools (`branch`, `port forward`).
        score: how likely it is a lifecycle; only the order of several means something.
        handle: the parameter of `stop` that says which one; empty when it needs none.
        is_record: it is more likely something that is written down than something that runs.
        is_pause: it is there before and after, as with resume and pause, or enable and disable.
        companions: the tools that show it, show its logs or restart it.
        others: other steps that may be what ends it.
    """

    start: Step
    stop: Step
    thing: str
    score: int
    handle: str = ""
    is_record: bool = False
    is_pause: bool = False
    companions: Companions = field(default_factory=Companions)
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.start} / {self.stop}"

    @property
    def status(self) -> Step | None:
        """The step that shows its state."""
        return self.companions.status

    @property
    def listing(self) -> Step | None:
        """The step that lists all of them."""
        return self.companions.listing

    @property
    def logs(self) -> Step | None:
        """The step that shows what it wrote."""
        return self.companions.logs

    @property
    def restart(self) -> Step | None:
        """The step that restarts it."""
        return self.companions.restart

    def rivals(self, pair: "LifecyclePair") -> bool:
        """Whether `pair` is about as likely what is meant."""
        return str(pair.start) != str(self.start) and pair.score >= self.score - _CLOSE


def find_pairs(tools: Sequence[Tool], *, records: bool = False) -> list[LifecyclePair]:
    """Return what of `tools` starts and stops a thing, the likeliest first; each starting step once.

    Args:
        tools: the tools of one server.
        records: whether things that are rather written down than run are wanted, too.
    """
    server = _Server(tools)
    found: list[LifecyclePair] = []
    for start in server.starts:
        ends = server.nearest([pair for stop in server.ends if (pair := server.pair(start, stop)) is not None])
        if ends:
            best, *rest = sorted(ends, key=lambda pair: (-pair.score, str(pair)))
            near = tuple(str(pair.stop) for pair in rest if pair.score >= best.score - _CLOSE)
            found.append(replace(best, others=near))
    found = [replace(pair, score=pair.score - _ACCESSORY * _is_part(pair, found)) for pair in found]
    kept = [pair for pair in found if records or not (pair.is_record or pair.is_pause)]
    ordered = sorted(kept, key=lambda pair: (-pair.score, str(pair)))
    return [replace(pair, companions=server.companions(pair)) for pair in ordered]


def said_pair(tools: Sequence[Tool], start: Step, stop: Step) -> LifecyclePair:
    """Return two steps as the pair that a person said they are."""
    server = _Server(tools)
    pair = server.weighed(start, stop)
    return replace(pair, is_record=False, is_pause=False, companions=server.companions(pair))


def find_step(tools: Sequence[Tool], wanted: str) -> Step | None:
    """Return the step called `wanted`: a tool, or `tool(action=value)`."""
    return next((step for tool in tools for step in steps_of(tool) if str(step) == wanted), None)


class _Server:
    """The steps of one server, and what they say together."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._words = ServerWords(tools)
        self._steps = [step for tool in tools for step in steps_of(tool)]
        # a tool that chooses by `action` is not used without one
        chosen = {step.tool.name for step in self._steps if step.fixed}
        self._uses = [step for step in self._steps if step.fixed or step.tool.name not in chosen]

    @cached_property
    def starts(self) -> list[Step]:
        """The steps that start something."""
        return [step for step in self._uses if not step.tool.is_read_only and self._words.verb(step, STARTS)]

    @cached_property
    def ends(self) -> list[Step]:
        """The steps that end something."""
        return [step for step in self._uses if not step.tool.is_read_only and self._words.verb(step, ENDS)]

    def companions(self, pair: LifecyclePair) -> Companions:
        """Return what else shows the pair's thing."""
        taken = (str(pair.start), str(pair.stop), *pair.others)
        rest = [step for step in self._uses if str(step) not in taken]
        return companions_of(pair.start, pair.handle, frozenset(pair.thing.split()), self._words, rest)

    def pair(self, start: Step, stop: Step) -> LifecyclePair | None:
        """Return the two as a pair, None when they are not one."""
        if not self._can_be(start, stop):
            return None
        first, last = self._words.use(start, STARTS), self._words.use(stop, ENDS)
        if self._ends_another(first, last):
            return None
        handle = handle_of(start, stop, {*first.things, *last.things})
        flow = flow_of(start, stop, handle.name)
        if not belong(first, last, name_score(first, last), flow, handle.name):
            return None
        if handle.open_count > 1 or (handle.open_count and flow.answered < LINKED):
            return None
        is_weak = min(STARTS.get(first.verb, 0), ENDS.get(last.verb, 0)) < WEAK
        if is_weak and last.verb not in PARTNERS.get(first.verb, ()):
            return None
        return self.weighed(start, stop)

    def nearest(self, ends: list[LifecyclePair]) -> list[LifecyclePair]:
        """Return those of one start's ends that may be meant: none that names no thing where one names the start's."""
        about = set(self._words.use(ends[0].start, STARTS).things) if ends else set[str]()
        named = {str(pair.stop): set(self._words.use(pair.stop, ENDS).things) for pair in ends}
        if not about or about not in named.values():
            return ends
        return [pair for pair in ends if named[str(pair.stop)]]

    def weighed(self, start: Step, stop: Step) -> LifecyclePair:
        """Return the two as a pair, whatever says against it."""
        first, last = self._words.use(start, STARTS), self._words.use(stop, ENDS)
        handle = handle_of(start, stop, {*first.things, *last.things}).name
        flow = flow_of(start, stop, handle)
        names = name_score(first, last)
        by_handle = tuple(word for word in words_of(handle) if word in LIVING) if is_identifier(handle) else ()
        thing = thing_of(first, last, by_handle or self._words.prefix or described_thing(start, stop))
        life = self._life(first, last, thing)
        begins, ends = _strength(first, STARTS), ENDS.get(last.verb, 0)
        score = begins + ends + partner_score(first.verb, last.verb) + (-6 if names is None else names)
        score += min(flow.total, 30) + 2 * life + _hints(start, stop)
        score += 6 if mentions(first, last) else 0
        if handle and not flow.total and (begins < STARTS["execute"] + 5 or "name" in handle):
            score -= _UNKNOWN_HANDLE
        if is_of_another(first, handle, flow):
            score -= _EXISTING
        if handle and "array" in str(stop.tool.parameter(handle).get("type")):
            score -= _UNKNOWN_HANDLE
        if not start.fixed and {*thing} & FAINT and not {*thing} & (LIVING - FAINT):
            score -= _UNKNOWN_HANDLE
        if {*thing, *words_of(handle)} & ACCESSORIES or min(begins, ends) < WEAK:
            score -= _ACCESSORY
        return LifecyclePair(start, stop, " ".join(thing), score, handle, life < _SURE, last.verb in _PAUSES)

    def _can_be(self, start: Step, stop: Step) -> bool:
        """Whether two steps can be a pair at all."""
        if str(start) == str(stop) or (start.tool is stop.tool and not (start.fixed and stop.fixed)):
            return False
        if start.tool is stop.tool and start.fixed[0][0] != stop.fixed[0][0] and start.fixed[0][1] is not True:
            return False
        if BULK & set(self._words.content(stop)) and not BULK & set(self._words.content(start)):
            return False
        if stop.saying == ("cleanup",) and not stop.tool.parameters():
            return False
        use = self._words.use(start, STARTS)
        if use.verb == "up" and use.things and not {*use.things} & LIVING:
            return False  # mouse_up, scroll_up
        runs = use.verb in ("run", "execute", "exec")
        return not (runs and BLOCKING.search(start.tool.description))

    def _ends_another(self, first: Use, last: Use) -> bool:
        """Whether the very opposite of an end is there, and is about something else (`enter_copy_mode`)."""
        things = set(last.things)
        if not things or things & set(first.things) or last.step.fixed:
            return False
        for step in self._uses:
            # a tool may be called what all tools are about, and no more: bash, of bash_…
            verb, *about = self._words.content(step) or ("",)
            if set(about) == things and last.verb in OPPOSITES.get(verb, PARTNERS.get(verb, ())):
                return True
        return False

    def _life(self, start: Use, stop: Use, thing: tuple[str, ...]) -> int:
        """Return how much says that the thing runs (or, below `_SURE`, that it is only written down)."""
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
        life += 3 if start.verb in _STRONG_STARTS else 1 if start.verb in ("run", "open", "reserve", "deploy") else 0
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
        about = [words for step in self._steps if set(words := self._words.content(step)) & nouns]
        use = 1 if any(set(words) & set(WORKS) for words in about) else 0
        if any(words[0] in EDITS or words[-1] in EDITS for words in about):
            use -= 1 if is_living else 3
        if nouns & {"branch", "tag"} and any("commit" in step.words for step in self._steps):
            use -= 3
        return use


def _is_part(pair: LifecyclePair, pairs: Sequence[LifecyclePair]) -> bool:
    """Whether a start needs the id of what another pair makes: a language server in a sandbox.

    What surely runs may well be made from a record: a sandbox from its template.
    """
    needed = {name for name in pair.start.needed() if name != pair.handle and is_identifier(name)}
    surely_runs = bool({*pair.thing.split()} & (LIVING - FAINT - UNNAMED))
    return any(
        other.handle in needed
        and other.start.tool is not pair.start.tool
        and other.handle not in other.start.needed()
        and not (other.is_record and surely_runs)
        for other in pairs
    )


def _strength(use: Use, table: Mapping[str, int]) -> int:
    """Return how strongly a step says what it does; `watch(action=start)` starts no more than a watch."""
    own = [table[word] for word in words_of(use.step.tool.name) if word in table] if use.step.fixed else []
    return min(own, default=table.get(use.verb, 0))


def _hints(start: Step, stop: Step) -> int:
    """Return what the annotations say: to end a thing destroys, to start one does not."""
    ends = stop.tool.annotations.get("destructiveHint") is True
    begins = start.tool is not stop.tool and start.tool.annotations.get("destructiveHint") is True
    return 1 if ends else -3 if begins else 0
