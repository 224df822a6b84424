"""Writes a drafted class: the calls of each step, what flows between them, and the questions that are left."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from ostler.model.json import JsonObject
from ostler.rules.answers.prose import NOTHING_THERE, PROSE_ERROR, PROSE_GONE
from ostler.rules.drafts.answer_fields import answer_fields
from ostler.rules.drafts.answer_states import (
    ended_entries,
    has_state,
    is_missing_an_error,
    item_expectation,
    key_of,
    list_of_items,
    ready_values,
    state_expectation,
)
from ostler.rules.drafts.argument_drafts import arg_schema
from ostler.rules.drafts.handles import answer_source, path_text
from ostler.rules.drafts.lifecycle_pairs import LifecyclePair
from ostler.rules.drafts.step_arguments import StepArguments
from ostler.rules.drafts.telling_answers import seen_expectation
from ostler.rules.drafts.tool_traits import Step, parameters_of
from ostler.rules.text.manifest_text import flow, quoted, reference, scalar, shortened, wrapped, yaml_key

_TELLING = re.compile(
    r"(?:^|_|(?<=[a-z]))(?:id|pid|url|uri|address|endpoint|host|hostname|port|ip|ref|file|path|token)$", re.IGNORECASE
)
"""Names of answered values that are worth keeping: what says which one it is, and where to reach it."""

_REPLACED = frozenset(("process", "job", "task", "command", "program"))
"""Things that a restart replaces instead of keeping."""

_SLOW = re.compile(r"\bminutes?\b|\bdownloads?\b|\bpull(?:s|ed)?\b|\bprovision", re.IGNORECASE)


class Alternative(Struct, frozen=True):
    """Another pair of a server, as `start` and `stop` of a draft take it.

    Attributes:
        start: the step that starts.
        stop: the step that stops.
        reason: what says most for and against it, in words.
    """

    start: str
    stop: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.start} / {self.stop}"


class Draft(Struct, frozen=True):
    """A drafted class.

    Attributes:
        name: its name.
        manifest: its YAML, with comments.
        start: the tool that starts, as `server/tool`.
        stop: the tool that stops.
        questions: what the tools leave open, for a person or a trial to answer.
        alternatives: other pairs of the server, the likeliest first.
    """

    name: str
    manifest: str
    start: str
    stop: str
    questions: tuple[str, ...]
    alternatives: tuple[Alternative, ...] = ()


@dataclass(slots=True)
class ClassWriter:
    """Writes one class. Lines are collected; questions are numbered as they come up."""

    server: str
    pair: LifecyclePair
    name: str
    rivals: Sequence[str] = ()
    questions: list[str] = field(default_factory=list[str])
    state: JsonObject | None = None
    listed: tuple[str, str] = ("", "")
    given: StepArguments = field(init=False)

    def __post_init__(self) -> None:
        self.given = StepArguments(self.pair, self._ask)

    def draft(self, others: tuple[Alternative, ...]) -> Draft:
        """Return the draft.

        Args:
            others: other pairs of the server, the likeliest first.
        """
        start_args = self.given.for_start()
        define_args = self.given.for_definition()
        handle = self.given.handle_template()
        stop_args = self.given.of(self.pair.stop, handle)
        body = [*self._head(), *self._args_section(), *self._config((define_args, start_args, stop_args), handle)]
        asked = [f"#   {number}. {text}" for number, text in enumerate(self.questions, 1)]
        top = [f"# Drafted from the tools of server {self.server}: {self.pair}."]
        if asked:
            top += ["# What the tools do not say (marked ASK below):", *wrapped(asked)]
        manifest = "\n".join([*top, *body]) + "\n"
        start, stop = (f"{self.server}/{step.tool.name}" for step in (self.pair.start, self.pair.stop))
        return Draft(self.name, manifest, start, stop, tuple(self.questions), others)

    def _ask(self, question: str) -> str:
        """Note a question, and return the comment that marks the place."""
        if question not in self.questions:
            self.questions.append(question)
        return f"# ASK {self.questions.index(question) + 1}"

    # -- the sections --------------------------------------------------------------------------------------

    def _head(self) -> Iterator[str]:
        thing = self.pair.thing or "process"
        described = " ".join(self.pair.start.tool.description.split())
        article = "An" if thing[0] in "aeiou" else "A"
        text = f"{article} {thing} through the MCP server {self.server}: {self.pair.start.tool.name} starts it."
        if described:
            text += " " + shortened(described)
        yield from ("apiVersion: ostler/v1", "kind: ServiceClass", "metadata:", f"  name: {self.name}")
        yield f"  labels: {{server: {scalar(self.server)}}}"
        yield from ("spec:", f"  description: {scalar(text)}")

    def _args_section(self) -> Iterator[str]:
        if not self.given.args:
            return
        yield "  args:"
        for arg in self.given.args.values():
            yield f"    {yaml_key(arg.name)}:"
            yield f"      type: {arg.schema['type']}"
            if arg.required:
                yield "      required: true"
            for key in ("default", "enum", "pattern", "minimum", "maximum", "items", "secret", "description"):
                if key in arg.schema:
                    yield f"      {key}: {scalar(arg.schema[key])}"

    def _config(self, args: tuple[JsonObject, JsonObject, JsonObject], handle: str) -> Iterator[str]:
        pair = self.pair
        define_args, start_args, stop_args = args
        yield from ("  serviceConfig:", f"    serviceType: {scalar('-'.join(pair.thing.split()) or 'process')}")
        if not handle:
            yield f"    maxInstances: 1  # {pair.stop} does not say which one it ends"
        yield "    lifecycleTools:"
        yield from self._definition(define_args)
        yield from ("      start:", f"        tool: {self.server}/{pair.start.tool.name}")
        if self.rivals:
            others = "; or ".join(self.rivals)
            yield f"        {self._ask(f'is {pair} what is meant? The server also has {others}')}"
        yield from self._call_args(pair.start, start_args)
        if self.given.left_out:
            yield "          # optional, and left out here; an arg of the class can give each:"
            yield from wrapped([f"          #   {', '.join(self.given.left_out)}"])
        if pair.start.tool.output_schema is None or _may_say_failed(pair.start):
            yield "        # an answer that says in words that it failed"
            yield f"        expectNot: {{matches: {quoted(PROSE_ERROR)}}}"
        outputs = list(self._outputs(handle))
        if outputs:
            yield "        outputs:"
            yield from (f"          {line}" for line in outputs)
        yield from self._ending(stop_args, handle)
        yield from self._status(handle, [line.partition(":")[0] for line in outputs])
        if pair.logs is not None:
            yield from self._step("logs", pair.logs, handle)
        yield from self._again(handle)
        if _SLOW.search(pair.start.tool.description):
            yield "    timeout: {create: 10m, delete: 1m}"
        yield "    # nothing was tried, so a person must check what an interrupted start left behind"
        yield "    onUnknown: hold"
        names = [line.partition(":")[0] for line in outputs]
        if names:
            yield "    outputs:"
            yield from (f"      {name}: {scalar(reference(f'start.{name}'))}" for name in names)

    def _ending(self, values: JsonObject, handle: str) -> Iterator[str]:
        """Yield the stop."""
        stop = self.pair.stop
        yield from ("      stop:", f"        tool: {self.server}/{stop.tool.name}")
        yield from self._call_args(stop, values)
        if stop.tool.output_schema is None:
            yield "        # an answer in words that it failed; tried again, unless nothing is there to stop"
            yield f"        expectNot: {{matches: {quoted(PROSE_ERROR)}}}"
            yield f"        goneWhen: {{matches: {quoted(NOTHING_THERE)}}}"
            yield "        retry: {attempts: 3, delay: 2s}"
        yield from self._about_stop(handle)

    def _again(self, handle: str) -> Iterator[str]:
        """Yield the restart, or why there is none."""
        pair = self.pair
        if pair.restart is not None and handle.startswith("{{ start.") and set(pair.thing.split()) & _REPLACED:
            yield f"      # {pair.restart} is left out: its new one may have another id; stop and start do the same"
        elif pair.restart is not None:
            yield from self._step("restart", pair.restart, handle)
        elif (doubtful := pair.companions.doubtful_restart) is not None:
            asked = f"does {doubtful} run the same {pair.thing or 'one'} again, with all that it has?"
            yield f"      {self._ask(asked)} Then it may be the restart; it is left out, as it may destroy"

    def _definition(self, values: JsonObject) -> Iterator[str]:
        step = self.pair.companions.definition
        if step is None:
            return
        wrapper = parameters_of(step.tool.input_schema)[0]
        yield "      preStart:"
        asked = f"does {step} also succeed when it is there already, for a start after a stop?"
        yield f"        {self._ask(asked)}"
        yield f"        - tool: {self.server}/{step.tool.name}"
        yield f"          args: {flow({wrapper: values} if wrapper else values)}"

    def _about_stop(self, handle: str) -> Iterator[str]:
        pair = self.pair
        if pair.others:
            others = " or ".join(pair.others)
            yield f"        {self._ask(f'is {pair.stop} the right end of {pair.start}, or is {others}?')}"
        if not handle:
            question = f"{pair.stop} names none: does it end this one alone, and is there one at a time (maxInstances)?"
            yield f"        {self._ask(question)}"

    def _step(self, step_name: str, step: Step, handle: str) -> Iterator[str]:
        yield from (f"      {step_name}:", f"        tool: {self.server}/{step.tool.name}")
        yield from self._call_args(step, self.given.of(step, handle))

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
            mark = self.given.marks.get((step.tool.name, name), "")
            yield f"{indent}{yaml_key(name)}: {scalar(value)}{mark and f'  {mark}'}"

    def _outputs(self, handle: str) -> Iterator[str]:
        """Yield the lines of the start tool's outputs."""
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
            if not is_plain or each.name in kept or each.name in self.given.args or not _TELLING.search(each.name):
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

    # -- whether it exists -------------------------------------------------------------------------------

    def _status(self, handle: str, outputs: Sequence[str]) -> Iterator[str]:
        step = self.pair.status or self.pair.listing
        if step is None:
            probe = self.pair.companions.probe
            way = (
                f"does {probe} fail once it is gone? Then it is the status"
                if probe
                else "is there one on another server?"
            )
            yield f"      {self._ask(f'no tool shows whether it exists; {way}')}"
            return
        look = self._status_of_one if self.pair.status else self._status_by_list
        self.state = None
        lines = list(look(step, handle))
        ready = ready_values(self.state) if self.state is not None else None
        if ready is not None:
            yield from ("      ready:", *_before(lines, ("batch:", "expect:")))
            yield f"        expect: {flow(ready if not self.listed[1] else _of_list(self.listed, handle, ready))}"
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
        yield from self._call_args(step, self.given.of(step, handle))
        expected = self.state = state_expectation(step.tool)
        if expected is not None:
            described: JsonObject = {"success": True} if is_missing_an_error(step.tool) else {}
            yield f"        expect: {flow({**described, **expected})}"
            return
        told = seen_expectation(step.tool)
        if told is not None:
            yield f"        {told[0]}: {flow(told[1])}"
            return
        if is_missing_an_error(step.tool):
            yield "        expect: {success: true}"
        yield f"        expectNot: {{matches: [{quoted(PROSE_GONE)}, {quoted(PROSE_ERROR)}]}}"
        text = f"what does the answer of {step.tool.name} have when it is well?"
        yield f"        {self._ask(text)}: until then all counts that does not say it is gone"
        yield f"        # expect: {{jsonPath: {{{_state_key(step)}: running}}}}"

    def _status_by_list(self, step: Step, handle: str) -> Iterator[str]:
        yield f"        tool: {self.server}/{step.tool.name}"
        yield from self._call_args(step, self.given.of(step, handle))
        if not handle:
            yield f"        {self._ask(f'which part of the answer of {step.tool.name} is about this one?')}"
            return
        listed = list_of_items(step.tool)
        key = (
            key_of(listed[1], self.pair.handle, self.pair.thing, is_name=self.pair.handle == self.given.named)
            if listed
            else ""
        )
        if listed and key:
            yield f"        batch: {{items: {quoted(listed[0])}, match: {{{yaml_key(key)}: {scalar(handle)}}}}}"
            expected = self.state = item_expectation(listed[1])
            self.listed = (listed[0], key)
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
            ended = ", ".join(map(quoted, ended_entries(handle)))
            yield f"        expectNot: {{matches: [{ended}]}}"
        question = f"does {step.tool.name} still list it when it has ended? Then expect its state, too"
        yield f"        {self._ask(question)}"


def _before(lines: Sequence[str], keys: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines of a call up to the first of `keys`."""
    for line in lines:
        if line.strip().startswith(keys):
            return
        yield line


def _of_list(listed: tuple[str, str], handle: str, ready: JsonObject) -> JsonObject:
    """Return the expectation that one item of a list is ready: only status and find have `batch`."""
    items, key = listed
    [(kind, wanted)] = ready.items()
    said = " && ".join(f"{path} == '{value}'" for path, value in wanted.items()) if kind == "jsonPath" else wanted
    return {"jmespath": f"{'' if items == '@' else items}[?to_string({key}) == '{handle}' && {said}]"}


def _may_say_failed(step: Step) -> bool:
    """Whether the answer of a tool, by its schema, can say that it failed."""
    fields = [each.name.lower() for each in answer_fields(step.tool)]
    return not fields or bool({"status", "state", "success", "ok", "error"} & set(fields))


def _state_key(step: Step) -> str:
    """Return what a tool calls the state in its answer, as far as it says so."""
    fields = answer_fields(step.tool)
    named = (each.path for key in ("status", "state", "phase") for each in fields if each.name == key)
    return next(named, "status")
