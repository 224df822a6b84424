"""A first ServiceClass from the tools of a server: what is certain is written, what is not is asked."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ostler.model.errors import DefinitionError
from ostler.model.json import JsonObject
from ostler.rules.drafts.argument_drafts import arg_name, arg_schema, is_secret_name, placeholder
from ostler.rules.drafts.lifecycle_pairs import (
    LifecyclePair,
    Step,
    Tool,
    find_pairs,
    is_identifier,
    parameters_of,
    words_of,
)
from ostler.rules.text.manifest_text import quoted, reference, scalar, shortened, wrapped, yaml_key

MAX_CLASS_NAME = 63

_SCOPES = frozenset(
    """
    namespace context project organization org region zone cluster team resource kind api version
    account
    """.split()  # noqa: SIM905 (a word a line would be a page)
)
"""Words of parameters that say where a thing is, which stopping and asking need as starting did."""


_TELLING = re.compile(
    r"(?:^|_|(?<=[a-z]))(?:id|pid|url|uri|address|endpoint|host|hostname|port|ip|ref|file|path|token)$", re.IGNORECASE
)
"""Names of answered values that are worth keeping: what says which one it is, and where to reach it."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A drafted class.

    Attributes:
        name: its name.
        manifest: its YAML, with comments.
        start: the tool that starts, as `server/tool`.
        stop: the tool that stops.
        questions: what the tools do not tell, and a person or a trial has to.
        alternatives: other pairs of the server, as `start / stop`.
    """

    name: str
    manifest: str
    start: str
    stop: str
    questions: tuple[str, ...]
    alternatives: tuple[str, ...] = ()


def draft_class(server: str, tools: Sequence[Tool], *, name: str = "", start: str = "", stop: str = "") -> Draft:
    """Return a class drafted from the tools of `server`.

    Args:
        server: its name in mcp.json.
        tools: its tools.
        name: the class's name; empty for one made from the server and the thing.
        start: the tool that starts, when the likeliest is not the right one.
        stop: the tool that stops.

    Raises:
        DefinitionError: no tools belong together as start and stop; it says what there is.
    """
    pairs = find_pairs(tools)
    fitting = [pair for pair in pairs if _is_meant(pair.start, start)]
    if stop:
        fitting = [pair for pair in fitting if _is_meant(pair.stop, stop)] or _forced(fitting, tools, stop)
    if not fitting:
        raise _no_pair(server, tools, pairs, start, stop)
    chosen = fitting[0]
    others = tuple(str(pair) for pair in pairs if str(pair.start) != str(chosen.start))
    return _Writer(server, chosen, name or _class_name(server, chosen.thing)).draft(others)


def _is_meant(step: Step, wanted: str) -> bool:
    return not wanted or wanted in (str(step), step.tool.name)


def _forced(pairs: Sequence[LifecyclePair], tools: Sequence[Tool], stop: str) -> list[LifecyclePair]:
    """Return the first pair with `stop` in the place of its own end, when the server has such a tool."""
    tool = next((tool for tool in tools if tool.name == stop), None)
    if tool is None or not pairs:
        return []
    pair = pairs[0]
    step = Step(tool, words_of(tool.name))
    open_ones = [name for name in step.needed() if name not in pair.start.tool.parameters()]
    handle = next((name for name in (*open_ones, *step.needed()) if is_identifier(name)), "")
    return [
        LifecyclePair(
            pair.start, step, pair.thing, pair.score, handle, pair.status, pair.listing, pair.logs, pair.restart
        )
    ]


def _no_pair(
    server: str, tools: Sequence[Tool], pairs: Sequence[LifecyclePair], start: str, stop: str
) -> DefinitionError:
    wanted = " and ".join(f"{what}={value!r}" for what, value in (("start", start), ("stop", stop)) if value)
    if pairs:
        known = "; ".join(map(str, pairs[:8]))
        return DefinitionError(
            f"server {server!r} has no pair of tools with {wanted}", next_actions=(f"choose one of: {known}",)
        )
    names = ", ".join(tool.name for tool in tools[:40]) or "none"
    return DefinitionError(
        f"no two tools of server {server!r} look as if one starts and the other stops a thing (tools: {names})",
        next_actions=(
            "name them: start=TOOL and stop=TOOL",
            "or do it once by tool_call, and draft from these calls (no server)",
        ),
    )


def _class_name(server: str, thing: str) -> str:
    known = words_of(server)
    words = [word for word in thing.split() if word not in known] or thing.split()
    text = re.sub(r"[^a-z0-9]+", "-", "-".join([server.lower(), *words])).strip("-")
    return text[:MAX_CLASS_NAME].rstrip("-") or "drafted"


@dataclass(slots=True)
class _Arg:
    """An arg of the class and what is known about it."""

    name: str
    schema: JsonObject
    required: bool


@dataclass(slots=True)
class _Writer:
    """Writes one class. Lines are collected; questions are numbered as they come up."""

    server: str
    pair: LifecyclePair
    name: str
    questions: list[str] = field(default_factory=list[str])
    args: dict[str, _Arg] = field(default_factory=dict[str, _Arg])
    left_out: list[str] = field(default_factory=list[str])
    marks: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    def draft(self, others: tuple[str, ...]) -> Draft:
        start_args = self._start_args()
        handle = self._handle_source()
        stop_args = self._args_of(self.pair.stop, handle)
        body = [*self._head(), *self._args_section(), *self._config(start_args, stop_args, handle)]
        asked = [f"#   {number}. {text}" for number, text in enumerate(self.questions, 1)]
        top = [f"# Drafted from the tools of server {self.server}: {self.pair}."]
        if asked:
            top += ["# What the tools do not tell (marked ASK below):", *wrapped(asked)]
        manifest = "\n".join([*top, *body]) + "\n"
        return Draft(
            self.name,
            manifest,
            f"{self.server}/{self.pair.start.tool.name}",
            f"{self.server}/{self.pair.stop.tool.name}",
            tuple(self.questions),
            others,
        )

    # -- what is passed on ---------------------------------------------------------------------------------

    def _start_args(self) -> JsonObject:
        """Return the args of the start tool as templates, and note the class's args for them."""
        step = self.pair.start
        values: JsonObject = {}
        for name, value in step.fixed:
            values[name] = value
        needed = step.needed()
        named = self._named_after()
        for name, schema in step.tool.parameters().items():
            if name in values:
                continue
            if name == named:
                values[name] = "{{ name }}"
                continue
            known = arg_schema(schema)
            if name not in needed and "default" not in known:
                self.left_out.append(name)
                continue
            arg = arg_name(name)
            if known["type"] == "string" and is_secret_name(name):
                known["secret"] = True
            self.args[name] = _Arg(arg, known, name in needed and "default" not in known)
            values[name] = reference(arg)
        return values

    def _named_after(self) -> str:
        """Return the parameter that takes the thing's own name, which is the service's."""
        thing = {*self.pair.thing.split(), "name"}
        for name, schema in self.pair.start.tool.parameters().items():
            words = words_of(name)
            kind = arg_schema(schema).get("type")
            if words and words[-1] == "name" and set(words) <= thing and kind == "string":
                return name
        return ""

    def _handle_source(self) -> str:
        """Return the template that says which one is meant; '' when none is needed."""
        handle = self.pair.handle
        if not handle:
            return ""
        if handle in self.args:
            return reference(self.args[handle].name)
        named = self._named_after()
        if handle == named:
            return "{{ name }}"
        told = str(self.pair.stop.tool.parameter(handle).get("description", ""))
        if named and re.search(r"\bname\b", told, re.IGNORECASE):
            return "{{ name }}"
        return reference(f"start.{arg_name(handle)}")

    def _args_of(self, step: Step, handle: str) -> JsonObject:
        """Return the args of another step: the handle, and what start had and it needs as well."""
        values: JsonObject = {}
        for name, value in step.fixed:
            values[name] = value
        needed = step.needed()
        for name in step.tool.parameters():
            if name in values:
                continue
            own_end = step is self.pair.stop or step.tool is not self.pair.stop.tool
            if name == self.pair.handle and handle and (own_end or name in needed):
                values[name] = handle
            elif name in self.args and (name in needed or is_identifier(name) or set(words_of(name)) & _SCOPES):
                values[name] = reference(self.args[name].name)
            elif name in needed and name == self._named_after():
                values[name] = "{{ name }}"
            elif name in needed:
                self.marks[step.tool.name, name] = self._ask(f"what is {name!r} of {step.tool.name}?")
                values[name] = placeholder(step.tool.parameters()[name])
        return values

    def _ask(self, question: str) -> str:
        """Note a question, and return the comment that marks the place."""
        if question not in self.questions:
            self.questions.append(question)
        return f"# ASK {self.questions.index(question) + 1}"

    # -- the sections --------------------------------------------------------------------------------------

    def _head(self) -> Iterator[str]:
        thing = self.pair.thing or "process"
        told = " ".join(self.pair.start.tool.description.split())
        text = f"A {thing} through the MCP server {self.server}: {self.pair.start.tool.name} starts it."
        if told:
            text += " " + shortened(told)
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
        yield from self._call_args(pair.start, start_args)
        if self.left_out:
            yield "          # optional, and left out here; an arg of the class can give each:"
            yield from wrapped([f"          #   {', '.join(self.left_out)}"])
        outputs = list(self._outputs(handle))
        if outputs:
            yield "        outputs:"
            yield from (f"          {line}" for line in outputs)
        yield from ("      stop:", f"        tool: {self.server}/{pair.stop.tool.name}")
        yield from self._call_args(pair.stop, stop_args)
        if pair.others:
            others = " or ".join(pair.others)
            yield f"        {self._ask(f'is {pair.stop} the right end of {pair.start}, or is {others}?')}"
        yield from self._status(handle)
        if pair.logs is not None:
            yield from ("      logs:", f"        tool: {self.server}/{pair.logs.tool.name}")
            yield from self._call_args(pair.logs, self._args_of(pair.logs, handle))
        yield "    # nothing was tried, so what an interrupted start left behind is for a person to look at"
        yield "    onUnknown: hold"
        names = [line.partition(":")[0] for line in outputs]
        if names:
            yield "    outputs:"
            yield from (f"      {name}: {scalar(reference(f'start.{name}'))}" for name in names)

    def _call_args(self, step: Step, values: JsonObject) -> Iterator[str]:
        if not values:
            return
        wrapper = parameters_of(step.tool.input_schema)[0]
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
        schema = self.pair.start.tool.output_schema or {}
        listed: JsonObject = schema.get("properties") or {}
        sure: list[str] = schema.get("required") or []
        taken = arg_name(self.pair.handle) if handle.startswith("{{ start.") else ""
        for name, schema in listed.items():
            is_plain = arg_schema(schema).get("type") in ("string", "integer", "number") and name.isidentifier()
            if is_plain and name not in self.args and (name == taken or _TELLING.search(name)):
                yield (
                    f"{name}: {name}" if name in sure else f"{name}: {{path: {name}, required: {_flag(name == taken)}}}"
                )
                taken = "" if name == taken else taken
        if taken:
            kind = arg_schema(self.pair.stop.tool.parameters().get(self.pair.handle)).get("type")
            is_number = kind in ("integer", "number")
            typed = ", type: integer" if is_number else ""
            pattern = handle_pattern(self.pair.handle, self.pair.thing, is_number=is_number)
            asked = self._ask(f"where does the answer of {self.pair.start.tool.name} have {self.pair.handle!r}?")
            yield f"{taken}: {{regex: {quoted(pattern)}{typed}}}  {asked}: this takes what follows its name"

    def _status(self, handle: str) -> Iterator[str]:
        pair = self.pair
        step = pair.status or pair.listing
        if step is None:
            yield f"      {self._ask('no tool tells whether it is there; is there one on another server?')}"
            return
        yield from ("      status:", f"        tool: {self.server}/{step.tool.name}")
        yield from self._call_args(step, self._args_of(step, handle))
        if pair.status is not None:
            text = f"what does the answer of {step.tool.name} have when it is well?"
            yield f"        {self._ask(text)}: until then every answer that is no error counts"
            yield f"        # expect: {{jsonPath: {{{_state_key(step)}: running}}}}"
        elif handle:
            kind = arg_schema(pair.stop.tool.parameters().get(pair.handle)).get("type")
            if kind in ("integer", "number"):
                pattern = rf"\b{handle}\b"
                yield f"        expect: {{matches: {quoted(pattern)}}}"
            else:
                yield f"        expect: {{contains: {scalar(handle)}}}"
        else:
            yield f"        {self._ask(f'which part of the answer of {step.tool.name} is about this one?')}"


