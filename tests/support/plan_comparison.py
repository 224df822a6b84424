"""A plan compared with what is really called."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import anyio

from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import ToolCaller
from ostler.model.events import Event, EventKind
from ostler.model.plans import PlannedStep
from ostler.model.responses import ToolResponse
from ostler.model.servers import MASK

_MARK = re.compile(r"<known after [a-z ]+[\w-]*>")

Made = tuple[str, dict[str, Any]]


class Recorder:
    """A ToolCaller that notes every call on its way to another one."""

    def __init__(self, inner: ToolCaller) -> None:
        self.inner = inner
        self.calls: list[Made] = []

    async def call_tool(
        self, tool: str, args: Mapping[str, Any], *, timeout: float | None = None, progress: Any = None
    ) -> ToolResponse:
        self.calls.append((tool, dict(args)))
        await anyio.lowlevel.checkpoint()
        return await self.inner.call_tool(tool, args, timeout=timeout, progress=progress)


class Recording(Protocol):
    """Whatever keeps the calls."""

    calls: list[Made]


class Watch:
    """The calls up to the end of an operation of one service, without what the health scheduler asks afterwards."""

    def __init__(self, manager: ServiceManager, recorder: Recording, service: str) -> None:
        self._recorder = recorder
        self._service = service
        self._from = len(recorder.calls)
        self._until: int | None = None
        self._stop = manager.events.subscribe(self._happened)

    def _happened(self, event: Event) -> None:
        if event.service == self._service and event.kind is EventKind.OPERATION_ENDED:
            self._until = len(self._recorder.calls)

    def calls(self) -> list[Made]:
        """Return them, and end the watch."""
        self._stop()
        return self._recorder.calls[self._from : self._until]


def differences_from_plan(
    steps: Sequence[PlannedStep], made: Sequence[Made], needs: Mapping[str, Sequence[str]] | None = None
) -> list[str]:
    """Return how the calls differ from the plan, in words.

    Services start side by side, so what is compared is the order of each service's own calls, and that they come
    after those of the services that it needs.
    """
    found: list[str] = []
    rest = list(enumerate(made))
    places: dict[str, list[int]] = defaultdict(list)
    for index, step in enumerate(steps):
        matching = [entry for entry in rest if _matches(step, entry[1])]
        previous = places[step.service][-1] if places[step.service] else -1
        matching = [entry for entry in matching if entry[0] > previous]
        if not matching:
            if step.step in ("healthCheck", "status"):
                continue  # it was healthy before anybody had to ask
            found.append(f"planned, not called: {step.service} {step.step} {step.tool} {step.args}")
            continue
        taken = matching[:1]
        if step.every is not None or step.tries > 1:  # all of them, but for those that later steps need
            needed = sum(_matches(other, matching[0][1]) for other in steps[index + 1 :])
            taken += matching[1 : max(len(matching) - needed, 1)]
        for entry in taken:
            rest.remove(entry)
            places[step.service].append(entry[0])
    if any(step.step == "stop" for step in steps):  # whether it is gone is looked up, which no plan needs to say
        rest = [entry for entry in rest if not entry[1][0].endswith(("/status", "/find"))]
    found += [f"called, not planned: {call}" for _, call in rest]
    for service, others in (needs or {}).items():
        for other in others:
            own, theirs = places.get(service), places.get(other)
            if own and theirs and own[0] < max(theirs):
                found.append(f"{service} was called before {other} was up")
    return found


def _matches(step: PlannedStep, call: Made) -> bool:
    return step.tool == call[0] and _same(step.args, call[1])


def _same(planned: Any, real: Any) -> bool:
    if real == MASK and isinstance(planned, str) and MASK in planned:
        return True  # it is an output of its own by now, and a secret one
    if isinstance(planned, str) and _MARK.search(planned):
        if _MARK.fullmatch(planned):
            return True
        parts = _MARK.split(planned)
        return re.fullmatch(".*".join(map(re.escape, parts)), str(real), re.DOTALL) is not None
    if isinstance(planned, dict) and isinstance(real, dict):
        return planned.keys() == real.keys() and all(_same(planned[key], real[key]) for key in planned)
    if isinstance(planned, list) and isinstance(real, list):
        return len(planned) == len(real) and all(map(_same, planned, real))
    return type(planned) is type(real) and planned == real
