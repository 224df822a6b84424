"""From tool calls that were just made to the draft of a class that makes them again."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import cast

from msgspec import Struct

from ostler.model.errors import ArgumentError, ManifestError
from ostler.model.json import JsonMapping, JsonObject, JsonValue
from ostler.model.label_names import NAME_PATTERN, label_of
from ostler.model.responses import MadeCall
from ostler.model.servers import MASK
from ostler.rules.drafts.call_roles import CallRole, ends_what_began, role_of, tool_words
from ostler.rules.drafts.data_flow import Source, path_below, regex_for, scalars_in, uses, with_templates
from ostler.rules.drafts.tool_traits import json_type
from ostler.rules.loading.manifests import load_manifests
from ostler.rules.text.manifest_text import flow, yaml_key

_SURE = 100
"""How well a tool that was never called must fit to be proposed."""

_NAME_KEYS = ("name", "key", "label", "title")
_TELLING = ("url", "uri", "address", "endpoint", "host", "port", "pid")
_STATE_KEYS = (
    "state", "status", "phase", "running", "ready", "healthy", "ok", "alive", "connected", "exists", "found",
    "isRunning",
)  # fmt: skip
_RESERVED = frozenset(
    ("args", "name", "service", "start", "stop", "restart", "status", "outputs", "dependencies", "env", "find", "ready",
     "healthCheck", "logs", "response", "true", "false", "none", "not", "and", "or", "in", "is", "if", "else", "range",
     "dict")
)  # fmt: skip
"""Names that mean something else in templates."""

_STATE_WORDS = ("running", "ready", "listening", "active", "connected", "healthy", "started")


class ClassDraft(Struct, frozen=True):
    """A class that was drafted.

    Attributes:
        name: its name.
        text: its manifest, with comments.
        questions: what the calls leave open, for a person or agent to decide.
    """

    name: str
    text: str
    questions: tuple[str, ...] = ()


def draft_from_calls(
    calls: Sequence[MadeCall], *, name: str = "", reading: Collection[str] = (), tools: Collection[str] = ()
) -> ClassDraft:
    """Return the draft of a class whose services come into being and go by calls like these.

    The newest call that begins something and the one that ends it become `start` and `stop`; looks between them become
    `ready` (when they were repeated), `status` and `logs`, other calls `postStart` and `preStop`. Values of the start
    call's args become the class's args; values of its answer that later calls use become outputs.

    Args:
        calls: in the order in which they were made.
        name: the class's name; by default one made of the start tool's name.
        reading: tools that are known to change nothing.
        tools: tools that there are, for finding a stop tool when none was called.

    Raises:
        ArgumentError: no call begins anything, or nothing is known that would end it.
    """
    return _Drafting([call for call in calls if not call.is_error], name, reading, tools).draft()


class _Step(Struct):
    step: str
    call: MadeCall
    comment: str = ""
    outputs: JsonObject = {}
    expect: JsonObject | None = None


class _Drafting:
    def __init__(self, calls: Sequence[MadeCall], name: str, reading: Collection[str], tools: Collection[str]) -> None:
        self._calls = list(calls)
        self._reading = reading
        self._tools = tools
        self._questions: list[str] = []
        self._start_at, self._stop_at, self._stop = self._find_pair()
        self._start = self._calls[self._start_at]
        server, _, tool = self._start.tool.partition("/")
        self._name = name or label_of("-".join([server, *tool_words(tool)]), "drafted")
        self._args: dict[str, JsonObject] = {}
        self._sources: list[Source] = []

    def draft(self) -> ClassDraft:
        """Return the draft; see `draft_from_calls`."""
        self._take_args()
        between = self._of_the_server(self._calls[self._start_at + 1 : self._stop_at])
        later = [*between, self._stop]
        start = _Step("start", self._start)
        start.outputs = self._take_outputs(later)
        steps = [start, *self._steps_between(between), _Step("stop", self._stop)]
        before = self._calls[self._start_at - 1] if self._start_at else None
        if before is not None and any(uses(self._start.args, value) for _, _, value in scalars_in(before.value)):
            self._questions.append(
                f"{before.tool} gave a value that {self._start.tool} took; a class has no step before start, so the "
                "value is an arg"
            )
        if self._stop.args and with_templates(self._stop.args, self._sources) == self._stop.args:
            self._questions.append(
                f"nothing in the call of {self._stop.tool} says which service it stops; does it stop others, too?"
            )
        text = self._text(steps)
        try:
            load_manifests(text, f"{self._name}.yaml")
        except ManifestError as error:
            self._questions += [f"the draft does not load yet: {finding}" for finding in error.findings]
        return ClassDraft(self._name, text, tuple(self._questions))

    def _of_the_server(self, calls: Sequence[MadeCall]) -> list[MadeCall]:
        """Return the calls of the server that starts it; those of others are only named."""
        server = self._start.tool.partition("/")[0]
        strange = sorted({call.tool for call in calls if call.tool.partition("/")[0] != server})
        if strange:
            self._questions.append(
                f"calls of other servers were left out: {', '.join(strange)}; does one belong to it?"
            )
        return [call for call in calls if call.tool not in strange]

    # -- what is what --------------------------------------------------------------------------------------

    def _find_pair(self) -> tuple[int, int, MadeCall]:
        """Return where the start call is, where the stop call is (or would be), and the stop call.

        The newest pair that belongs together counts, so that earlier tries do not matter.
        """
        roles = [role_of(call.tool, self._reading) for call in self._calls]
        for end in reversed(range(len(self._calls))):
            begins = [at for at in range(end) if roles[at] is CallRole.BEGINS and self._belong_together(at, end)]
            if begins:
                stop = self._calls[end]
                return max(begins, key=lambda at: (ends_what_began(self._calls[at].tool, stop.tool), at)), end, stop
        for wanted in (CallRole.BEGINS, CallRole.ACTS):
            begin = next((index for index in reversed(range(len(roles))) if roles[index] is wanted), None)
            if begin is not None:
                tool = self._calls[begin].tool
                if wanted is CallRole.ACTS:
                    self._questions.append(f"is {tool} what begins the service? Its name does not say so")
                return begin, len(self._calls), self._likely_stop(begin)
        raise ArgumentError(
            ["none of the calls begins anything that could be a service"],
            next_actions=("make the calls with tool_call: start it, check it, stop it; then draft again",),
        )

    def _belong_together(self, begin: int, end: int) -> bool:
        """Whether one call ends what another began: by their tools' names, and by a value that both have."""
        start, stop = self._calls[begin], self._calls[end]
        if not ends_what_began(start.tool, stop.tool):
            return False
        given = [value for _, _, value in scalars_in(stop.args)]
        if not given:
            return True
        known = [value for _, _, value in (*scalars_in(start.args), *scalars_in(start.value))]
        return any(value in known or regex_for(start.text, value, "value") is not None for value in given)

    def _likely_stop(self, begin: int) -> MadeCall:
        """Return a call of a known tool that may end what the call at `begin` began."""
        start = self._calls[begin]
        known = sorted(self._tools, key=lambda tool: (-ends_what_began(start.tool, tool), tool))
        if not known or ends_what_began(start.tool, known[0]) < _SURE:
            raise ArgumentError(
                [f"none of the calls ends what {start.tool} began"],
                next_actions=("call the tool that stops it, too; then draft again",),
            )
        self._questions.append(f"{known[0]} was not called: does it end the service, and are its args right?")
        ids = {key: value for _, key, value in scalars_in(start.value) if key.lower().endswith(("id", "pid"))}
        names = {key: value for key, value in start.args.items() if key in _NAME_KEYS}
        return MadeCall(known[0], ids or names or dict(start.args))

    def _steps_between(self, between: Sequence[MadeCall]) -> list[_Step]:
        """Return the steps that the calls between start and stop become."""
        steps: dict[str, _Step] = {}
        looks = [index for index, call in enumerate(between) if self._role(call) is CallRole.LOOKS]
        for index, call in enumerate(between):
            role = self._role(call)
            if role is CallRole.LOGS:
                steps.setdefault("logs", _Step("logs", call))
            elif role is CallRole.LOOKS:
                self._take_look(steps, call, between[:index])
            else:
                hook = "preStop" if looks and index > looks[-1] else "postStart"
                number = sum(step.startswith(hook) for step in steps)
                steps[f"{hook}[{number}]"] = _Step(f"{hook}[{number}]", call)
                self._questions.append(f"{call.tool} became {hook}: is it part of every start or stop?")
        return list(steps.values())

    def _take_look(self, steps: dict[str, _Step], call: MadeCall, before: Sequence[MadeCall]) -> None:
        expect = self._expectation(call)
        repeated = any(other.tool == call.tool and other.args == call.args for other in before)
        if repeated and "ready" not in steps and expect is not None:
            steps["ready"] = _Step("ready", call, "it was asked until it said so", expect=expect)
        if "status" not in steps or steps["status"].call.tool == call.tool:
            if expect is None:
                self._questions.append(f"what does {call.tool} answer when the service does not exist? Write expect")
            steps["status"] = _Step("status", call, "the answer that it gave while the service ran", expect=expect)
        elif "healthCheck" not in steps:
            steps["healthCheck"] = _Step("healthCheck", call, expect=expect)

    def _role(self, call: MadeCall) -> CallRole:
        role = role_of(call.tool, self._reading)
        return CallRole.ACTS if role in (CallRole.BEGINS, CallRole.ENDS) else role

    # -- values --------------------------------------------------------------------------------------------

    def _take_args(self) -> None:
        """Make args of the class from the args of the start call."""
        for key, value in self._start.args.items():
            if key in _NAME_KEYS and isinstance(value, str) and NAME_PATTERN.fullmatch(value):
                self._sources.append(Source(value, "name"))
                continue
            if value is None:
                continue
            spec: JsonObject = {"type": json_type(value)}
            if MASK in json.dumps(value):
                spec |= {"required": True, "secret": True}
            else:
                spec["default"] = value
            name = _arg_name(key)
            self._args[name] = spec
            self._sources.append(Source(value, name))
        given = [name for name, spec in self._args.items() if "default" in spec]
        if given:
            self._questions.append(
                f"which args must callers give? The values of {', '.join(given)} became defaults: "
                "make them required where every service has its own"
            )

    def _take_outputs(self, later: Sequence[MadeCall]) -> JsonObject:
        """Return outputs of the start call: what later calls use of its answer, and what callers want to know."""
        found = list(scalars_in(self._start.value))
        if not found:
            return self._take_from_text(self._start.text, later) if self._start.text else {}
        outputs: JsonObject = {}
        known = [source.value for source in self._sources]
        for path, key, value in found:
            used = any(uses(call.args, value) for call in later)
            if value in known and not (used and key.lower().endswith("id")):
                continue
            if used or key.lower().endswith(_TELLING):
                self._add_output(outputs, key, value, path)
        return outputs

    def _take_from_text(self, text: str, later: Sequence[MadeCall]) -> JsonObject:
        """Return outputs for the values in the text of the answer that later calls use."""
        outputs: JsonObject = {}
        for _, key, value in (scalar for call in later for scalar in scalars_in(call.args)):
            if any(source.value == value for source in self._sources):
                continue
            pattern = regex_for(text, value, key)
            if pattern is not None:
                typed: JsonObject = {"type": "integer"} if isinstance(value, int) else {}
                self._add_output(outputs, key, value, {"regex": pattern, **typed})
        return outputs

    def _add_output(self, outputs: JsonObject, key: str, value: JsonValue, spec: JsonValue) -> None:
        name = key if re.fullmatch(r"[A-Za-z_]\w*", key) else "value"
        if name in outputs:
            return
        outputs[name] = spec
        self._sources.insert(0, Source(value, f"start.{name}"))

    def _expectation(self, call: MadeCall) -> JsonObject | None:
        """Return what the answer of a check has that shows that the service exists."""
        answer: JsonValue = call.value
        if isinstance(answer, Mapping):
            for path, value in _leaves(cast("JsonMapping", answer)):
                if path.rpartition(".")[2] in _STATE_KEYS and isinstance(value, bool | str):
                    return {"jsonPath": {path: value}}
        starts = [source for source in self._sources if source.expression.startswith("start.")]
        for source in [*starts, *(source for source in self._sources if source.expression == "name")]:
            if isinstance(source.value, str | int) and regex_for(call.text, source.value, "value") is not None:
                return {"contains": with_templates(str(source.value), [source])}
        word = next((word for word in _STATE_WORDS if word in call.text.lower()), None)
        if word is not None and isinstance(call.value, str):
            return {"matches": f"(?i)\\b{word}\\b"}
        return None

    # -- text ----------------------------------------------------------------------------------------------

    def _text(self, steps: Sequence[_Step]) -> str:
        lines = [
            "# Drafted from recorded tool calls. Resolve what is marked with 'TODO', then try it:",
            f"#   ostler check {self._name}.yaml",
            "apiVersion: ostler/v1",
            "kind: ServiceClass",
            "metadata:",
            f"  name: {self._name}",
            "spec:",
            "  # TODO: say what it runs, for the agents that choose it",
            f"  description: {json.dumps(f'What {self._start.tool} starts.')}",
        ]
        if self._args:
            lines.append("  args:")
            lines += [f"    {name}: {flow(spec)}" for name, spec in self._args.items()]
        lines += ["  serviceConfig:", "    lifecycleTools:"]
        lines += self._step_lines([step for step in steps if "[" not in step.step])
        for hook in ("postStart", "preStop"):
            hooks = [step for step in steps if step.step.startswith(f"{hook}[")]
            if hooks:
                lines.append(f"      {hook}:")
            for step in hooks:
                call = {"tool": step.call.tool, "args": with_templates(step.call.args, self._usable(step))}
                lines.append(f"        - {flow(call)}")
        outputs = {key: f"{{{{ start.{key} }}}}" for key in steps[0].outputs}
        if outputs:
            lines.append("    outputs:")
            lines += [f"      {key}: {json.dumps(value)}" for key, value in outputs.items()]
        for question in self._questions:
            lines.append(f"# TODO: {question}")
        return "\n".join(lines) + "\n"

    def _step_lines(self, steps: Sequence[_Step]) -> list[str]:
        lines: list[str] = []
        for step in steps:
            lines.append(f"      {step.step}:")
            if step.comment:
                lines.append(f"        # {step.comment}")
            lines.append(f"        tool: {step.call.tool}")
            args = cast("JsonObject", with_templates(step.call.args, self._usable(step)))
            if args:
                lines.append("        args:")
                lines += [f"          {yaml_key(key)}: {flow(value)}" for key, value in args.items()]
            if step.expect:
                lines.append(f"        expect: {flow(step.expect)}")
            if step.outputs:
                lines.append("        outputs:")
                lines += [f"          {yaml_key(key)}: {flow(value)}" for key, value in step.outputs.items()]
        return lines

    def _usable(self, step: _Step) -> list[Source]:
        """Return what templates of a step may name: the start call cannot use its own answer."""
        if step.step == "start":
            return [source for source in self._sources if not source.expression.startswith("start.")]
        return self._sources


def _arg_name(key: str) -> str:
    """Return `key` as the name of an arg, so that templates can say it and mean it."""
    plain = re.sub(r"\W", "_", key)
    if plain[0].isdigit() or plain in _RESERVED:
        return {"env": "environment"}.get(plain, f"its_{plain}")
    return plain


def _leaves(value: JsonMapping, at: str = "") -> list[tuple[str, JsonValue]]:
    found: list[tuple[str, JsonValue]] = []
    for key, item in value.items():
        if not re.fullmatch(r"[A-Za-z_]\w*", key):
            continue
        path = path_below(at, key)
        if isinstance(item, Mapping):
            found += _leaves(cast("JsonMapping", item), path)
        else:
            found.append((path, item))
    return sorted(found, key=lambda leaf: leaf[0].count("."))
