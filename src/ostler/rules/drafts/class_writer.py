"""Writes a drafted class: the calls of each step, what flows between them, and the questions that are left."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ostler.model.json import JsonObject, JsonValue
from ostler.rules.checking.identity import is_identifier
from ostler.rules.drafts.answer_fields import answer_fields
from ostler.rules.drafts.answer_states import (
    PROSE_ERROR,
    PROSE_GONE,
    has_state,
    is_missing_an_error,
    item_expectation,
    key_of,
    list_of_items,
    state_expectation,
)
from ostler.rules.drafts.argument_drafts import arg_name, arg_schema, is_secret_name, placeholder
from ostler.rules.drafts.handles import answer_source, named_parameter, path_text
from ostler.rules.drafts.lifecycle_pairs import LifecyclePair
from ostler.rules.drafts.lifecycle_words import words_of
from ostler.rules.drafts.tool_traits import Step, kind_value, parameters_of
from ostler.rules.text.manifest_text import flow, quoted, reference, scalar, shortened, wrapped, yaml_key

_SCOPES = frozenset(
    """
    namespace context project organization org region zone cluster team resource kind api version account
    """.split()  # noqa: SIM905 (a word a line would be a page)
)
"""Words of parameters that say where a thing is, which stopping and asking need as starting did."""

_MATTERING = frozenset(
    """
    command cmd args arguments port ports host hostname url uri image cwd workdir dir directory folder path env
    environment script file program executable binary package language browser template volumes config code query target
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
        "lines",
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

_TELLING = re.compile(
    r"(?:^|_|(?<=[a-z]))(?:id|pid|url|uri|address|endpoint|host|hostname|port|ip|ref|file|path|token)$", re.IGNORECASE
)
"""Names of answered values that are worth keeping: what says which one it is, and where to reach it."""

