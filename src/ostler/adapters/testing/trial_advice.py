"""From what went wrong in a trial to the lines of the manifest that change it."""

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from ostler.adapters.testing.trial_report import Advice
from ostler.engine.classes.catalogue import ClassEntry
from ostler.model.errors import ExtractionError, OperationTimeoutError, OstlerError
from ostler.model.json import JsonObject, JsonValue
from ostler.model.responses import ToolResponse
from ostler.model.tool_names import PROCESS_SERVER
from ostler.rules.answers.responses import normalise
from ostler.rules.checking.identity import is_identifier
from ostler.rules.drafts.missing_steps import drafted_step
from ostler.rules.drafts.telling_answers import found_output, telling_expectation
from ostler.rules.drafts.tool_traits import Tool
from ostler.rules.text.manifest_text import flow, quoted, yaml_key

_TOOLS = ("spec", "serviceConfig", "lifecycleTools")
_SHOWN = 160
_GONE_WORDS = re.compile(
    r"""(?i)\b(not found|no such \w+|does(?: not|n't) exist|no \w+(?= ['"`]| with\b| named\b)"""
    r"|unknown \w+|not running|already (?:stopped|closed|gone))\b"
)
_READY_LINE = re.compile(r"(?i)\b(listening|ready|started|running|serving|accepting|up)\b")
_VARIES = re.compile(r"[\d:.]*\d[\d:.]*")


class Probe(Struct, frozen=True):
    """One check of a service.

    Attributes:
        passed: it was found running.
        reason: why not.
        response: the answer; None when there was none, or no item of a batch.
    """

    passed: bool
    reason: str
    response: ToolResponse | None


