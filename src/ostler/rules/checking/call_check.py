"""One tool call of a class checked against its tool: the tool exists, takes these arguments, answers like this."""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from ostler.model.json import JsonMapping, KeyPath
from ostler.model.manifest import Expectation, OutputSpec, ToolCallSpec
from ostler.rules.answers.expectations import listed
from ostler.rules.checking.expressions import Problem, shape_of_template, shape_of_value
from ostler.rules.checking.fitting import Mismatch, near, object_mismatches
from ostler.rules.checking.identity import unnamed_parameter
from ostler.rules.checking.narrowing import Names
from ostler.rules.checking.paths import Missed, find_in_shape
from ostler.rules.checking.recorded_answers import unseen, unseen_expectation
from ostler.rules.checking.scopes import ClassScopes
from ostler.rules.checking.shapes import Shape, described, may_equal
from ostler.rules.checking.tool_lists import KnownTools, ToolList, ToolSchema
from ostler.rules.templates.template import is_template
from ostler.rules.text.equality import loosely_equal
from ostler.rules.text.findings import Violation
from ostler.rules.text.patterns import PatternError, compile_pattern, search

_LOOKING = ("ready", "stopped", "status", "healthCheck", "find", "logs")
"""Steps that only look, and are called again and again."""

_ACTING = ("start", "stop", "delete", "restart", "sendInput")


def problem_violations(path: KeyPath, problems: Iterable[tuple[tuple[str | int, ...], Problem]]) -> Iterator[Violation]:
    """Yield each thing that cannot work in the templates of the value at `path`."""
    for inner, problem in problems:
        yield Violation((*path, *inner), problem.rule, problem.message, problem.fix)


def mismatch_violations(path: KeyPath, found: Iterable[Mismatch]) -> Iterator[Violation]:
    """Yield each way in which the value at `path` does not fit."""
    for mismatch in found:
        place = (*path, *mismatch.place)
        yield Violation(
            place, mismatch.rule, mismatch.message, mismatch.fix, mismatch.at_key, is_certain=mismatch.is_certain
        )


class _Given(Struct, frozen=True):
    """What an output is taken from: the step's call, its tool if it is known, and the answer."""

    step: str
    call: ToolCallSpec
    tool: ToolSchema | None
    answer: Shape