_SLOW = re.compile(r"\bminutes?\b|\bdownloads?\b|\bpull(?:s|ed)?\b|\bprovision", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Draft:
    """A drafted class.

    Attributes:
        name: its name.
        manifest: its YAML, with comments.
        start: the tool that starts, as `server/tool`.
        stop: the tool that stops.
        questions: what the tools leave open, for a person or a trial to answer.
        alternatives: other pairs of the server, as `start / stop`.
    """

    name: str
    manifest: str
    start: str
    stop: str
    questions: tuple[str, ...]
    alternatives: tuple[str, ...] = ()


@dataclass(slots=True)
class _Arg:
    """An arg of the class and what is known about it; `is_open` when callers may leave it out and the tool, too."""

    name: str
    schema: JsonObject
    required: bool
    is_open: bool = False

    @property
    def template(self) -> str:
        return reference(f"{self.name} | default(omit)" if self.is_open else self.name)


@dataclass(slots=True)
class ClassWriter:
    """Writes one class. Lines are collected; questions are numbered as they come up."""

    server: str
    pair: LifecyclePair
    name: str
    rivals: Sequence[str] = ()
    questions: list[str] = field(default_factory=list[str])
    args: dict[str, _Arg] = field(default_factory=dict[str, _Arg])
    left_out: list[str] = field(default_factory=list[str])
    marks: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    named: str = ""

    def draft(self, others: tuple[str, ...]) -> Draft:
        """Return the draft.

        Args:
            others: other pairs of the server, as `start / stop`.
        """
        self.named = named_parameter(self.pair)
        start_args = self._start_args()
        handle = self._handle_template()
        stop_args = self._args_of(self.pair.stop, handle)
        body = [*self._head(), *self._args_section(), *self._config(start_args, stop_args, handle)]
        asked = [f"#   {number}. {text}" for number, text in enumerate(self.questions, 1)]
        top = [f"# Drafted from the tools of server {self.server}: {self.pair}."]
        if asked:
            top += ["# What the tools do not say (marked ASK below):", *wrapped(asked)]
        manifest = "\n".join([*top, *body]) + "\n"
        start, stop = (f"{self.server}/{step.tool.name}" for step in (self.pair.start, self.pair.stop))
        return Draft(self.name, manifest, start, stop, tuple(self.questions), others)

    # -- what is passed on ---------------------------------------------------------------------------------

    def _start_args(self) -> JsonObject:
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
            arg = self._arg_for(name, schema)
            if arg is None:
                self.left_out.append(name)
                continue
            self.args[name] = arg
            values[name] = arg.template
        return values

    def _arg_for(self, name: str, schema: JsonValue) -> _Arg | None:
        """Return the arg of the class for a parameter of the start, None when its tool's default will do."""
        step = self.pair.start
        known = arg_schema(schema)
        if known["type"] == "string" and is_secret_name(name):
            known["secret"] = True
        asked = (
            re.search(rf"required (?:for|by|when|if|with)\W[^.;)]*\b{self._action()}\b", step.description_of(name))
            if step.fixed
            else None
        )
        if name in step.needed() or asked:
            return _Arg(arg_name(name), known, "default" not in known)
        is_answered = name == self.pair.handle and "default" not in known
        if is_answered or not self._matters(name):
            return None
        if "default" in known:
            return _Arg(arg_name(name), known, required=False)
        # a tool that can start nothing in particular without it
        is_needed = self._is_what_runs(name) and not _is_nullable(schema)
        return _Arg(arg_name(name), known, required=is_needed, is_open=not is_needed)

    def _action(self) -> str:
        return re.escape(str(self.pair.start.fixed[0][1])) if self.pair.start.fixed else ""

    def _matters(self, name: str) -> bool:
        if set(words_of(name)) & _TRIVIA:
            return False
        return bool(set(words_of(name)) & _MATTERING) or self._is_shared(name)

    def _is_what_runs(self, name: str) -> bool:
        """Whether an optional parameter says what runs, of a start that needs nothing else."""
        return name.lower() in ("command", "cmd", "script", "image", "url") and not self.pair.start.needed()

    def _is_shared(self, name: str) -> bool:
        """Whether the stop takes a parameter of the start too, so that it says which one is meant."""
        taken = name in self.pair.stop.tool.parameters() and name not in dict(self.pair.stop.fixed)
        return taken and not set(words_of(name)) & _TRIVIA and self.pair.start.tool is not self.pair.stop.tool

    def _handle_template(self) -> str:
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
        if self.named and source.is_guess and (re.search(r"\bname\b", about, re.IGNORECASE) or self._is_called(handle)):
            return "{{ name }}"
        return reference(f"start.{source.name}")

    def _is_called(self, parameter: str) -> bool:
        """Whether a parameter is the thing's own word (`session`), which is its name where it has one."""
        return set(words_of(parameter)) <= {*self.pair.thing.split(), "name"}

    def _args_of(self, step: Step, handle: str) -> JsonObject:
        """Return the args of another step: the handle, and what start had and it takes as well."""
        values: JsonObject = dict(step.fixed)
        needed = step.needed()
        things = set(self.pair.thing.split())
        for name in step.tool.parameters():
            if name in values:
                continue
            kind = kind_value(step, name, things) if name in needed else ""
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
                self.marks[step.tool.name, name] = self._ask(f"what is {name!r} of {step.tool.name}?")
                values[name] = placeholder(step.tool.parameters()[name])
        return values

    def _is_about_one(self, step: Step) -> bool:
        return step in (self.pair.status, self.pair.logs, self.pair.restart)

    def _says_which(self, name: str) -> bool:
        words = set(words_of(name))
        return bool(words & _SCOPES) or (self._is_shared(name) and not words & _TRIVIA)

    def _ask(self, question: str) -> str:
        """Note a question, and return the comment that marks the place."""
        if question not in self.questions:
            self.questions.append(question)
        return f"# ASK {self.questions.index(question) + 1}"

    # -- the sections --------------------------------------------------------------------------------------

    def _head(self) -> Iterator[str]:
        thing = self.pair.thing or "process"
        described = " ".join(self.pair.start.tool.description.split())
        text = f"A {thing} through the MCP server {self.server}: {self.pair.start.tool.name} starts it."
        if described:
            text += " " + shortened(described)
        yield from ("apiVersion: ostler/v1", "kind: ServiceClass", "metadata:", f"  name: {self.name}")
        yield f"  labels: {{server: {scalar(self.server)}}}"
        yield from ("spec:", f"  description: {scalar(text)}")

    def _args_section(self) -> Iterator[str]:
        if not self.args:
            return
        yield "  args:"
        for arg in self.args.values():
            yield f"    {yaml_key(arg.name)}:"
            yield f"      type: {arg.schema['type']}"
            if arg.required:
                yield "      required: true"
            for key in ("default", "enum", "pattern", "minimum", "maximum", "items", "secret", "description"):
                if key in arg.schema:
                    yield f"      {key}: {scalar(arg.schema[key])}"

    def _config(self, start_args: JsonObject, stop_args: JsonObject, handle: str) -> Iterator[str]:
        pair = self.pair
        yield from ("  serviceConfig:", f"    serviceType: {scalar('-'.join(pair.thing.split()) or 'process')}")
        yield from ("    lifecycleTools:", "      start:", f"        tool: {self.server}/{pair.start.tool.name}")
        if self.rivals:
            others = "; or ".join(self.rivals[:4])
            yield f"        {self._ask(f'is {pair} what is meant? The server also has {others}')}"
        yield from self._call_args(pair.start, start_args)
        if self.left_out:
            yield "          # optional, and left out here; an arg of the class can give each:"
            yield from wrapped([f"          #   {', '.join(self.left_out)}"])
        if pair.start.tool.output_schema is None:
            yield "        # an answer that says in words that it failed"
            yield f"        expectNot: {{matches: {quoted(PROSE_ERROR)}}}"
        outputs = list(self._outputs(handle))
        if outputs:
            yield "        outputs:"
            yield from (f"          {line}" for line in outputs)
        yield from ("      stop:", f"        tool: {self.server}/{pair.stop.tool.name}")
        yield from self._call_args(pair.stop, stop_args)
        yield from self._about_stop(handle)
        yield from self._status(handle, [line.partition(":")[0] for line in outputs])
        if pair.logs is not None:
            yield from self._step("logs", pair.logs, handle)
        if pair.restart is not None:
            yield from self._step("restart", pair.restart, handle)
        elif (doubtful := pair.companions.doubtful_restart) is not None:
            asked = f"does {doubtful} run the same {pair.thing or 'one'} again, with all that it has?"
            yield f"      {self._ask(asked)} Then it may be the restart; it is left out, as it may destroy"
        if _SLOW.search(pair.start.tool.description):
            yield "    timeout: {create: 10m, delete: 1m}"
        yield "    # nothing was tried, so a person must check what an interrupted start left behind"
        yield "    onUnknown: hold"
        names = [line.partition(":")[0] for line in outputs]
        if names:
            yield "    outputs:"
            yield from (f"      {name}: {scalar(reference(f'start.{name}'))}" for name in names)

    def _about_stop(self, handle: str) -> Iterator[str]:
        pair = self.pair
        if pair.others:
            others = " or ".join(pair.others)
            yield f"        {self._ask(f'is {pair.stop} the right end of {pair.start}, or is {others}?')}"
        if not handle:
            question = f"{pair.stop} names none: does it end this one alone? Then have one at a time, else say which"
            yield f"        {self._ask(question)}"

    def _step(self, step_name: str, step: Step, handle: str) -> Iterator[str]:
        yield from (f"      {step_name}:", f"        tool: {self.server}/{step.tool.name}")
        yield from self._call_args(step, self._args_of(step, handle))

    def _call_args(self, step: Step, values: JsonObject) -> Iterator[str]:
        wrapper = parameters_of(step.tool.input_schema)[0]
        if not values:
            if wrapper:
                yield f"        args: {{{yaml_key(wrapper)}: {{}}}}"
            return
        yield "        args:"
        indent = "          "
        if wrapper:
            yield f"{indent}{yaml_key(wrapper)}:"
            indent += "  "
        for name, value in values.items():
            mark = self.marks.get((step.tool.name, name), "")
            yield f"{indent}{yaml_key(name)}: {scalar(value)}{mark and f'  {mark}'}"

    def _outputs(self, handle: str) -> Iterator[str]:
        """Yield what is kept of the start tool's answer."""
        taken = handle.startswith("{{ start.")
        source = answer_source(self.pair) if taken else None
        if source is not None:
            mark = ""
            if source.is_guess:
                asked = f"where does the answer of {self.pair.start.tool.name} have {self.pair.handle!r}?"
                mark = f"  {self._ask(asked)}: this takes what follows its name"
            yield f"{source.name}: {source.spec}{mark}"
        kept = {source.name} if source else set[str]()
        for each in answer_fields(self.pair.start.tool):
            is_plain = each.kind in ("string", "integer", "number") and each.name.isidentifier()
            if not is_plain or each.name in kept or each.name in self.args or not _TELLING.search(each.name):
                continue
            if source is not None and each.path == source.spec:
                continue
            kept.add(each.name)
            is_sure = each.is_sure and self.pair.start.tool.output_schema is not None
            yield (
                f"{each.name}: {each.path}"
                if is_sure
                else f"{each.name}: {{path: {path_text(each.path)}, required: false}}"
            )

    # -- whether it is there -------------------------------------------------------------------------------

    def _status(self, handle: str, outputs: Sequence[str]) -> Iterator[str]:
        step = self.pair.status or self.pair.listing
        if step is None:
            yield f"      {self._ask('no tool shows whether it exists; is there one on another server?')}"
            return
        look = self._status_of_one if self.pair.status else self._status_by_list
        lines = list(look(step, handle))
        yield from ("      status:", *lines)
        fields = {each.name: each.path for each in answer_fields(step.tool)}
        is_known = handle and not handle.startswith("{{ start.") and not any("ASK" in line for line in lines)
        if is_known and all(name in fields for name in outputs):
            yield from ("      find:", *lines)
            if outputs:
                yield "        outputs:"
                paths = ((name, path_text(fields[name])) for name in outputs)
                yield from (f"          {name}: {{path: {path}, required: false}}" for name, path in paths)

    def _status_of_one(self, step: Step, handle: str) -> Iterator[str]:
        yield f"        tool: {self.server}/{step.tool.name}"
        yield from self._call_args(step, self._args_of(step, handle))
        expected = state_expectation(step.tool)
        if expected is not None:
            described: JsonObject = {"success": True} if is_missing_an_error(step.tool) else {}
            yield f"        expect: {flow({**described, **expected})}"
            return
        if is_missing_an_error(step.tool):
            yield "        expect: {success: true}"
        yield f"        expectNot: {{matches: {quoted(PROSE_GONE)}}}"
        text = f"what does the answer of {step.tool.name} have when it is well?"
        yield f"        {self._ask(text)}: until then all counts that does not say it is gone"
        yield f"        # expect: {{jsonPath: {{{_state_key(step)}: running}}}}"

    def _status_by_list(self, step: Step, handle: str) -> Iterator[str]:
        yield f"        tool: {self.server}/{step.tool.name}"
        yield from self._call_args(step, self._args_of(step, handle))
        if not handle:
            yield f"        {self._ask(f'which part of the answer of {step.tool.name} is about this one?')}"
            return
        listed = list_of_items(step.tool)
        key = (
            key_of(listed[1], self.pair.handle, self.pair.thing, is_name=self.pair.handle == self.named)
            if listed
            else ""
        )
        if listed and key:
            yield f"        batch: {{items: {quoted(listed[0])}, match: {{{yaml_key(key)}: {scalar(handle)}}}}}"
            expected = item_expectation(listed[1])
            if expected is not None:
                yield f"        expect: {flow(expected)}"
            elif has_state(listed[1]):
                yield f"        {self._ask(f'which state do the entries of {step.tool.name} have while it runs?')}"
            return
        kind = arg_schema(self.pair.stop.tool.parameters().get(self.pair.handle)).get("type")
        if kind in ("integer", "number"):
            pattern = rf"\b{handle}\b"
            yield f"        expect: {{matches: {quoted(pattern)}}}"
        else:
            yield f"        expect: {{contains: {scalar(handle)}}}"
        question = f"does {step.tool.name} still list it when it has ended? Then expect its state, too"
        yield f"        {self._ask(question)}"


def _state_key(step: Step) -> str:
    """Return what a tool calls the state in its answer, as far as it says so."""
    names = [each.path for each in answer_fields(step.tool)]
    return next((key for key in ("status", "state", "phase") if key in names), "status")


def _is_nullable(schema: JsonValue) -> bool:
    text = str(schema)
    return "'null'" in text or "'nullable': True" in text
