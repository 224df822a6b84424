"""A ToolCaller that answers as a test says, and notes how the calls differ from those that the test expects."""

import json
from collections.abc import Mapping, Sequence
from typing import Protocol, cast

import anyio
from msgspec import Struct

from ostler.engine.protocols import Progress, ToolCaller
from ostler.model.class_tests import CALL_SECONDS, ExpectedCall, ScriptedAnswer
from ostler.model.downstream_errors import (
    ConnectionLostError,
    DownstreamError,
    ServerUnavailableError,
    ToolRejectedError,
    ToolTimeoutError,
)
from ostler.model.errors import OperationError
from ostler.model.json import JsonMapping, JsonObject, JsonValue
from ostler.model.manifest import ServiceClass
from ostler.model.responses import ToolResponse
from ostler.rules.answers.responses import normalise
from ostler.rules.text.differences import differences, shown

STAND_IN = "stand-in"
"""The server of the tools that drive the services which a test only supposes; their calls are not a matter of it."""

_TIMEOUT = 60.0


class CallProblem(Struct, frozen=True):
    """A call that is not as expected.

    Attributes:
        message: what is wrong.
        index: which expected call it is about; None when it is about none of them.
        details: differences, one a line.
    """

    message: str
    index: int | None = None
    details: tuple[str, ...] = ()


class StepCaller(ToolCaller, Protocol):
    """A ToolCaller that is given the steps of a test.

    Attributes:
        calls_made: calls so far.
        under_way: calls that are not answered yet.
        problems: what was not as expected in this step.
        transcript: the calls of this step, for people.
        stand_ins: outputs of the services that are only supposed, by name.
    """

    calls_made: int
    under_way: int
    problems: list[CallProblem]
    transcript: list[str]
    stand_ins: dict[str, JsonObject]

    def begin_step(self, expected: Sequence[ExpectedCall] | None) -> None:
        """A step begins; `expected` are the calls that it must make."""
        ...

    def end_step(self) -> None:
        """The step has ended."""
        ...


