"""The other tools of a thing that a server starts and stops: what shows its state, lists it, logs, restarts."""

import re
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from msgspec import Struct

from ostler.rules.drafts.answer_fields import answer_fields
from ostler.rules.drafts.lifecycle_words import (
    ALSO_NOUNS,
    BULK,
    DEFINED,
    ENDS,
    FILLERS,
    LISTS,
    LOGS,
    RESTARTS,
    SAME_AGAIN,
    STARTS,
    STATUS,
    singular,
    words_of,
)
from ostler.rules.drafts.server_words import ServerWords
from ostler.rules.drafts.tool_traits import Step, kind_value


class Companions(Struct, frozen=True):
    """Steps about the thing of a pair.

    Attributes:
        status: shows the state of one.
        listing: lists all of them.
        logs: shows the output of one.
        restart: restarts one.
        doubtful_restart: may restart one, or put an empty one in its place.
        definition: says what one runs, of a start that takes no more than its name.
        probe: shows a part of one, and so may fail once it is gone.
    """

    status: Step | None = None
    listing: Step | None = None
    logs: Step | None = None
    restart: Step | None = None
    doubtful_restart: Step | None = None
    definition: Step | None = None
    probe: Step | None = None


_DESTROYS = re.compile(
    r"\b(destroy|delet|discard|wip(e[sd]?|ing)\b|eras|re-?creat|re-?build|reset|roll(s|ed)? ?back|"
    r"los(e[sn]?|t|ing)\b|drop|overwrit|scratch|clean|fresh|replac|factory|"
    r"new (container|instance|session|sandbox|vm|machine|one)\b)",
    re.IGNORECASE,
)
"""Phrases in descriptions of tools that replace what ran by something else."""

_RESTARTS_IT = re.compile(r"\b(re-?starts?|re-?starting|reboots?|stops? (and|then) (re-?)?starts?)\b", re.IGNORECASE)
_DRAINS = re.compile(
    r"\b(drain\w*|consum\w*|empt(?:y|ies) the|discard\w*|removes? (?:it|them|what)|since the last (?:read|call)|"
    r"unread (?:data|output|bytes))\b",
    re.IGNORECASE,
)
"""Phrases in descriptions of tools whose call removes what it shows."""

_OF_ALL = re.compile(r"\b(?:all|every|each)\b", re.IGNORECASE)
_DEFINES = ("add", "define", "register", "create")
_CHANGES = frozenset(STARTS) | frozenset(ENDS)
_USES = frozenset(("start", "launch", "run", "open"))
_ACTING = frozenset(("set", "send", "write", "update", "wait", "exec", "execute", "run", "clear", "save"))
_IDLE = frozenset(("get", "read", "list", "show", "all", "recent", "last", "latest", "current", "available", "by"))
_ABOUT_IT = frozenset(
    ("status", "state", "info", "detail", "details", "health", "output", "log", "logs", "process", "job", "session",
     "instance", "server", "id", "running", "active", "live")
)  # fmt: skip
"""Words that the name of a view may have besides those of the thing."""


def companions_of(
    start: Step, handle: str, thing: AbstractSet[str], words: ServerWords, rest: Sequence[Step]
) -> Companions:
    """Return what else shows a thing.

    Args:
        start: the step that starts it.
        handle: the parameter of the stop that says which one.
        thing: the words for it.
        words: the words of its server.
        rest: the other steps of the server.
    """
    views = _Views(start, handle, thing, words)
    restart = views.best(rest, RESTARTS, views.restarts)
    return Companions(
        views.best(rest, STATUS, views.shows_state),
        views.best(rest, (*LISTS, "status"), views.lists),
        # a word for what is shown is none if it is the thing itself: list_streams
        views.best(rest, [word for word in LOGS if word not in thing], views.shows_logs),
        restart,
        None if restart else views.best(rest, RESTARTS, views.may_restart),
        views.definition(rest),
        views.best(rest, ("status", "get", "list", "show", "describe", "info"), views.shows_a_part),
    )