class CallCheck(Struct, frozen=True):
    """Checks the tool calls of one class."""

    scopes: ClassScopes
    tools: KnownTools

    def violations(self, step: str, path: KeyPath, call: ToolCallSpec) -> Iterator[Violation]:
        """Yield what is wrong with the `call` of `step`, which stands at `path`."""
        name = step.partition("[")[0]
        listed = self.tools.of(call.server)
        tool = listed.tools.get(call.tool_name) if listed else None
        if tool is None:
            yield self._no_tool(path, call, listed)
        names = self.scopes.step(name)
        typed = shape_of_value(call.args, names)
        yield from problem_violations((*path, "args"), typed.problems)
        if tool is not None:
            what = f"the arguments of {call.tool!r}"
            found = object_mismatches(typed.shape, tool.input_schema, what)
            place = (*path, "args") if "args" in call.model_fields_set else (*path, "tool")
            yield from mismatch_violations(place, found)
            yield from self._effect(name, path, call, tool)
            yield from self._batch(path, call, tool, names)
        answer = self.scopes.answer_of(call)
        for output, source in call.outputs.items():
            yield from self._output((*path, "outputs", output), source, _Given(name, call, tool, answer))
        for keys, expectation in call.expectations():
            yield from self._expectation((*path, *keys), expectation, answer, names)
        if call.expect is not None and tool is not None:
            yield from unseen_expectation((*path, "expect"), call.expect, call, tool.samples, is_look=name in _LOOKING)
        yield from self._contradiction(path, call)

    # -- the tool ------------------------------------------------------------------------------------------

    def _no_tool(self, path: KeyPath, call: ToolCallSpec, listed: ToolList | None) -> Violation:
        place = (*path, "tool")
        if listed is not None:
            close = near(call.tool_name, list(listed.tools))
            some = ", ".join(sorted(listed.tools)[:12])
            fix = f"did you mean '{call.server}/{close}'?" if close else f"its tools: {some or 'none'}"
            message = f"server {call.server!r} has no tool {call.tool_name!r}"
            return Violation(place, "unknown-tool", message, fix)
        owners = [name for name, tools in self.tools.lists.items() if call.tool_name in tools.tools]
        close = near(call.server, owners) or near(call.server, self.tools.server_names)
        if call.server in self.tools.servers or not close:
            message = f"no tools list of server {call.server!r} is known, so this call is not checked"
            fix = f"connect it, or save its list: ostler tools save {call.server}"
            return Violation(place, "unchecked-tool", message, fix)
        message = f"there is no downstream server {call.server!r}"
        return Violation(place, "unknown-server", message, f"did you mean '{close}/{call.tool_name}'?")

    def _effect(self, step: str, path: KeyPath, call: ToolCallSpec, tool: ToolSchema) -> Iterator[Violation]:
        place = (*path, "tool")
        if step in _ACTING and tool.says("readOnlyHint"):
            message = f"{call.tool!r} only reads, by its server's word, and cannot {step} anything"
            yield Violation(place, "wrong-effect", message, "is it the tool that you meant?")
        if step in _LOOKING and tool.says("destructiveHint") and not tool.says("readOnlyHint") and not tool.has_choice:
            message = f"{call.tool!r} destroys, by its server's word, and {step!r} is called again and again"
            yield Violation(place, "wrong-effect", message, "use a tool that only reads")
        parameter = unnamed_parameter(step, call, tool)
        if parameter:
            message = f"nothing in the call of {step!r} says which service is meant, so it may be another one, or all"
            fix = f"give {parameter!r} of {call.tool!r}, from the name, an arg or an output of start"
            yield Violation(place, "names-none", message, fix)

    def _batch(self, path: KeyPath, call: ToolCallSpec, tool: ToolSchema, names: Names) -> Iterator[Violation]:
        """Yield what is wrong with a batch: its answer lacks the list, or the items lack what tells them apart."""
        if call.batch is None:
            return
        found = find_in_shape(call.batch.items, tool.answer)
        yield from self.missed((*path, "batch", "items"), found.missed)
        if found.missed:
            return
        item = self.scopes.answer_of(call)
        yield from self._equal((*path, "batch", "match"), call.batch.match, item, names)

    def completed(
        self, path: KeyPath, expectation: Expectation, call: ToolCallSpec, names: Names
    ) -> Iterator[Violation]:
        """Yield what is wrong with the expectation at `path` that answers of `call` are checked against."""
        yield from self._expectation(path, expectation, self.scopes.answer_of(call), names)

    # -- outputs -------------------------------------------------------------------------------------------

    def _output(self, path: KeyPath, source: str | OutputSpec, given: "_Given") -> Iterator[Violation]:
        spec = source if isinstance(source, OutputSpec) else None
        template = spec.template if spec else source if isinstance(source, str) and is_template(source) else None
        if template is not None:
            place = (*path, "template") if spec else path
            shape, problems = shape_of_template(template, self.scopes.answered(given.step, given.call))
            yield from problem_violations(place, [((), problem) for problem in problems])
        elif spec is not None and spec.regex is not None:
            yield from self._regex(path, str(path[-1]), spec.regex, given.tool)
            return
        else:
            text = spec.path if spec and spec.path is not None else str(source)
            found = find_in_shape(text, given.answer)
            can_do_without = spec is not None and (spec.has_default or not spec.required)
            reported = [miss for miss in found.missed if miss.is_certain or miss.is_near or not can_do_without]
            yield from self.missed((*path, "path") if spec else path, reported)
            shape = found.shape
            if not found.missed and shape.is_only("null") and not shape.is_any:
                message = f"{text!r} is always null, which counts as not found"
                yield Violation(path, "unknown-path", message)
        if spec is not None and spec.type is not None:
            yield from self._coercion(path, spec.type, shape)

    def missed(self, path: KeyPath, missed: Iterable[Missed], *, at_key: bool = False) -> Iterator[Violation]:
        """Yield each thing that a JMESPath expression does not find."""
        for miss in missed:
            yield Violation(path, miss.rule, miss.message, miss.fix, at_key, is_certain=miss.is_certain)

    def _coercion(self, path: KeyPath, kind: str, shape: Shape) -> Iterator[Violation]:
        if shape.is_any or "string" in shape.kinds or kind == "string":
            return
        allowed = {"integer": {"integer", "number"}, "number": {"integer", "number"}}.get(kind, {kind})
        if not shape.kinds & allowed:
            message = f"{described(shape)} cannot be read as {kind}"
            yield Violation((*path, "type"), "output-type", message)

    def _regex(self, path: KeyPath, name: str, pattern: str, tool: ToolSchema | None) -> Iterator[Violation]:
        place = (*path, "regex")
        try:
            compiled = compile_pattern(pattern)
        except PatternError:
            return  # reported when the manifest is loaded
        groups = list(compiled.groupindex)
        if groups and name not in groups and "value" not in groups:
            message = f"no group is named {name!r} or 'value', so the name {groups[0]!r} has no effect"
            fix = f"write (?P<{name}>…)" if name.isidentifier() else "write (?P<value>…)"
            yield Violation(place, "regex-group", message, fix)
        texts = [sample.text for sample in tool.samples] if tool else []
        if texts and not any(_matches(pattern, text) for text in texts):
            yield unseen(place, texts)

    # -- expectations --------------------------------------------------------------------------------------

    def _expectation(self, path: KeyPath, expectation: Expectation, answer: Shape, names: Names) -> Iterator[Violation]:
        yield from self._equal((*path, "jsonPath"), expectation.json_path or {}, answer, names)
        for key in ("jmespath", "contains", "matches"):
            value: str | list[str] | None = getattr(expectation, key)
            entries = [((key,), value)] if isinstance(value, str) else []
            if isinstance(value, list):
                entries = [((key, index), text) for index, text in enumerate(value)]
            for inner, text in entries:
                if is_template(text):
                    yield from problem_violations((*path, *inner), shape_of_value(text, names).problems)
                elif key == "jmespath":
                    yield from self._expression((*path, *inner), text, answer)

    def _equal(self, path: KeyPath, wanted: JsonMapping, answer: Shape, names: Names) -> Iterator[Violation]:
        """Yield the expected values that a part of the answer, by its JMESPath expression, can never have."""
        for text, value in wanted.items():
            place = (*path, text)
            found = find_in_shape(text, answer)
            yield from self.missed(place, found.missed, at_key=True)
            typed = shape_of_value(value, names)
            yield from problem_violations(place, typed.problems)
            if not found.missed and not may_equal(found.shape, typed.shape):
                yield self._impossible(place, text, found.shape, typed.shape)

    def _expression(self, path: KeyPath, text: str, answer: Shape) -> Iterator[Violation]:
        found = find_in_shape(text, answer)
        yield from self.missed(path, found.missed)
        if not found.missed and found.shape.values is not None and not found.shape.is_any:
            truths = {bool(value) or type(value) in (int, float) for value in found.shape.values}
            if len(truths) == 1:
                always = str(truths.pop()).lower()
                yield Violation(path, "never-true", f"{text!r} is always {always}")

    def _impossible(self, path: KeyPath, text: str, shape: Shape, wanted: Shape) -> Violation:
        fix = ""
        if shape.values is not None and wanted.values is not None:
            close = near(str(wanted.values[0]), [str(value) for value in shape.values])
            listed = ", ".join(str(value) for value in shape.values[:10])
            fix = f"did you mean {close!r}?" if close else f"possible: {listed}"
        message = f"{text!r} is {described(shape)} and can never be {described(wanted)}"
        return Violation(path, "never-true", message, fix, is_certain=not shape.is_seen)

    def _contradiction(self, path: KeyPath, call: ToolCallSpec) -> Iterator[Violation]:
        if call.expect is None or call.expect_not is None:
            return
        both: list[tuple[KeyPath, Any]] = []
        for text, wanted in (call.expect.json_path or {}).items():
            other: Any = (call.expect_not.json_path or {}).get(text, ...)
            if other is not ... and loosely_equal(wanted, other):
                both.append((("jsonPath", text), wanted))
        for key in ("jmespath", "contains", "matches"):
            wanted_texts = listed(getattr(call.expect, key))
            both += [((key,), text) for text in listed(getattr(call.expect_not, key)) if text in wanted_texts]
        for inner, wanted in both:
            message = f"'expect' and 'expectNot' both name {wanted!r}, so nothing can pass"
            yield Violation((*path, "expectNot", *inner), "never-true", message, "remove one of them")


def _matches(pattern: str, text: str) -> bool:
    try:
        return search(pattern, text) is not None
    except PatternError:
        return True
