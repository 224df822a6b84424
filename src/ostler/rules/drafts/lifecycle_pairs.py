"""Finding the tools of a server that start and stop one thing: by their names, schemas and annotations."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from ostler.model.json import JsonObject

_STARTS: dict[str, tuple[str, ...]] = {
    "start": ("stop", "terminate", "kill", "end", "close", "shutdown"),
    "run": ("stop", "remove", "delete", "kill", "terminate"),
    "create": ("delete", "remove", "destroy", "terminate", "close", "stop", "drop"),
    "open": ("close",),
    "launch": ("close", "stop", "terminate", "kill", "quit"),
    "spawn": ("kill", "terminate", "stop"),
    "new": ("close", "delete", "remove"),
    "connect": ("disconnect", "close"),
    "attach": ("detach",),
    "mount": ("unmount", "umount"),
    "install": ("uninstall", "remove"),
    "deploy": ("undeploy", "destroy", "delete", "remove"),
    "provision": ("deprovision", "destroy", "delete", "release"),
    "acquire": ("release",),
    "allocate": ("release", "deallocate", "free"),
    "subscribe": ("unsubscribe",),
    "psubscribe": ("punsubscribe", "unsubscribe"),
    "register": ("unregister", "deregister"),
    "enable": ("disable",),
    "activate": ("deactivate",),
    "resume": ("pause", "suspend"),
    "restore": ("pause",),
    "forward": ("unforward",),
    "cordon": ("uncordon",),
    "begin": ("end",),
    "boot": ("shutdown", "halt"),
    "join": ("leave",),
    "login": ("logout",),
    "up": ("down",),
}
"""What starts, and what ends it, the likeliest first."""

STARTING_WORDS = frozenset(_STARTS)
"""Words of tools that start something."""

_CANCELS = ("stop", "cancel", "end", "close", "kill", "delete", "remove", "terminate", "abort")
"""Words that end, put before or behind its whole name, what a tool began (`port_forward`, `stop_port_forward`)."""

_STATUS = ("status", "get", "describe", "info", "inspect", "show", "check")
_LISTS = ("list", "ls", "search")
_LOGS = ("logs", "log", "output", "tail")
_RESTARTS = ("restart", "recreate", "reboot", "reload")
_FILLERS = frozenset(
    {"a", "an", "the", "in", "of", "for", "by", "with", "to", "or", "and", "force", "new", "get", "read"}
)
_BULK = ("all", "multiple", "bulk", "batch", "every", "group", "team")
_LIVING_WORDS = """
    process container server session sandbox branch pod tunnel forward browser instance job environment cluster database
    project service app machine vm node deployment workspace page tab trace screencast search release stack worker task
    notebook kernel chart
"""
_LIVING = frozenset(_LIVING_WORDS.split())
"""Nouns of things that run, so that a pair about them is more likely meant than one about files or records."""

_ACTION_PARAMETERS = ("action", "operation", "command", "mode", "subCommand", "op", "verb")
_IDENTIFIERS = re.compile(r"(?:^|[_-]|(?<=[a-z]))(?:id|uid|uuid|pid|name|key|handle|ref|token|slug)s?$", re.IGNORECASE)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as its server lists it."""

    name: str
    input_schema: JsonObject = field(default_factory=dict[str, object])
    output_schema: JsonObject | None = None
    annotations: JsonObject = field(default_factory=dict[str, object])
    description: str = ""

    @property
    def is_read_only(self) -> bool:
        """Whether it says that it changes nothing."""
        return self.annotations.get("readOnlyHint") is True

    def parameters(self) -> JsonObject:
        """Return its parameters by name; those of a lone object that wraps them all are its own."""
        return dict(parameters_of(self.input_schema)[1])

    def parameter(self, name: str) -> JsonObject:
        """Return the schema of one parameter, empty when there is none or it says nothing."""
        schema = self.parameters().get(name)
        return cast("JsonObject", schema) if isinstance(schema, dict) else {}

    def required(self) -> list[str]:
        """Return the names of the parameters that it needs."""
        return list(parameters_of(self.input_schema)[2])


@dataclass(frozen=True, slots=True)
class Step:
    """One use of a tool: the tool itself, or the tool with one value of a parameter that says what to do."""

    tool: Tool
    words: tuple[str, ...]
    fixed: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self.tool.name + "".join(f"({key}={value})" for key, value in self.fixed)

    def needed(self) -> list[str]:
        """Return the parameters that it needs, without those that are fixed."""
        return [name for name in self.tool.required() if name not in dict(self.fixed)]