class _View(Struct, frozen=True):
    """A step that may be a view: its verbs, and its other words."""

    step: Step
    spoken: tuple[str, ...]
    verb: str
    about: frozenset[str]


class _Views(Struct, frozen=True):
    """Finds the steps that are about one thing, and can be called with what is known of it."""

    start: Step
    handle: str
    thing: AbstractSet[str]
    words: ServerWords

    def best(self, rest: Sequence[Step], verbs: Sequence[str], fits: Callable[[_View], bool]) -> Step | None:
        """Return the step that one of `verbs` names and that `fits`, the closest to the thing first."""
        found: list[tuple[bool, int, int, str, Step]] = []
        for step in rest:
            view = self._view(step, verbs)
            if view is not None and self._is_known(step) and fits(view):
                is_blind = bool(self.handle) and not self._takes(step)
                far = len(self.thing - view.about)
                found.append((is_blind, far, verbs.index(view.verb), str(step), step))
        return min(found, key=lambda item: item[:4])[4] if found else None

    def _view(self, step: Step, verbs: Sequence[str]) -> _View | None:
        words = self.words.content(step)
        spoken = step.saying if step.fixed else words
        verb = next((word for word in verbs if word in spoken), None)
        if verb is None:
            return None
        return _View(step, spoken, verb, frozenset(words) - {*verbs, *FILLERS, *_IDLE})

    def definition(self, rest: Sequence[Step]) -> Step | None:
        """Return the step that defines what one runs; None if the start does."""
        named = self.handle
        if not named or named not in self.start.needed() or set(self.start.tool.parameters()) - {named}:
            return None
        for step in rest:
            view = self._view(step, _DEFINES)
            is_whole = named in step.needed() and len(step.needed()) > 1 and not step.tool.is_read_only
            if view is not None and is_whole and view.spoken[0] == view.verb and view.about == self.thing:
                return step
        return None

    # -- what each must be ---------------------------------------------------------------------------------

    def shows_state(self, view: _View) -> bool:
        """Whether a view shows the state of one."""
        if set(view.spoken) & set(LOGS) - {"read"} and not set(view.spoken) & {"status", "state"}:
            return False
        said = view.step.tool.description
        # what is read without its id may be the output of another
        is_of_any = self._takes(view.step) and self.handle not in view.step.needed()
        if view.verb == "read" and (is_of_any or _DRAINS.search(said)):
            return False
        if self.handle and view.step.saying == ("status",) and not view.step.tool.parameters() and _OF_ALL.search(said):
            return False  # it lists all
        return self._is_of_one(view) and not self._is_definition(view)

    def lists(self, view: _View) -> bool:
        """Whether a view lists all of them."""
        if view.verb in ("get", "show", "search") and not self._is_plural(view.step):
            return False
        if view.verb == "status" and (view.step.needed() or not _OF_ALL.search(view.step.tool.description)):
            return False
        is_about = bool(view.about & self.thing) or not view.about or not self.thing
        is_strange = bool(view.about - self.thing - _ABOUT_IT)
        is_single = bool(self.handle) and self.handle in view.step.needed()
        return is_about and not is_strange and not is_single and self._looks(view) and not self._is_definition(view)

    def shows_a_part(self, view: _View) -> bool:
        """Whether a view shows something of one, and is called with nothing but its id."""
        needs_one = bool(self.handle) and view.step.needed() == [self.handle]
        return needs_one and self._looks(view) and not _DRAINS.search(view.step.tool.description)

    def shows_logs(self, view: _View) -> bool:
        """Whether a view shows the output of one."""
        if view.verb == "stream" and view.spoken[0] != "stream":
            return False  # list_streams, get_stream
        alone = not self.handle and not view.step.needed() and bool(set(view.spoken) & set(LOGS) - {"read", "stream"})
        return (alone and self._looks(view)) or self._is_of_one(view)

    def restarts(self, view: _View) -> bool:
        """Whether a step restarts one, by its name or description, and keeps its data."""
        tool = view.step.tool
        described = "" if view.step.fixed else tool.description  # that of a tool with actions is about all of them
        says_so = view.verb in SAME_AGAIN or bool(_RESTARTS_IT.search(described))
        is_harmless = tool.annotations.get("destructiveHint") is not True or bool(view.step.fixed)
        return says_so and is_harmless and not _DESTROYS.search(described) and self.may_restart(view)

    def may_restart(self, view: _View) -> bool:
        """Whether a step restarts one, or puts another in its place."""
        if view.step.tool.is_read_only or set(view.spoken) & BULK or view.about - self.thing - _ABOUT_IT:
            return False
        return self._takes(view.step) or not self.handle or bool(self._aliases(view.step))

    def _is_of_one(self, view: _View) -> bool:
        takes = self._takes(view.step)
        # a command's `task_id` is also what `get_command_task` is about
        handle = set(words_of(self.handle)) if takes else set[str]()
        if not self._looks(view) or set(view.spoken) & BULK or view.about - self.thing - _ABOUT_IT - handle:
            return False
        if self.thing and not takes:
            if view.about and not view.about & self.thing:
                return False
            if not view.about and not view.step.fixed and view.step.needed():
                return False
        # an answer in one text is about none of them in particular
        has_fields = any(each.name != "result" for each in answer_fields(view.step.tool))
        is_lone = not view.step.needed() and has_fields and not view.step.fixed
        return not self.handle or takes or is_lone or bool(self._aliases(view.step))

    def _looks(self, view: _View) -> bool:
        """Whether a step changes nothing, by its annotations and words."""
        if view.step.tool.annotations.get("destructiveHint") is True:
            return False
        if view.spoken[0] in _ACTING or view.spoken[0] in _CHANGES - ALSO_NOUNS:
            return False
        return not view.about & _CHANGES - self.thing

    def _takes(self, step: Step) -> bool:
        return self.handle in step.tool.parameters()

    def _is_known(self, step: Step) -> bool:
        """Whether all that a step needs is known by then."""
        known = {*self.start.tool.parameters(), self.handle, *self._aliases(step)}
        is_known = all(name in known or kind_value(step, name, self.thing) for name in step.needed())
        return is_known and _takes_all(step, self.start)

    def _is_plural(self, step: Step) -> bool:
        """Whether a tool's name has the thing in the plural (`get_sessions`)."""
        raw = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+", step.tool.name)]
        return any(singular(word) in self.thing and singular(word) != word for word in raw)

    def _is_definition(self, view: _View) -> bool:
        """Whether a view shows what could run, and not what runs (`list_apps`, `get_project_info`)."""
        if not self.thing or not self.thing <= DEFINED or not _USES & set(self.start.saying):
            return False
        described = re.search(r"\b(running|active|started|alive)\b", view.step.tool.description, re.IGNORECASE)
        return not described and not set(view.spoken) & {"status", "state", "running", "active", "is"}

    def _aliases(self, step: Step) -> list[str]:
        """Return parameters that say which one is meant by another name (`session` for a session's `name`)."""
        return [name for name in step.tool.parameters() if self._is_alias(set(words_of(name)))]

    def _is_alias(self, words: set[str]) -> bool:
        plain = words - {"id", "name"}
        return bool(plain) and plain <= self.thing


def _takes_all(step: Step, start: Step) -> bool:
    """Whether a step takes every value that the start may have had for the parameters that both have."""
    for name in step.tool.parameters():
        given, taken = (tool.parameter(name).get("enum") for tool in (start.tool, step.tool))
        if name not in dict(start.fixed) and given and taken and not all(value in taken for value in given):
            return False
    return True
