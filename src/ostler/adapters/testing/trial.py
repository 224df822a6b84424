"""Tries a class: one whole life of a service on live servers, each step verified by its tools and by the system.

The service has a name of its own, and is removed whatever fails: by its stop plan, and what the system shows of it
then is killed. Nothing of others is touched: only processes and ports count that appeared since the trial began.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace  # noqa: TID251 (a dataclass)
from datetime import UTC, datetime

import anyio
from msgspec import Struct

from ostler.adapters.stores.memory import MemoryStore
from ostler.adapters.testing.live_recording import RecordingCaller
from ostler.adapters.testing.outside import Outside
from ostler.adapters.testing.stand_ins import add_stand_in
from ostler.adapters.testing.trial_advice import Adviser
from ostler.adapters.testing.trial_recording import TrialRecording
from ostler.adapters.testing.trial_report import TrialReport, TrialStep, Verdict
from ostler.adapters.testing.tried_service import PAUSE, PORT_PATIENCE, TriedService
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.clock import LoopClock
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import ToolCaller
from ostler.engine.services.views import CreateRequest, ServiceView
from ostler.model.class_tests import StandIn
from ostler.model.durations import format_duration
from ostler.model.errors import OstlerError
from ostler.model.json import JsonMapping, JsonObject
from ostler.model.states import HealthStatus, ServiceState
from ostler.rules.calls.rendering import logs_call
from ostler.rules.drafts.tool_traits import Tool
from ostler.rules.text.log_pages import LogRange

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_MOST_CHECKS = 6
_SHOWN = 160
_DAY = 86400.0
_CLEANUP_GRACE = 15.0
"""Seconds that the removal may take beyond the timeouts of the class."""

KillTarget = Callable[[Mapping[str, object]], Awaitable[str]]
"""Ends the thing from outside, given what templates may name; returns what it did."""


class TrialOptions(Struct, frozen=True):
    """How a class is tried.

    Attributes:
        service: the service's name, which no other has.
        environment: what templates see as `env.*`.
        kill: ends the thing from outside, where it is not a process with a pid or a port.
        tools: the tools of the server that starts it, to propose steps that the class lacks.
        services: existing services that the class depends on.
        secrets: values of these services that no recorded test may show.
        shown: is given each step as it ends.
        interrupted: is given what is left, in words, when the trial was cut off; there is no report then.
    """

    service: str
    environment: Mapping[str, str] = {}
    kill: KillTarget | None = None
    tools: Sequence[Tool] = ()
    services: Sequence[StandIn] = ()
    secrets: frozenset[str] = frozenset()
    shown: Callable[[TrialStep], None] = lambda _: None
    interrupted: Callable[[Sequence[str]], None] = lambda _: None


def trial_name(class_name: str) -> str:
    """Return a service's name that no other has."""
    return f"try-{class_name[:50].rstrip('-').lower()}-{secrets.token_hex(2)}"


async def try_class(
    entry: ClassEntry, entries: Sequence[ClassEntry], args: JsonMapping, live: ToolCaller, options: TrialOptions
) -> TrialReport:
    """Take one service of a class through its life on live servers, and return what was found.

    Args:
        entry: the class.
        entries: it, and the classes that its dependencies need.
        args: the service's args.
        live: calls the tools.
        options: how.
    """
    return await _Trial(entry, entries, dict(args), live, options).run()


class _Failed(Exception):  # noqa: N818 (it never leaves the trial)
    """A step did not go as it must; the text says how."""


