"""Records a test of a class: one life of a service on live servers, with what was called and answered."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from ostler.adapters.testing.results import Outcome
from ostler.adapters.testing.runner import TestRun
from ostler.adapters.testing.scripted_caller import stand_in_answer
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import Progress, ToolCaller
from ostler.model.class_tests import TEST_KIND, ExpectedCall
from ostler.model.downstream_errors import (
    ConnectionLostError,
    DownstreamError,
    ServerUnavailableError,
    ToolTimeoutError,
)
from ostler.model.errors import OstlerError
from ostler.model.json import JsonMapping, JsonObject, JsonValue
from ostler.model.responses import ToolResponse
from ostler.rules.loading.class_tests import load_class_tests
from ostler.rules.secrets.masking import mask
from ostler.rules.text.manifest_text import flow

if TYPE_CHECKING:
    from ostler.adapters.testing.scripted_caller import CallProblem

STEPS = ("create", "check", "stop", "delete")
"""What is done to the service that is recorded."""

_LONGEST = 900.0
_ERRORS: Sequence[tuple[type[DownstreamError], str]] = (
    (ToolTimeoutError, "timeout"),
    (ConnectionLostError, "lost"),
    (ServerUnavailableError, "unavailable"),
)


class RecordedTest(Struct, frozen=True):
    """A recorded test.

    Attributes:
        text: the file of class tests.
        error: why the recording ended early; empty when it did not.
    """

    text: str
    error: str = ""


class RecordingCaller:
    """Passes calls on to live servers and keeps what they answered, step by step."""

    def __init__(self, live: ToolCaller) -> None:
        self._live = live
        self.calls_made = 0
        self.under_way = 0
        self.problems: list[CallProblem] = []
        self.transcript: list[str] = []
        self.stand_ins: dict[str, JsonObject] = {}
        self.calls: list[JsonObject] = []

    def __repr__(self) -> str:
        return f"RecordingCaller({self.calls_made} calls)"

    def begin_step(self, expected: Sequence[ExpectedCall] | None) -> None:
        """Begin to record a step."""
        del expected
        self.calls = []

    def end_step(self) -> None:
        """The step has ended."""

    async def call_tool(
        self, tool: str, args: JsonMapping, *, timeout: float | None = None, progress: Progress | None = None
    ) -> ToolResponse:
        """Call the tool and keep its answer.

        Raises:
            DownstreamError: there was none; that is kept, too.
        """
        if (stand_in := stand_in_answer(self.stand_ins, tool, args)) is not None:
            return stand_in
        self.calls_made += 1
        self.under_way += 1
        call: JsonObject = {"tool": tool, "args": dict(args)}
        self.calls.append(call)
        try:
            response = await self._live.call_tool(tool, args, timeout=timeout, progress=progress)
        except DownstreamError as error:
            call["error"] = next((word for kind, word in _ERRORS if isinstance(error, kind)), "rejected")
            raise
        finally:
            self.under_way -= 1
        call.update(_answer(response))
        return response


class _RecordingRun(TestRun):
    """A run of a test that has only its actions: notes what happens instead of judging it."""

    _longest = _LONGEST
    _persist = False  # whatever ends the recording, nothing of it stays

    def __init__(self, text: str, file: str, entries: list[ClassEntry], caller: RecordingCaller) -> None:
        super().__init__(load_class_tests(text, file), 0, entries, caller)
        self._recording = caller
        self.steps: list[JsonObject] = []
        self.secrets: frozenset[str] = frozenset()
        self.error = ""

    def judge(self, manager: ServiceManager, index: int, outcome: Outcome) -> None:
        """Note the calls of a step and what is true after it."""
        if self.error:
            return
        self.secrets |= manager.secrets()
        self.error = "" if outcome.error is None else str(outcome.error)
        self.steps.append(recorded_step(STEPS[index], self._recording, manager, self.name, outcome.error))


def file_head(class_name: str, service: str, args: JsonMapping) -> JsonObject:
    """Return the keys of a file of class tests that come before its tests."""
    return {
        "apiVersion": "ostler/v1",
        "kind": TEST_KIND,
        "serviceClass": class_name,
        "service": service,
        "args": dict(args),
    }


async def record_class_test(
    entry: ClassEntry, entries: Iterable[ClassEntry], args: JsonMapping, live: ToolCaller, *, service: str = "test"
) -> RecordedTest:
    """Create a service of the class on live servers, check, stop and delete it, and return that as a test.

    Secrets of the service are masked in the text, also those that it was given.

    Args:
        entry: the class.
        entries: it, and the classes that its dependencies need.
        args: the service's args.
        live: calls the tools.
        service: the service's name.

    Raises:
        ManifestError: the service's name is none.
    """
    head = file_head(entry.name, service, args)
    script = {**head, "tests": [{"name": "recorded", "steps": [{"do": step} for step in STEPS]}]}
    run = _RecordingRun(json.dumps(script), "recording", list(entries), RecordingCaller(live))
    await run.run()
    return RecordedTest(recorded_text(head, run.steps, run.secrets), run.error)


def _answer(response: ToolResponse) -> JsonObject:
    """Return an answer with the keys of a test."""
    texts = [block for block in response.content if block.get("type") == "text"]
    only_text = len(response.content) == len(texts) <= 1
    if response.is_error:
        if only_text:
            return {"fails": response.text}
        return {"content": list(response.content), "isError": True}
    structured: JsonValue = response.structured
    if only_text and (structured is None or isinstance(structured, dict)):
        return {"answer": response.value}
    kept: JsonObject = {} if structured is None else {"structured": structured}
    return {"content": list(response.content), **kept}


def recorded_step(
    action: str, caller: RecordingCaller, manager: ServiceManager, service: str, error: OstlerError | None
) -> JsonObject:
    """Return a step of a class test: what was done, the calls that it made, and what is true after it.

    Args:
        action: what was done.
        caller: made the calls.
        manager: the engine.
        service: the service's name.
        error: why the step failed; None if it succeeded.
    """
    expect: JsonObject = {}
    found = manager.registry.find(service)
    if found is None:
        expect["exists"] = False
    else:
        expect |= {"state": found.state.value, "health": found.health.value}
        if outputs := manager.reveal(service)[1]:
            expect["outputs"] = outputs
    if error is not None:
        expect["error"] = error.summary.split("; ")[0]
    return {"do": action, "calls": _merged_calls(caller.calls), "expect": expect}


def _merged_calls(calls: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the calls with equal ones in a row as one that is made several times."""
    merged: list[JsonObject] = []
    for call in calls:
        last = merged[-1] if merged else {}
        if {key: value for key, value in last.items() if key != "times"} == call:
            last["times"] = last.get("times", 1) + 1
        else:
            merged.append(dict(call))
    return merged


def recorded_text(
    head: JsonObject, steps: Sequence[JsonObject], secrets: frozenset[str], name: str = "lives as it was recorded"
) -> str:
    """Return a file of class tests with one test.

    Args:
        head: the keys of the file.
        steps: what was done, called and true afterwards.
        secrets: what is masked.
        name: the test's name.
    """

    def shown(value: JsonValue) -> str:
        return flow(mask(value, secrets))

    lines = [f"{key}: {value if isinstance(value, str) else shown(value)}" for key, value in head.items()]
    lines += ["tests:", f"  - name: {name}", "    steps:"]
    for step in steps:
        lines.append(f"      - do: {step['do']}")
        lines.append("        calls:" if step["calls"] else "        calls: []")
        for call in step["calls"]:
            lines += _call_lines(call, shown)
        lines.append("        expect:")
        lines += [f"          {key}: {shown(value)}" for key, value in step["expect"].items()]
    return "\n".join(lines) + "\n"


def _call_lines(call: JsonObject, shown: Callable[[JsonValue], str]) -> list[str]:
    first, *rest = [f"{key}: {value if key == 'tool' else shown(value)}" for key, value in call.items()]
    return [f"          - {first}", *(f"            {line}" for line in rest)]
