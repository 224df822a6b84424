"""Which arguments each call of a drafted class gets, and which of them the class asks its callers for."""

import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from msgspec import Struct

from ostler.model.json import JsonObject, JsonValue
from ostler.rules.checking.identity import is_identifier
from ostler.rules.drafts.argument_drafts import arg_name, arg_schema, is_secret_name, placeholder
from ostler.rules.drafts.handles import answer_source, named_parameter
from ostler.rules.drafts.lifecycle_pairs import LifecyclePair
from ostler.rules.drafts.lifecycle_words import words_of
from ostler.rules.drafts.pair_evidence import background_switch
from ostler.rules.drafts.tool_traits import Step, kind_value, values_of
from ostler.rules.text.manifest_text import reference

_SCOPES = frozenset(
    """
    namespace context project organization org region zone cluster team resource kind api version account
    """.split()  # noqa: SIM905 (a word a line would be a page)
)
"""Words of parameters that say where a thing is, which stopping and asking need as starting did."""

_MATTERING = frozenset(
    """
    command cmd arg argument argv port host hostname url uri image cwd workdir dir directory folder path env
    environment script file program executable binary package language browser template volume config code query target
    module entrypoint interpreter model user username password database
    """.split()  # noqa: SIM905 (a word a line would be a page)
)
"""Words of optional parameters that callers want to give, and not leave to the tool's default."""

_TRIVIA = frozenset(
    [
        "timeout",
        "force",
        "verbose",
        "wait",
        "format",
        "limit",
        "line",
        "offset",
        "cursor",
        "dry",
        "interval",
        "poll",
        "confirm",
        "output",
    ]
)
"""Words of parameters that say how a call is made, and nothing about the thing."""


class ClassArg(Struct):
    """An arg of the class and its facts; `is_open` if both callers and the tool may do without it."""

    name: str
    schema: JsonObject
    required: bool
    is_open: bool = False

    @property
    def template(self) -> str:
        """The template that stands for it in a call."""
        return reference(f"{self.name} | default(omit)" if self.is_open else self.name)