class Adviser:
    """Collects what to change in one class, each place once.

    Args:
        entry: the class.
        tools: the tools of the server that starts it.
    """

    def __init__(self, entry: ClassEntry, tools: Sequence[Tool]) -> None:
        self._class = entry.service_class
        self._calls = dict(entry.service_class.tools.calls)
        self._document = entry.loaded.document if entry.loaded is not None else None
        self._tools = tools
        self._found: dict[str, Advice] = {}
        self.log_lines: Sequence[str] = ()

    def __repr__(self) -> str:
        return f"Adviser({len(self._found)} of {self._class.name})"

    def advice(self) -> list[Advice]:
        """Return what was found, in the order in which it was."""
        return list(self._found.values())

    # -- starting ------------------------------------------------------------------------------------------

    def start_failed(self, error: OstlerError, calls: Sequence[JsonObject]) -> None:
        """The create failed; `calls` are those that it made."""
        step = error.step or "start"
        tools = [call["tool"] for call in calls]
        if self._class.tools.stop.tool in tools:  # from there on it was cleaned up
            calls = calls[: tools.index(self._class.tools.stop.tool)]
        spec = self._calls.get(step)
        last = _last_answer(calls, spec.tool) if spec is not None else None
        if isinstance(error, ExtractionError) and last is not None and spec is not None:
            lines = [
                f"{yaml_key(name)}: {flow(found) if isinstance(found, Mapping) else found}"
                for name in spec.outputs
                if name in error.summary and (found := found_output(name, last)) is not None
            ]
            self._add(f"{error.summary}", (step, "outputs"), lines)
        elif isinstance(error, OperationTimeoutError) and step == "ready" and last is not None:
            told = telling_expectation([last], [])
            shown = _cut(last.readable)
            self._add(f"ready never passed; the tool said last: {shown}", ("ready", *_place(told)), _lines(told))
        else:
            self._add(error.summary, (step,), [])

    def ready_too_early(self, port: int, seconds: float | None) -> None:
        """It was called ready before its port accepted a connection, or that never came."""
        when = "but its port never accepted" if seconds is None else f"{seconds:.1f}s before its port accepted"
        problem = f"it counted as ready, {when} a connection (port {port})"
        tools = self._class.tools
        if tools.start.server == PROCESS_SERVER:
            self._add(problem, ("start", "args", "ready"), ['ready: {tcp: "{port}"}'])
            return
        logs = tools.logs
        line = next((line for line in reversed(self.log_lines) if _READY_LINE.search(line)), "")
        if logs is not None and line and seconds is not None:
            pattern = _pattern_of(line)
            lines = ["ready:", f"  tool: {logs.tool}", f"  args: {flow(_plain_args(logs.args))}"]
            self._add(problem, ("ready",), [*lines, f"  expect: {{matches: {quoted(pattern)}}}"])
            return
        hint = "; call a tool in ready whose answer changes when it serves: its logs, or one that connects to it"
        self._add(problem + hint, ("ready",), [])

    # -- looking -------------------------------------------------------------------------------------------

    def sees_nothing(self) -> None:
        """No tool checks the service."""
        problem = "no tool of the class sees whether it runs, so a crash is never noticed"
        for step in ("status", "find"):
            if (drafted := self._drafted(step)) is not None:
                self._add(problem, (step,), _step_lines(step, drafted))
                return
        self._add(f"{problem}; add status, with a tool that shows one or lists all", ("status",), [])

    def misses(self, step: str, probe: Probe) -> None:
        """A probe does not find the service, though it runs."""
        told = telling_expectation([probe.response], []) if probe.response is not None else None
        said = f": the tool said {_cut(probe.response.readable)}" if probe.response is not None else ""
        problem = f"{step} does not find it while it runs ({probe.reason}){said}"
        self._add(problem, (step, *_place(told)), _lines(told))

    def same_when_gone(self, step: str, alive: ToolResponse, probe: Probe, how: str) -> None:
        """A probe found the service running after it was killed or stopped."""
        gone = [probe.response] if probe.response is not None else []
        told = telling_expectation([alive], gone)
        shown = f": {_cut(gone[0].readable)}" if gone else ""
        runs_on = f"{step} says that it runs after it {how}{shown}"
        if told is None:
            self._add_other_look(
                step,
                f"{runs_on}; the answer is the same for both, so this tool shows nothing. Use another one, or a list "
                "with batch.match",
            )
            return
        if self._asks_for_all(step):
            self._add_other_look(
                step,
                f"{runs_on}; its call names none, so that any other one that runs would count. Use a call that names "
                "it, or a list with batch.match",
            )
            return
        self._add(runs_on, (step, *_place(told)), _lines(told))

    def only_unhealthy(self) -> None:
        """The death showed as bad health only."""
        self._add(
            "a kill makes it unhealthy, but no answer proves that it is gone, so it is not restarted; status needs an "
            "expectation of a state",
            ("status", "expect"),
            [],
        )

    def logs_failed(self, error: OstlerError) -> None:
        """The logs could not be read."""
        self._add(f"logs cannot be read: {error.summary}", ("logs",), [])

    def restart_loses_it(self, step: str, probe: Probe) -> None:
        """After the restart tool, a probe does not find the service."""
        self._add(
            f"after the restart tool {step} does not find it ({probe.reason}): leave restart out, or take its outputs "
            "from the answer again",
            ("restart",),
            [],
        )

    # -- stopping ------------------------------------------------------------------------------------------

    def stop_failed(self, error: OstlerError, call: JsonObject, *, gone: bool) -> None:
        """The stop failed; `gone` says that the system shows nothing of it any more."""
        said = str(call.get("fails") or "")
        found = _GONE_WORDS.search(said)
        if found and gone:
            line = f"goneWhen: {{contains: {flow(found[0])}}}"
            self._add(f"the stop of what is gone fails: {_cut(said)}", ("stop", "goneWhen"), [line])
        elif not isinstance(error, OperationTimeoutError) or not gone:
            self._add(error.summary, ("stop",), [])

    def stop_misses(self, call: JsonObject, present: Sequence[str]) -> None:
        """The stop succeeded, and the thing still runs."""
        args: JsonObject = call.get("args") or {}
        name = self._class.tools.stop.tool.partition("/")[2]
        tool = next((tool for tool in self._tools if tool.name == name), None)
        unnamed = [each for each in (tool.parameters() if tool else ()) if is_identifier(each) and each not in args]
        problem = f"the stop tool was called with {flow(args)} and succeeded, but {' and '.join(present)}"
        if unnamed:
            kept = [each for each in self._class.tools.start.outputs if each.lower() == unnamed[0].lower()]
            value = f"{{{{ start.{kept[0] if kept else unnamed[0]} }}}}"
            lines = [f"args: {flow({**args, unnamed[0]: value})}"]
            if not kept:
                lines.append(f"# and in start.outputs: {unnamed[0]}: …, what the start tool calls it")
            self._add(f"{problem}; it names none", ("stop", "args"), lines)
        else:
            self._add(f"{problem}: it means something else, or takes longer (a stopped check waits)", ("stop",), [])

    # -- places --------------------------------------------------------------------------------------------

    def _asks_for_all(self, step: str) -> bool:
        """Whether the call of a step says nothing of the service, though there may be several."""
        spec = self._calls[step]
        return self._class.config.max_instances != 1 and spec.batch is None and "{{" not in flow(dict(spec.args))

    def _add_other_look(self, step: str, problem: str) -> None:
        drafted = self._drafted(step) if step in ("status", "find") else None
        if drafted is None or drafted.get("tool") == self._calls[step].tool:
            self._add(problem, (step,), [])
        else:
            self._add(problem, (step,), _step_lines(step, drafted))

    def _drafted(self, step: str) -> JsonObject | None:
        """Return a step as a draft from the server's tools has it, for the same start and stop."""
        tools = self._class.tools
        start, stop = (call.tool.partition("/")[2] for call in (tools.start, tools.stop))
        return drafted_step(tools.start.server, self._tools, start, stop, step)

    def _add(self, problem: str, path: Sequence[str], lines: Sequence[str]) -> None:
        whole = (*_TOOLS, *path)
        line = self._document.locate_key(whole)[0] if self._document is not None else 0
        key = ".".join(whole[: len(_TOOLS) + 1]) + ("" if len(path) < 2 else f".{path[1]}")
        self._found.setdefault(key, Advice(problem, ".".join(whole), line, tuple(lines)))