@dataclass(frozen=True, slots=True)
class LifecyclePair:
    """What starts a thing and what stops it, with what else tells of it.

    Attributes:
        start: the step that starts it.
        stop: the step that ends it.
        thing: what it is, in the words of the tools (`branch`, `port forward`).
        score: how likely it is a lifecycle; only the order of several means something.
        handle: the parameter of `stop` that says which one; empty when it needs none.
        status: the step that tells how it is.
        listing: the step that lists all of them.
        logs: the step that shows what it wrote.
        restart: the step that restarts it.
        others: other steps that may be what ends it.
    """

    start: Step
    stop: Step
    thing: str
    score: int
    handle: str = ""
    status: Step | None = None
    listing: Step | None = None
    logs: Step | None = None
    restart: Step | None = None
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.start} / {self.stop}"


def find_pairs(tools: Sequence[Tool]) -> list[LifecyclePair]:
    """Return what of `tools` starts and stops a thing, the likeliest first; each starting tool once."""
    steps = [step for tool in tools for step in _steps(tool)]
    found: list[LifecyclePair] = []
    for start in steps:
        ends = [pair for stop in steps if (pair := _pair(start, stop)) is not None]
        if ends:
            best, *rest = sorted(ends, key=lambda pair: (-pair.score, str(pair)))
            found.append(_with_views(best, steps, tuple(str(pair.stop) for pair in rest)))
    return sorted(found, key=lambda pair: (-pair.score, str(pair)))


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a tool's name, in lower case and singular (`pods_run`, `listPods`: pod)."""
    return tuple(_singular(word.lower()) for word in _WORDS.findall(name))


def parameters_of(schema: JsonObject) -> tuple[str, JsonObject, list[str]]:
    """Return (wrapper, parameters, required): `wrapper` is the lone object parameter that holds all others, or ''."""
    properties: JsonObject = schema.get("properties") or {}
    if len(properties) == 1:
        [name] = properties
        inner: JsonObject = properties[name] if isinstance(properties[name], dict) else {}
        if inner.get("type") == "object" and inner.get("properties"):
            return name, inner["properties"], list(inner.get("required") or [])
    return "", properties, list(schema.get("required") or [])


def is_identifier(name: str) -> bool:
    """Whether a parameter's name says which one is meant (`id`, `branchId`, `container_name`)."""
    return _IDENTIFIERS.search(name) is not None


# -- steps and pairs ---------------------------------------------------------------------------------------


def _steps(tool: Tool) -> Iterator[Step]:
    words = words_of(tool.name)
    yield Step(tool, words)
    for name in _ACTION_PARAMETERS:
        for value in tool.parameter(name).get("enum") or ():
            if isinstance(value, str):
                yield Step(tool, (*words, *words_of(value)), ((name, value),))


def _pair(start: Step, stop: Step) -> LifecyclePair | None:
    """Return the two as a pair, None when they are not one."""
    if start.tool.is_read_only or stop.tool.is_read_only or str(start) == str(stop):
        return None
    if bool(start.fixed) != bool(stop.fixed) or (start.fixed and start.tool.name != stop.tool.name):
        return None
    if any(word in stop.words for word in _BULK) and not any(word in start.words for word in _BULK):
        return None
    named = _match_names(start, stop)
    if named is None:
        return None
    score, thing = named
    handle = _handle(start, stop, thing)
    if handle is None or (handle and not _is_one(stop, handle) and handle not in start.tool.parameters()):
        return None
    score += 10 if _LIVING & set(thing) else 0
    score += 1 if stop.tool.annotations.get("destructiveHint") is True else 0
    score += 4 if handle and _is_one(stop, handle) else 0
    score -= 12 if handle and not _is_one(stop, handle) else 0
    return LifecyclePair(start, stop, " ".join(thing), score, handle)


def _match_names(start: Step, stop: Step) -> tuple[int, tuple[str, ...]] | None:
    """Return how well the names belong together and what they are about."""
    return _match_verbs(start, stop) or (None if start.fixed else _match_whole_names(start, stop))


def _match_verbs(start: Step, stop: Step) -> tuple[int, tuple[str, ...]] | None:
    for verb in (word for word in _STARTS if word in start.words):
        things = _without(start.words, verb)
        for rank, ending in enumerate(_STARTS[verb]):
            if ending not in stop.words:
                continue
            ended = _without(stop.words, ending)
            if set(things) == set(ended):
                return 60 - 2 * rank, things
            if not ended and _LIVING & set(things) and start.tool is not stop.tool:
                return 30 - 2 * rank, things
    return None


