"""A service under trial: what its tools and the system show of it, apart from what the engine believes."""

from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from ostler.adapters.testing.live_recording import RecordingCaller
from ostler.adapters.testing.outside import Outside, accepts
from ostler.adapters.testing.trial_advice import Probe
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.instances.judging import judge
from ostler.engine.instances.steps import planned_call
from ostler.engine.protocols import ToolCaller
from ostler.model.downstream_errors import DownstreamError
from ostler.model.errors import OstlerError, TemplateError
from ostler.model.json import JsonObject, JsonValue
from ostler.rules.answers.batch_items import BatchAnswer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ostler.model.records import PlannedCall
    from ostler.model.responses import ToolResponse

PORT_PATIENCE = 10.0
"""Seconds that a port may still open in, after the service was called ready."""

PAUSE = 0.3
"""Seconds between two checks."""

_GONE_PATIENCE = 5.0
_PROBES = ("ready", "status", "healthCheck", "find")
_PORT_ARGS = ("port", "localPort", "local_port")
_LOOK_SECONDS = 10.0


class TriedService:
    """One service of a trial.

    Attributes:
        instance: it, as the engine has it.
        pids: its processes that it named, and that began with the trial.
        ports: its ports on this machine, which were free before the trial.
        pinned: its probes, rendered while it ran, so that they can be asked when it is gone.
        alive: what the probes answered while it ran.
    """

    def __init__(
        self, instance: ServiceInstance, outside: Outside, live: ToolCaller, recorded: RecordingCaller
    ) -> None:
        self.instance = instance
        self.pids: Sequence[int] = ()
        self.ports: Sequence[int] = ()
        self.pinned: dict[str, PlannedCall] = {}
        self.alive: dict[str, ToolResponse] = {}
        self._outside = outside
        self._live = live
        self._recorded = recorded

    def __repr__(self) -> str:
        return f"TriedService({self.instance.name!r}, pids={list(self.pids)}, ports={list(self.ports)})"

    def look(self) -> None:
        """Find its processes and ports, and render its probes; it was just started."""
        values = self.named_values()
        self.pids = self._outside.pids_in(values)
        self.ports = self._outside.ports_in(values)
        for step, spec in self.instance.service_class.tools.calls:
            if step in _PROBES:
                with suppress(TemplateError):
                    self.pinned[step] = planned_call(self.instance, step, spec, _LOOK_SECONDS)

    def named_values(self) -> list[JsonValue]:
        """Return all that the service and its start tool say of it."""
        record = self.instance.record
        tool = self.instance.service_class.tools.start.tool
        answers = [call.get("answer") for call in self._recorded.calls if call["tool"] == tool]
        given: JsonObject = {key: value for key, value in record.args.items() if key in _PORT_ARGS}
        return [record.outputs, *record.step_outputs.values(), *answers, given]

    def note_tree(self) -> None:
        """Remember all processes below its own, to see later whether they are gone."""
        for pid in self.pids:
            self._outside.note_tree(pid)

    def killable(self) -> int | None:
        """Return the process that ends it: one that it named, else the one at its port."""
        held = (self._outside.holder_of(port) for port in self.ports)
        return next(iter([*self.pids, *(pid for pid in held if pid is not None)]), None)

    def shown_outside(self) -> list[str]:
        """Return its processes and ports, in words."""
        return [f"process {pid}" for pid in self.pids] + [f"port {port}" for port in self.ports]

    def present_outside(self) -> list[str]:
        """Return what the system still shows of it, in words."""
        found = [f"process {pid} still runs" for pid in self._outside.left()]
        return found + [f"port {port} still accepts connections" for port in self.ports if accepts(port)]

    async def left_after_a_while(self) -> tuple[list[str], float]:
        """Return what is still shown after some patience, and the seconds that were waited."""
        began = anyio.current_time()
        while True:
            present, waited = self.present_outside(), anyio.current_time() - began
            if not present or waited > _GONE_PATIENCE:
                return present, waited
            await anyio.sleep(PAUSE)

    async def opened(self, port: int) -> float | None:
        """Return for how many seconds a port refused connections; None if it still does.

        The look that finds it open does not count: on a busy machine it takes long.
        """
        began = looked_at = anyio.current_time()
        closed_for = 0.0
        while not accepts(port):
            closed_for = looked_at - began
            if anyio.current_time() - began > PORT_PATIENCE:
                return None
            await anyio.sleep(PAUSE / 3)
            looked_at = anyio.current_time()
        return closed_for

    async def probe(self, step: str) -> Probe | None:
        """Ask one of the probes, unrecorded; None when the class has none."""
        call = self.pinned.get(step)
        if call is None:
            return None
        try:
            answer = await self._live.call_tool(call.tool, call.args, timeout=call.timeout)
        except DownstreamError as error:
            return Probe(passed=False, reason=str(error), response=None)
        response: ToolResponse | None = answer
        try:
            if call.batch is not None:
                response = None
                response = BatchAnswer(answer).find(call.batch)
            judge(self.instance, call, response)
        except OstlerError as error:
            return Probe(passed=False, reason=error.summary, response=response)
        return Probe(passed=True, reason="", response=response)