def _place(told: tuple[str, JsonObject] | None) -> tuple[str, ...]:
    return (told[0],) if told is not None else ()


def _lines(told: tuple[str, JsonObject] | None) -> list[str]:
    if told is None:
        return []
    key, expectation = told
    if "matches" in expectation:
        return [f"{key}: {{matches: {quoted(str(expectation['matches']))}}}"]
    return [f"{key}: {flow(expectation)}"]


def _step_lines(step: str, drafted: JsonObject) -> list[str]:
    lines = [f"  {yaml_key(key)}: {flow(value) if key != 'tool' else value}" for key, value in drafted.items()]
    return [f"{step}:", *lines]


def _plain_args(args: JsonObject) -> JsonObject:
    """Return args of `logs` for another step, where `service.logs` is unknown."""
    return {key: value for key, value in args.items() if "service.logs" not in str(value)}


def _pattern_of(line: str) -> str:
    """Return a pattern for a log line in which what varies, as ports and times do, may vary."""
    found = _READY_LINE.search(line)
    assert found is not None, "chosen by it"
    around = line[max(0, found.start() - 20) : found.end() + 12].strip()
    words = [word for word in around.split() if not _VARIES.search(word)]
    return r"\s+".join(map(re.escape, words[:5])) if " ".join(words) in line else re.escape(found[0])


def _last_answer(calls: Sequence[JsonObject], tool: str) -> ToolResponse | None:
    """Return the last answer of a tool among recorded calls."""
    for call in reversed(calls):
        if call["tool"] != tool:
            continue
        if "answer" in call:
            value: JsonValue = call["answer"]
            if isinstance(value, str):
                return normalise([{"type": "text", "text": value}])
            return normalise([], value)
        if "content" in call:
            return normalise(call["content"], call.get("structured"))
        return None
    return None


def _cut(text: str) -> str:
    plain = " ".join(text.split())
    return repr(plain if len(plain) <= _SHOWN else plain[: _SHOWN - 1] + "…")