class ScriptedCaller:
    """Answers the calls of one test."""

    def __init__(self, answers: Mapping[str, Sequence[ScriptedAnswer]], classes: Sequence[ServiceClass] = ()) -> None:
        """Make the caller.

        Args:
            answers: by tool.
            classes: the classes under test. Whether a stopped service is gone is looked up with their status and find
                tools; a test need not say so, and then their stop tools are taken at their word.
        """
        self._answers = answers
        tools = [one.tools for one in classes]
        self._stops = frozenset(each.stop.tool for each in tools)
        self._starts = frozenset(call.tool for each in tools for call in (each.start, each.restart) if call is not None)
        self._looks = frozenset(call.tool for each in tools for call in (each.status, each.find) if call is not None)
        self._has_stopped = False
        self._given: dict[str, int] = {}
        self._expected: Sequence[ExpectedCall] | None = None
        self._position = 0
        self._seen = 0
        self.problems: list[CallProblem] = []
        self.transcript: list[str] = []
        self.stand_ins: dict[str, JsonObject] = {}
        self.calls_made = 0
        self.under_way = 0

    def __repr__(self) -> str:
        return f"ScriptedCaller({self.calls_made} calls)"

    def begin_step(self, expected: Sequence[ExpectedCall] | None) -> None:
        """Forget the last step; from now on `expected` are the calls to come (None: any, from `answers`)."""
        self._expected = expected
        self._position = self._seen = 0
        self._has_stopped = False
        self.problems = []
        self.transcript = []

    def end_step(self) -> None:
        """Note which of the expected calls were not made."""
        for index, call in enumerate(self._expected or ()):
            if index < self._position or call.repeated:
                continue
            missing = call.times - (self._seen if index == self._position else 0)
            times = "" if call.times == 1 else f" {missing} more time{'s' if missing > 1 else ''}"
            self.transcript.append(f"- {call.tool}: expected{times}, not made")
            self.problems.append(CallProblem(f"{call.tool} was expected{times}, but was not called", index))

    async def call_tool(
        self, tool: str, args: JsonMapping, *, timeout: float | None = None, progress: Progress | None = None
    ) -> ToolResponse:
        """Answer as scripted; a call without an answer fails, and is noted.

        Raises:
            DownstreamError: the script says so, or the answer comes after `timeout`.
        """
        del progress
        self.calls_made += 1
        if (response := stand_in_answer(self.stand_ins, tool, args)) is not None:
            return response
        limit = _TIMEOUT if timeout is None else timeout
        if self._has_stopped and tool in self._looks and not self._is_next(tool):
            self.transcript.append(f"  {tool}: looks whether it is gone")
            raise OperationError("the test does not say whether it is gone", tool=tool)
        if tool in self._starts:
            self._has_stopped = False
        answer = self._answer(tool, args)
        self.under_way += 1
        try:
            response = await _given(answer, tool, limit)
        finally:
            self.under_way -= 1
        if tool in self._stops:
            self._has_stopped = not response.is_error
        return response

    def _answer(self, tool: str, args: JsonMapping) -> ScriptedAnswer:
        if self._expected is None:
            self.transcript.append(f"  {tool} {shown(args)}")
            answer = self._common_answer(tool)
            if answer is None:
                self.problems.append(
                    CallProblem(
                        f"{tool} was called, and the test has no answer for it", None, (f"args: {shown(args)}",)
                    )
                )
                answer = ScriptedAnswer(fails="the test has no answer for this tool")
            return answer
        index, call = self._match(tool, args)
        if call is None:
            self.transcript.append(f"+ {tool} {shown(args)}: not expected")
            expected = self._expected[self._position].tool if self._position < len(self._expected) else "no call"
            self.problems.append(
                CallProblem(
                    f"{tool} was called where {expected} was expected",
                    self._position if self._position < len(self._expected) else None,
                    (f"args: {shown(args)}",),
                )
            )
            return ScriptedAnswer(fails="the test did not expect this call")
        different = _args_differences(call, args)
        self.transcript.append(f"{'!' if different else '='} {tool}{': args differ' if different else ''}")
        if different:
            self.problems.append(CallProblem(f"{tool} was called with other args", index, tuple(different)))
        return call if call.is_given else self._common_answer(tool) or call

    def _is_next(self, tool: str) -> bool:
        """Whether the step expects a call of `tool` next."""
        left = (self._expected or ())[self._position :]
        return any(call.tool == tool for call in left[:1])

    def _match(self, tool: str, args: JsonMapping) -> tuple[int, ExpectedCall | None]:
        """Return the expected call that this one is, and go on to the next when it was the last of its kind."""
        assert self._expected is not None
        while self._position < len(self._expected):
            call = self._expected[self._position]
            if call.repeated:
                if call.tool == tool and not _args_differences(call, args):
                    return self._position, call
                self._position += 1
                continue
            if call.tool != tool:
                break
            self._seen += 1
            if self._seen == call.times:
                self._position, self._seen = self._position + 1, 0
                return self._position - 1, call
            return self._position, call
        return self._position, None

    def _common_answer(self, tool: str) -> ScriptedAnswer | None:
        """Return the next of the tool's own answers; the last one is given again and again."""
        answers = self._answers.get(tool)
        if not answers:
            return None
        index = self._given.get(tool, 0)
        self._given[tool] = index + 1
        return answers[min(index, len(answers) - 1)]


def stand_in_answer(stand_ins: Mapping[str, JsonObject], tool: str, args: JsonMapping) -> ToolResponse | None:
    """Return the answer to a call for a service that is only supposed; None for any other call."""
    return normalise([], stand_ins.get(str(args.get("name")), {})) if tool.startswith(f"{STAND_IN}/") else None


async def _given(answer: ScriptedAnswer, tool: str, limit: float) -> ToolResponse:
    if answer.error == "unavailable":
        raise ServerUnavailableError(f"downstream server {tool.partition('/')[0]!r} is not connected", tool=tool)
    seconds = answer.after if "after" in answer.model_fields_set else CALL_SECONDS
    if answer.error == "timeout" or seconds >= limit:
        await anyio.sleep(limit)
        raise ToolTimeoutError(f"tool {tool!r} did not answer within {limit:g}s", tool=tool)
    await anyio.sleep(seconds)
    if answer.error is not None:
        errors: Mapping[str, type[DownstreamError]] = {"lost": ConnectionLostError, "rejected": ToolRejectedError}
        what = {"lost": f"the connection ended during {tool!r}", "rejected": f"the server refused {tool!r}"}
        raise errors[answer.error](what[answer.error], tool=tool)
    if answer.content is not None:
        return normalise(answer.content, answer.structured, is_error=answer.is_error, duration=seconds)
    if answer.fails is not None:
        return normalise([_text(answer.fails)], is_error=True, duration=seconds)
    value = answer.answer
    if isinstance(value, dict):
        return normalise([_text(value)], cast("JsonObject", value), duration=seconds)
    return normalise([] if value is None else [_text(value)], duration=seconds)


def _text(value: JsonValue) -> JsonObject:
    return {"type": "text", "text": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}


def _args_differences(call: ExpectedCall, args: JsonMapping) -> list[str]:
    if call.args is not None:
        return differences(call.args, dict(args), "args")
    if call.args_include is not None:
        return differences(call.args_include, dict(args), "args", partial=True)
    return []
