"""Finding the tools of a server that start and stop one thing.

Each two uses of tools that may be a start and a stop are described by what a list says for and against them
(`pair_features`), and this is summed up with weights that were fitted to lists that people labelled (`pair_weights`). A
pair below 0 is less likely than that the server has none: what is merely written down and deleted again, such as a note
or a user, is not a lifecycle.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from ostler.rules.checking.identity import is_identifier
from ostler.rules.drafts.companions import Companions, companions_of
from ostler.rules.drafts.lifecycle_words import ACCESSORIES, BULK, DEFINED, LIVING, UNNAMED, squeezed, words_of
from ostler.rules.drafts.pair_evidence import said_things, says_it_waits
from ostler.rules.drafts.pair_features import SURE, PairFacts, PairFeatures
from ostler.rules.drafts.pair_weights import REFUSAL, WEIGHTS
from ostler.rules.drafts.server_words import ServerWords
from ostler.rules.drafts.tool_traits import Step, Tool, steps_of
from ostler.rules.text.work_budget import spend

_CLOSE = 1.5
"""Scores that are no further apart than this do not show which pair is meant."""

_UNLIKELY = -4.0
"""Pairs below this score are not offered, not even where someone asks for their start."""

_MOST = 0.5
"""The share of tools that take an identifier from which on all works in what it names."""

_BELOW = 0.1
"""How far a part is put below the thing that it is a part of."""

_PAUSES = frozenset(("pause", "suspend", "disable"))
"""What these end exists before and after."""

_CONTINUES = frozenset(("resume", "unpause", "enable"))
"""What these start exists before and after."""


class LifecyclePair(Struct, frozen=True):
    """What starts a thing and what stops it, with what else shows it.

    Attributes:
        start: the step that starts it.
        stop: the step that ends it.
        thing: what it is, in the words of the tools (`branch`, `port forward`).
        score: how likely it is the lifecycle that is meant, in log-odds against that there is none.
        handle: the parameter of `stop` that says which one; empty when it needs none.
        is_record: it is more likely something that is written down than something that runs.
        is_pause: it exists before and after, as with resume and pause, or enable and disable.
        gives: the start makes what the stop's handle names, so that others may need it.
        is_of_most: most other tools of the server take what says which one.
        is_said: the description of the start begins with what the stop is about.
        is_apart: their names do not belong together.
        is_anothers: the stop fits the verb of another start better.
        companions: the tools that show it, show its logs or restart it.
        others: other steps that may be what ends it.
        reason: what says most for and against them, in words.
    """

    start: Step
    stop: Step
    thing: str
    score: float
    handle: str = ""
    is_record: bool = False
    is_pause: bool = False
    gives: bool = False
    is_of_most: bool = False
    is_said: bool = False
    is_apart: bool = False
    is_anothers: bool = False
    companions: Companions = field(default_factory=Companions)
    others: tuple[str, ...] = ()
    reason: str = ""

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
        """The step that shows its output."""
        return self.companions.logs

    @property
    def restart(self) -> Step | None:
        """The step that restarts it."""
        return self.companions.restart

    def rivals(self, pair: "LifecyclePair") -> bool:
        """Whether `pair` is about as likely."""
        return str(pair.start) != str(self.start) and pair.score >= self.score - _CLOSE


class Weights(Struct, frozen=True):
    """What each feature of a pair adds to its score; a score below `refusal` is less likely than that there is none."""

    features: Mapping[str, float]
    refusal: float

    def score(self, features: Mapping[str, float]) -> float:
        """Return how likely a pair is, in log-odds against that there is none."""
        return sum(self.features.get(name, 0.0) * value for name, value in features.items()) - self.refusal


FITTED = Weights(WEIGHTS, REFUSAL)


def find_pairs(tools: Sequence[Tool], *, records: bool = False, weights: Weights = FITTED) -> list[LifecyclePair]:
    """Return which of `tools` start and stop a thing, the likeliest first; each starting step once.

    Args:
        tools: the tools of one server.
        records: whether things that are rather written down than run are wanted, too.
        weights: what to judge by.

    Raises:
        WorkSpentError: there are so many tools that it takes more than the work under way may.
    """
    server = _Server(tools, weights)
    found: list[LifecyclePair] = []
    for start in server.starts:
        ends = [pair for stop in server.ends if server.can_be(start, stop) and (pair := server.pair(start, stop))]
        likely = [pair for pair in ends if pair.score >= _UNLIKELY and (records or not pair.is_pause)]
        if likely:
            said = [pair for pair in likely if pair.is_said]
            likely = [pair for pair in likely if pair.is_said or not pair.is_apart] if said else likely
            best, *rest = sorted(likely, key=lambda pair: (pair.is_anothers * _CLOSE - pair.score, str(pair)))
            near = tuple(str(pair.stop) for pair in rest if pair.score >= best.score - _CLOSE)
            found.append(replace(best, others=near))
    found = [replace(pair, score=_as_part(pair, found)) for pair in found]
    kept = [pair for pair in found if records or pair.score >= 0]
    return [replace(pair, companions=server.companions(pair)) for pair in _ordered(kept)]


def _ordered(pairs: Sequence[LifecyclePair]) -> list[LifecyclePair]:
    """Return pairs, the likeliest first; of those that are about as likely, what surely runs before what may not."""
    ordered = sorted(pairs, key=lambda pair: (-pair.score, str(pair)))
    if not ordered or not ordered[0].is_record:
        return ordered
    first = next((pair for pair in ordered if not pair.is_record and ordered[0].rivals(pair)), ordered[0])
    return [first, *(pair for pair in ordered if pair is not first)]


def said_pair(tools: Sequence[Tool], start: Step, stop: Step) -> LifecyclePair:
    """Return two steps as the pair that a person said they are."""
    server = _Server(tools, FITTED)
    pair = server.pair(start, stop)
    return replace(pair, is_record=False, is_pause=False, companions=server.companions(pair))


def find_step(tools: Sequence[Tool], wanted: str) -> Step | None:
    """Return the step called `wanted`: a tool, or `tool(action=value)`."""
    return next((step for tool in tools for step in steps_of(tool) if str(step) == wanted), None)


def candidates(tools: Sequence[Tool]) -> list[tuple[Step, Step, PairFacts]]:
    """Return each two steps that may be a start and a stop, with what is known of them: what weights are fitted to."""
    server = _Server(tools, FITTED)
    return [
        (start, stop, server.features.facts(start, stop))
        for start in server.starts
        for stop in server.ends
        if server.can_be(start, stop) and not server.is_pause(start, stop)
    ]


def _as_part(pair: LifecyclePair, pairs: Sequence[LifecyclePair]) -> float:
    """Return the score of a pair: below that of what it is a part of, such as a language server in a sandbox.

    A start that needs the id of another thing works in that thing. What it starts is the same thing, and no part, where
    both are called alike: a container is created, and then started.
    """
    needed = {squeezed(name) for name in pair.start.needed() if _says_of(name)}
    is_part = bool({*pair.thing.split()} & {*ACCESSORIES, "capture"})
    taken = {squeezed(name) for name in pair.start.tool.parameters() if is_part and _says_of(name)} | needed
    wholes = [
        other.score
        for other in pairs
        if squeezed(other.handle) in (taken if other.is_of_most else needed)
        and other.start.tool is not pair.start.tool
        and other.thing != pair.thing
        and other.score >= 0
        and not other.is_record
        and other.gives
    ]
    return min([pair.score, *(score - _BELOW for score in wholes)])


class _Server:
    """The steps of one server, and facts about all of them."""

    def __init__(self, tools: Sequence[Tool], weights: Weights) -> None:
        self._weights = weights
        self._words = ServerWords(tools)
        steps = [step for tool in tools for step in steps_of(tool)]
        # a tool that chooses by `action` is not used without one
        chosen = {step.tool.name for step in steps if step.fixed}
        self._uses = [step for step in steps if step.fixed or step.tool.name not in chosen]
        self.features = PairFeatures(tools, self._words, self._uses)

    @property
    def starts(self) -> list[Step]:
        """The steps that may start something."""
        return self.features.starts

    @property
    def ends(self) -> list[Step]:
        """The steps that end something."""
        return self.features.ends

    def companions(self, pair: LifecyclePair) -> Companions:
        """Return what else shows the pair's thing."""
        spend()
        taken = (str(pair.start), str(pair.stop), *pair.others)
        rest = [step for step in self._uses if str(step) not in taken]
        return companions_of(pair.start, pair.handle, frozenset(pair.thing.split()), self._words, rest)

    def is_pause(self, start: Step, stop: Step) -> bool:
        """Whether what two steps start and end exists before and after."""
        is_continued = self.features.use_as_start(start).verb in _CONTINUES
        return is_continued or self.features.use_as_end(stop).verb in _PAUSES

    def pair(self, start: Step, stop: Step) -> LifecyclePair:
        """Return the two as a pair, however unlikely it is."""
        spend()
        facts = self.features.facts(start, stop)
        score = self._weights.score(facts.features)
        return LifecyclePair(
            start,
            stop,
            " ".join(facts.thing),
            score,
            facts.handle.name,
            is_record=facts.life < SURE,
            is_pause=self.is_pause(start, stop),
            gives=_gives(start, facts),
            is_of_most=facts.features.get("handle_share", 0) >= _MOST,
            is_said="said_thing" in facts.features,
            is_apart="names_apart" in facts.features or ("stop_bare" in facts.features and self._is_of_all(start)),
            is_anothers="better_partner" in facts.features,
            reason=facts.reason(),
        )

    def _is_of_all(self, start: Step) -> bool:
        """Whether a stop without a noun is about the noun of all tools, while the start names another one first."""
        return bool({*self._words.prefix} & LIVING - said_things(start))

    def can_be(self, start: Step, stop: Step) -> bool:
        """Whether two steps can be a pair at all, and a class of them complete."""
        if str(start) == str(stop) or (start.tool is stop.tool and not _are_actions(start, stop)):
            return False
        if BULK & set(self._words.content(stop)) and not BULK & set(self._words.content(start)):
            return False
        if BULK & set(self._words.content(start)) and not BULK & set(self._words.content(stop)):
            return False  # create_many, kill
        if stop.saying == ("cleanup",) and not stop.tool.parameters():
            return False
        use = self.features.use_as_start(start)
        is_moved = use.verb == "up" and bool(use.things) and not {*use.things} & LIVING  # mouse_up, scroll_up
        waits = use.verb in ("run", "execute", "exec") and says_it_waits(start.tool.description)
        return not is_moved and not waits and self.features.open_parameters(start, stop) <= 1


def _says_of(name: str) -> bool:
    """Whether a parameter says which thing a tool works in."""
    return is_identifier(name) or {*words_of(name)} <= LIVING - UNNAMED - DEFINED


def _gives(start: Step, facts: PairFacts) -> bool:
    """Whether a start makes what the stop's handle names: it answers with it, or it is called with a name for it."""
    known = facts.features.keys()
    is_doubtful = "names_overlap" in known or ("names_apart" in known and "said_thing" not in known)
    if is_doubtful and "linked" not in known:
        return False
    is_named = "said_thing" in known and bool(said_things(start) & {*words_of(facts.handle.name)})
    return facts.handle.name not in start.needed() or is_named


def _are_actions(start: Step, stop: Step) -> bool:
    """Whether two uses of one tool are two values of the parameter that chooses, or two flags."""
    if not start.fixed or not stop.fixed:
        return False
    return start.fixed[0][0] == stop.fixed[0][0] or start.fixed[0][1] is True