def _state_key(step: Step) -> str:
    """Return what a tool calls the state in its answer, as far as it says so."""
    listed: JsonObject = (step.tool.output_schema or {}).get("properties") or {}
    return next((key for key in ("status", "state", "phase") if key in listed), "status")


def _flag(value: object) -> str:
    return "true" if value else "false"


def handle_pattern(handle: str, thing: str, *, is_number: bool = False) -> str:
    """Return a regular expression that takes the value after its name, in JSON as in prose (`PID 4711`).

    Args:
        handle: the parameter's name, such as `branchId`.
        thing: what it is of, so that a bare `id` is found as `Branch ID` too.
        is_number: it is a whole number; of pages and tabs, the number of the chosen line of a list is taken too
            (`2: … [selected]`).
    """
    words = [re.escape(word) for word in _raw_words(handle)]
    short = words[-1]
    name = "[ _-]?".join(words)
    if len(words) == 1 and thing:
        name = f"(?:{'[ _-]?'.join(re.escape(word) for word in thing.split())}[ _-]?)?{short}"
    elif len(words) > 1:
        # the short name alone only where it belongs to nothing else: "id", but not the one of "Project ID"
        name = f"(?:{name}|(?<![A-Za-z][ _-]){short})"
    if is_number:
        is_listed = {"page", "tab", "window"} & set(thing.split())
        chosen = r"|^[-*\s]*(?=\d+: .*[(\[](?:current|selected|active)[)\]])" if is_listed else ""
        return rf"(?im)(?:\b{name}\b\W{{1,6}}|\A\s*(?=\S+\s*\Z){chosen})(?P<value>\d+)"
    # or the value is the whole answer
    return rf"(?i)(?:\b{name}\b\W{{1,6}}|\A\s*(?=\S+\s*\Z))(?P<value>\w[\w./:-]*)"


def _raw_words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)] or [name]