def _match_whole_names(start: Step, stop: Step) -> tuple[int, tuple[str, ...]] | None:
    if stop.words[0].startswith("un") and (stop.words[0][2:], *stop.words[1:]) == start.words:
        return 58, start.words
    is_cancel = any(stop.words in ((word, *start.words), (*start.words, word)) for word in _CANCELS)
    return (56, start.words) if is_cancel else None


def _without(words: tuple[str, ...], verb: str) -> tuple[str, ...]:
    return tuple(word for word in words if word != verb and word not in _FILLERS)


def _handle(start: Step, stop: Step, thing: tuple[str, ...]) -> str | None:
    """Return the parameter of `stop` that says which one, '' when it needs none, None when nothing can give it."""
    needed = stop.needed()
    parameters = stop.tool.parameters()
    own = start.tool.parameters()
    open_ones = [name for name in needed if name not in own]
    if len(open_ones) > 1:
        # several, of which at most one can be what the start gave
        given = [name for name in open_ones if is_identifier(name)]
        if len(given) != 1 or len(open_ones) > 2:
            return None
        return given[0]
    if open_ones:
        return open_ones[0]
    shared = [name for name in needed if name in own]
    by_noun = [name for name in shared if is_identifier(name) and set(words_of(name)) & set(thing)]
    plain = [name for name in shared if is_identifier(name)]
    if by_noun or plain:
        return (by_noun or plain)[-1]
    if shared:
        return shared[0]
    optional = [name for name in parameters if is_identifier(name) and name not in dict(stop.fixed) and name not in own]
    return optional[0] if optional else next((name for name in parameters if name == "index"), "")


def _is_one(stop: Step, handle: str) -> bool:
    return "array" not in str(stop.tool.parameter(handle).get("type"))


# -- what else tells of the thing --------------------------------------------------------------------------


def _with_views(pair: LifecyclePair, steps: Sequence[Step], others: tuple[str, ...]) -> LifecyclePair:
    rest = [step for step in steps if str(step) not in (str(pair.start), str(pair.stop), *others)]
    return replace(
        pair,
        status=_view(rest, pair, _STATUS, (*_STATUS, *_FILLERS)),
        listing=_view(rest, pair, _LISTS, _FILLERS),
        logs=_view(rest, pair, _LOGS, (*_LOGS, *_LISTS, *_FILLERS)),
        restart=_view(rest, pair, _RESTARTS, _FILLERS, changes=True),
        others=others,
    )


def _view(
    steps: Sequence[Step],
    pair: LifecyclePair,
    verbs: Sequence[str],
    ignored: Iterable[str],
    *,
    changes: bool = False,
) -> Step | None:
    """Return the step about the pair's thing that one of `verbs` names, if what it needs is known by then."""
    thing = set(pair.thing.split())
    known = {*pair.start.tool.parameters(), pair.handle}
    found: list[tuple[int, int, str, Step]] = []
    for step in steps:
        verb = next((word for word in verbs if word in step.words), None)
        if verb is None or set(step.words) & set(_BULK) or (changes and step.tool.is_read_only):
            continue
        if not changes and step.tool.annotations.get("destructiveHint") is True:
            continue
        about = set(step.words) - {verb, *ignored}
        if not changes and about & _CHANGES - thing:
            continue
        fits = bool(about) and about <= thing if thing else not about and pair.start.words[0] in _PLAIN_STARTS
        if fits and all(name in known for name in step.needed()) and _takes_all(step, pair.start):
            found.append((len(thing - about), verbs.index(verb), str(step), step))
    return min(found, key=lambda item: item[:3])[3] if found else None


def _takes_all(step: Step, start: Step) -> bool:
    """Whether a step takes every value that the start may have had for the parameters that both have."""
    for name in step.tool.parameters():
        given, taken = (tool.parameter(name).get("enum") for tool in (start.tool, step.tool))
        if name not in dict(start.fixed) and given and taken and not all(value in taken for value in given):
            return False
    return True


_PLAIN_STARTS = ("start", "run", "create", "open", "launch")
_CHANGES = frozenset(_STARTS) | frozenset(ending for endings in _STARTS.values() for ending in endings)


def _singular(word: str) -> str:
    if word in ("logs", "status", "process", "kubernetes", "alias", "class", "access", "ls", "dns", "tls"):
        return word
    if word.endswith(("sses", "xes", "ches")):
        return word[:-2]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        return word[:-1]
    return word