class _Trial:
    def __init__(
        self,
        entry: ClassEntry,
        entries: Sequence[ClassEntry],
        args: JsonObject,
        live: ToolCaller,
        options: TrialOptions,
    ) -> None:
        self._entry = _checked_by_request(entry)
        self._entries = [self._entry, *(each for each in entries if each.name != entry.name)]
        self._args = args
        self._live = live
        self._options = options
        self._name = options.service
        self._caller = RecordingCaller(live)
        self._outside = Outside()
        self._adviser = Adviser(entry, options.tools)
        self._steps: list[TrialStep] = []
        self._recording = TrialRecording(entry.name, self._name, args, self._caller)
        self._recording.mask(options.secrets)
        self._service: TriedService | None = None
        self._stopped_by: JsonObject = {}

    async def run(self) -> TrialReport:
        manager = ServiceManager(
            self._caller,
            MemoryStore(),
            clock=LoopClock(_EPOCH),
            environment=self._options.environment,
            make_id=self._recording.new_id,
        )
        manager.classes.replace(self._entries)
        failure: Exception | None = None
        left: list[str] = []
        life = anyio.CancelScope()
        async with anyio.create_task_group() as around:
            around.start_soon(_end_with_us, life)
            with anyio.CancelScope(shield=True):  # the manager is needed for the removal
                async with manager:
                    self._manager = manager
                    failure, left = await self._live_and_be_removed(life)
            around.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return TrialReport(
            self._entry.name, self._name, tuple(self._steps), tuple(self._adviser.advice()), tuple(left), self._test()
        )

    async def _live_and_be_removed(self, life: anyio.CancelScope) -> tuple[Exception | None, list[str]]:
        """Live until the end or until `life` is cancelled; return what broke the trial, and what it leaves."""
        failure: Exception | None = None
        try:
            with life:
                for service in self._options.services:
                    await add_stand_in(self._manager, self._caller, service)
                await self._live_through()
        except Exception as error:  # noqa: BLE001 (raised by the caller, not as one of a group)
            failure = error
        except BaseException:  # asyncio's own cancellation, as of Ctrl-C
            self._options.interrupted(await self._remove())
            raise
        left = await self._remove()
        if life.cancel_called:
            self._options.interrupted(left)
        return failure, left

    # -- the life ------------------------------------------------------------------------------------------

    async def _live_through(self) -> None:
        if not await self._step("created", self._create):
            return
        if self._view().state in (ServiceState.STOPPED, ServiceState.FAILED):
            self._note("killed", "skipped", "it does its work and ends")
        else:
            await self._step("ready", self._be_ready)
            await self._step("healthy", self._be_healthy)
            await self._step("looked at", self._be_looked_at)
            if await self._step("killed", self._be_killed):
                await self._step("recovered", self._recover)
            if self._entry.service_class.tools.restart is not None and self._view().state.is_up:
                await self._step("restarted", self._restart)
        await self._step("stopped", self._stop)
        await self._step("gone", self._be_gone)

    async def _step(self, name: str, act: Callable[[], Awaitable[str]]) -> bool:
        """Do a step and note how it went; return whether it was done and is right."""
        began = anyio.current_time()
        try:
            text = await act()
        except _Skipped as reason:
            self._note(name, "skipped", str(reason))
            return False
        except (_Failed, OstlerError) as failure:
            self._note(name, "failed", str(failure), anyio.current_time() - began)
            return False
        self._note(name, "ok", text, anyio.current_time() - began)
        return True

    def _note(self, name: str, verdict: Verdict, text: str, seconds: float = 0.0) -> None:
        self._recording.mask(self._manager.secrets())
        self._steps.append(TrialStep(name, verdict, text, seconds))
        self._options.shown(self._steps[-1])

    async def _do(self, action: str, act: Callable[[], Awaitable[object]]) -> None:
        await self._recording.record(self._manager, action, act)

    async def _create(self) -> str:
        request = CreateRequest(self._entry.name, self._name, self._args, persist=False)
        try:
            await self._do("create", lambda: self._manager.create(request))
        except OstlerError as error:
            self._adviser.start_failed(error, self._caller.calls)
            raise
        service = self._manager.registry.get(self._name)
        assert isinstance(service, ServiceInstance), "a class makes instances"
        self._service = TriedService(service, self._outside, self._live, self._caller)
        self._service.look()
        ready = self._entry.service_class.tools.ready
        looks = sum(int(call.get("times", 1)) for call in self._caller.calls if ready and call["tool"] == ready.tool)
        after = f", ready after {looks} look{'s' * (looks != 1)}" if looks else ""
        return f"{self._entry.service_class.tools.start.tool} answered{after}"

    async def _be_ready(self) -> str:
        """What is called ready runs, and its ports accept connections."""
        seen: list[str] = []
        strange = self._outside.strange_pids_in(self._tried.named_values())
        seen += [f"process {pid} runs" for pid in self._tried.pids]
        if strange and not self._tried.pids:
            seen.append(f"no process {strange[0]} on this machine")
        for port in self._tried.ports:
            waited = await self._tried.opened(port)
            if waited is None:
                seen.append(f"port {port} does not accept connections")
                if self._tried.pids:
                    self._adviser.ready_too_early(port, None)
                    raise _Failed(f"called ready, but port {port} accepts no connection within {PORT_PATIENCE:.0f}s")
            elif waited > PAUSE:
                await self._note_logs()
                self._adviser.ready_too_early(port, waited)
                raise _Failed(f"called ready {waited:.1f}s before port {port} accepted a connection")
            else:
                seen.append(f"port {port} accepts")
        return ", ".join(seen) or "its tools say so; it has no pid and no port that the system could show"

    async def _be_healthy(self) -> str:
        await self._do("check", lambda: self._manager.check_health(self._name))
        view = self._view()
        if not self._entry.service_class.looks_after_start:
            self._adviser.sees_nothing()
            raise _Failed("the class has no status, healthCheck or find tool, so nothing sees whether it runs")
        if view.health is not HealthStatus.HEALTHY:
            for step in ("healthCheck", "status", "find"):
                if (probe := await self._tried.probe(step)) is not None and not probe.passed:
                    self._adviser.misses(step, probe)
            raise _Failed(f"health is {view.health.value}: {view.evidence or view.error or 'nothing was seen'}")
        return _short(view.evidence)

    async def _be_looked_at(self) -> str:
        """Every probe passes while the thing runs; the logs can be read."""
        wrong: list[str] = []
        seen: list[str] = []
        for step in self._tried.pinned:
            probe = await self._tried.probe(step)
            if probe is None:
                continue
            if probe.passed and probe.response is not None:
                self._tried.alive[step] = probe.response
                seen.append(step)
            else:
                self._adviser.misses(step, probe)
                wrong.append(f"{step} does not find it running: {probe.reason}")
        if logs_call(self._entry.service_class) is not None:
            try:
                lines = (await self._tried.instance.read_logs(LogRange())).lines
                seen.append(f"logs ({len(lines)} lines)")
            except OstlerError as error:
                self._adviser.logs_failed(error)
                wrong.append(f"logs: {error}")
        if wrong:
            raise _Failed("; ".join(wrong))
        return ", ".join(seen)

    async def _be_killed(self) -> str:
        """End it from outside; its tools must notice."""
        self._tried.note_tree()
        if self._options.kill is not None:
            done = await self._options.kill(self._tried.instance.template_names())
        else:
            pid = self._tried.killable()
            if pid is None:
                raise _Skipped("it has neither a process nor a port here; --kill COMMAND ends it from outside")
            count = self._outside.kill(pid)
            done = f"kill -9 {pid}" + (f" and {count - 1} below it" if count > 1 else "")
        most = min(self._entry.service_class.config.health_rules.failure_threshold + 2, _MOST_CHECKS)
        for number in range(1, most + 1):
            await self._do("check", lambda: self._manager.check_health(self._name))
            view = self._view()
            if not view.state.is_up:
                return f"{done}; seen by check {number}: {_short(view.error or view.state.value)}"
            await anyio.sleep(PAUSE)
        view = self._view()
        for step, alive in self._tried.alive.items():
            if (probe := await self._tried.probe(step)) is not None and probe.passed:
                self._adviser.same_when_gone(step, alive, probe, "was killed")
        if view.health is HealthStatus.UNHEALTHY:
            self._adviser.only_unhealthy()
        raise _Failed(f"{done}; after {most} checks it is still {view.state.value}, health {view.health.value}")

    async def _recover(self) -> str:
        await self._do("start", lambda: self._manager.start_service(self._name))
        self._tried.look()
        closed = [port for port in self._tried.ports if await self._tried.opened(port) is None]
        if closed and self._tried.pids:
            raise _Failed(f"started again, but port {closed[0]} accepts no connection")
        what = self._tried.shown_outside()
        return f"started again{': ' if what else ''}{', '.join(what)}"

    async def _restart(self) -> str:
        await self._do("restart", lambda: self._manager.restart_service(self._name))
        self._tried.look()
        for step in ("status", "find", "healthCheck"):
            if (probe := await self._tried.probe(step)) is not None and not probe.passed:
                self._adviser.restart_loses_it(step, probe)
                raise _Failed(f"after the restart tool, {step} says: {probe.reason}")
        return "by its restart tool"

    async def _stop(self) -> str:
        self._tried.note_tree()
        try:
            await self._do("stop", lambda: self._manager.stop_service(self._name))
        except OstlerError as error:
            self._adviser.stop_failed(error, self._last_stop(), gone=not self._tried.present_outside())
            raise
        self._stopped_by = self._last_stop()
        return self._view().state.value

    async def _be_gone(self) -> str:
        """Nothing of it is left, and no probe says that it runs."""
        present, waited = await self._tried.left_after_a_while()
        wrong: list[str] = []
        if present:
            self._adviser.stop_misses(self._stopped_by, present)
            wrong.append(f"after the stop, {' and '.join(present)}")
        else:
            for step, alive in self._tried.alive.items():
                probe = await self._tried.probe(step)
                if probe is not None and probe.passed:
                    self._adviser.same_when_gone(step, alive, probe, "was stopped")
                    wrong.append(f"{step} still says that it runs")
        await self._do("delete", lambda: self._manager.delete(self._name, force=bool(wrong)))
        if wrong:
            raise _Failed("; ".join(wrong))
        late = f", {waited:.1f}s after the stop had answered" if waited > PAUSE else ""
        checked = [*self._tried.shown_outside(), *self._tried.alive]
        return f"verified by {', '.join(checked)}{late}" if checked else "nothing can verify it"

    # -- what is seen --------------------------------------------------------------------------------------

    @property
    def _tried(self) -> TriedService:
        assert self._service is not None, "it was created"
        return self._service

    def _view(self) -> ServiceView:
        return self._manager.view(self._name)

    def _last_stop(self) -> JsonObject:
        tool = self._entry.service_class.tools.stop.tool
        none: JsonObject = {}
        return next((call for call in reversed(self._caller.calls) if call["tool"] == tool), none)

    async def _note_logs(self) -> None:
        with suppress(OstlerError):
            self._adviser.log_lines = tuple((await self._tried.instance.read_logs(LogRange())).lines)

    # -- the end -------------------------------------------------------------------------------------------

    async def _remove(self) -> list[str]:
        """Remove whatever is left of it, also if the trial was cut off, and return what could not be removed."""
        left: list[str] = []
        if self._name in self._manager.registry:
            limit = 2 * self._entry.service_class.config.timeout.delete + _CLEANUP_GRACE  # a stop, and what it keeps
            with anyio.move_on_after(limit, shield=True) as removal:
                try:
                    done = await self._manager.delete(self._name, force=True)
                    left += [done.message] * (" although " in done.message)  # a step failed: it may still run
                except OstlerError as error:
                    left.append(str(error))
            if removal.cancelled_caught:
                left.append(f"service {self._name!r} was not removed within {format_duration(limit)}")
        for pid in self._outside.left():
            self._outside.kill(pid)
        left += [f"process {pid} still runs" for pid in self._outside.left()]
        return left

    def _test(self) -> str:
        """Return the life as a file of class tests; empty when it did not go as it must."""
        if not self._steps or any(step.verdict == "failed" for step in self._steps):
            return ""
        return self._recording.text(self._options.services)


async def _end_with_us(scope: anyio.CancelScope) -> None:
    """Cancel `scope`, which is shielded, when this is cancelled."""
    try:
        await anyio.sleep_forever()
    finally:
        scope.cancel()


class _Skipped(Exception):  # noqa: N818 (it never leaves the trial)
    """A step cannot be tried here; the text says why."""


def _short(text: str) -> str:
    """Return what was seen without the whole answer that showed it."""
    plain = " ".join(text.partition("; it said: ")[0].split())
    return plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]}…"


def _checked_by_request(entry: ClassEntry) -> ClassEntry:
    """Return the class with its health checked on request only, so that each call belongs to a step."""
    service_class = entry.service_class
    health = service_class.config.health_rules.model_copy(update={"interval": _DAY})
    config = service_class.config.model_copy(update={"health_check": health})
    spec = service_class.spec.model_copy(update={"service_config": config})
    return replace(entry, service_class=service_class.model_copy(update={"spec": spec}))