@dataclass(slots=True)
class StepArguments:
    """The arguments of one pair's calls; `for_start` comes first.

    Attributes:
        pair: whose.
        ask: notes a question, and returns the comment that marks the place.
        args: what the class asks its callers for, by parameter.
        left_out: optional parameters of the start that are left to its tool.
        marks: comments for (tool, parameter) that nothing is known for.
        named: the parameter of the start that takes the service's name.
    """

    pair: LifecyclePair
    ask: Callable[[str], str]
    args: dict[str, ClassArg] = field(default_factory=dict[str, ClassArg])
    left_out: list[str] = field(default_factory=list[str])
    marks: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    named: str = field(init=False)

    def __post_init__(self) -> None:
        self.named = named_parameter(self.pair)

    def for_start(self) -> JsonObject:
        """Return the args of the start tool as templates, and note the class's args for them."""
        step = self.pair.start
        values: JsonObject = dict(step.fixed)
        for name, schema in step.tool.parameters().items():
            if name in values:
                continue
            kind = kind_value(step, name, set(self.pair.thing.split())) if name in step.needed() else ""
            if name == self.named or kind:
                values[name] = kind or "{{ name }}"
                continue
            if name == background_switch(step):
                values[name] = True
                continue
            arg = None if self._is_alias(name) else self._arg_for(step, name, schema)
            if arg is None:
                self.left_out.append(name)
                continue
            self.args[name] = arg
            values[name] = arg.template
        return values

    def for_definition(self) -> JsonObject:
        """Return the args of the step that says what it runs, and note the class's args for them."""
        step = self.pair.companions.definition
        if step is None:
            return {}
        values: JsonObject = dict(step.fixed)
        for name, schema in step.tool.parameters().items():
            if name == self.pair.handle:
                values[name] = "{{ name }}" if name == self.named else self.args[name].template
                continue
            arg = self.args.get(name) or self._arg_for(step, name, schema)
            if arg is not None and name not in values:
                self.args[name] = arg
                values[name] = arg.template
        return values

    def _arg_for(self, step: Step, name: str, schema: JsonValue) -> ClassArg | None:
        """Return the arg of the class for a parameter of a step, None when its tool's default will do."""
        known = arg_schema(schema)
        if known["type"] == "string" and is_secret_name(name):
            known["secret"] = True
        asked = (
            re.search(rf"required (?:for|by|when|if|with)\W[^.;)]*\b{self._action()}\b", step.description_of(name))
            if step.fixed
            else None
        )
        if name in step.needed() or asked or name in self._needed_later():
            return ClassArg(arg_name(name), known, "default" not in known)
        default = known.get("default")
        names_one = bool(default) or (default == 0 and words_of(name)[-1:] == ("index",))  # an empty one names none
        is_answered = name == self.pair.handle and not names_one
        if is_answered or not self._matters(name):
            return None
        if "default" in known:
            return ClassArg(arg_name(name), known, required=False)
        # a tool that can start nothing in particular without it
        is_needed = step is self.pair.start and self._is_what_runs(name) and not _is_nullable(schema)
        return ClassArg(arg_name(name), known, required=is_needed, is_open=not is_needed)

    def _needed_later(self) -> set[str]:
        """Return the parameters that other steps cannot do without, though the start can; not what its answer has."""
        pair = self.pair
        steps = [step for step in (pair.stop, pair.status, pair.logs, pair.restart) if step is not None]
        return {name for step in steps for name in step.needed() if name != pair.handle}

    def _action(self) -> str:
        return re.escape(str(self.pair.start.fixed[0][1])) if self.pair.start.fixed else ""

    def _matters(self, name: str) -> bool:
        if set(words_of(name)) & _TRIVIA:
            return False
        return bool(set(words_of(name)) & _MATTERING) or self._is_shared(name)

    def _is_what_runs(self, name: str) -> bool:
        """Whether an optional parameter says what runs, of a start that needs nothing else."""
        return name.lower() in ("command", "cmd", "script", "image", "url") and not self.pair.start.needed()

    def _is_alias(self, name: str) -> bool:
        """Whether an optional parameter says what runs in another word for an arg that is there (`command`, `cmd`)."""
        described = self.pair.start.description_of(name)
        return (
            bool(described)
            and self._is_what_runs(name)
            and any(
                self._is_what_runs(other) and self.pair.start.description_of(other) == described for other in self.args
            )
        )

    def _is_shared(self, name: str) -> bool:
        """Whether the stop takes a parameter of the start too, so that it says which one is meant.

        Where they allow other values, they mean other things: `mode: headless | gui` and `mode: acpi | poweroff`.
        """
        stop = self.pair.stop
        allowed = values_of(stop.tool.parameter(name))
        given = values_of(self.pair.start.tool.parameter(name))
        same = not allowed or (bool(given) and all(value in allowed for value in given))
        taken = same and name in stop.tool.parameters() and name not in dict(stop.fixed)
        return taken and not set(words_of(name)) & _TRIVIA and self.pair.start.tool is not self.pair.stop.tool

    def handle_template(self) -> str:
        """Return the template that says which one is meant; '' when none is needed."""
        handle = self.pair.handle
        if not handle:
            return ""
        if handle == self.named:
            return "{{ name }}"
        if handle in self.args:
            return self.args[handle].template
        about = self.pair.stop.description_of(handle)
        source = answer_source(self.pair)
        is_name = handle == "target" or bool(re.search(r"\bname\b", about, re.IGNORECASE)) or self._is_called(handle)
        if self.named and source.is_guess and is_name:
            return "{{ name }}"
        return reference(f"start.{source.name}")

    def _is_called(self, parameter: str) -> bool:
        """Whether a parameter is the thing's own word (`session`), which is its name if it has one."""
        return set(words_of(parameter)) <= {*self.pair.thing.split(), "name"}

    def of(self, step: Step, handle: str) -> JsonObject:
        """Return the args of another step: the handle, and what start had and it takes as well."""
        values: JsonObject = dict(step.fixed)
        needed = step.needed()
        things = set(self.pair.thing.split())
        for name in step.tool.parameters():
            if name in values:
                continue
            kind = kind_value(step, name, things) if name in needed or _is_other_kind(step, name, things) else ""
            own_end = step is self.pair.stop or step.tool is not self.pair.stop.tool
            if kind:
                values[name] = kind
            elif name == self.pair.handle and handle and (own_end or name in needed or self._is_about_one(step)):
                values[name] = handle
            elif name in self.args and (name in needed or is_identifier(name) or self._says_which(name)):
                values[name] = self.args[name].template
            elif name == self.named and (name in needed or (step is self.pair.stop and not handle)):
                values[name] = "{{ name }}"
            elif handle and name in needed and (self._is_called(name) or name.lower() in ("id", "name")):
                values[name] = (
                    "{{ name }}" if self.named and handle != "{{ name }}" and self._is_called(name) else handle
                )
            elif name in needed:
                self.marks[step.tool.name, name] = self.ask(f"what is {name!r} of {step.tool.name}?")
                values[name] = placeholder(step.tool.parameters()[name])
        return values

    def _is_about_one(self, step: Step) -> bool:
        return step in (self.pair.status, self.pair.logs, self.pair.restart)

    def _says_which(self, name: str) -> bool:
        words = set(words_of(name))
        return bool(words & _SCOPES) or (self._is_shared(name) and not words & _TRIVIA)


def _is_other_kind(step: Step, name: str, things: AbstractSet[str]) -> bool:
    """Whether an optional parameter is about something else unless it is given (`type`: a pane, not the session)."""
    default = step.tool.parameter(name).get("default")
    return isinstance(default, str) and bool(default) and not set(words_of(default)) <= things


def _is_nullable(schema: JsonValue) -> bool:
    text = str(schema)
    return "'null'" in text or "'nullable': True" in text
