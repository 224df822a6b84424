"""Whether a service is there and well: verification after a restart, finding, health checks."""

from typing import TYPE_CHECKING, Any, cast

import anyio

from ostler.engine.instances.operations import Operation
from ostler.engine.instances.runtime import Runtime
from ostler.engine.instances.steps import Steps
from ostler.model.errors import (
    OperationError,
    OstlerError,
    ServerUnavailableError,
    StoreError,
    TemplateError,
    ToolFailedError,
)
from ostler.model.manifest import ToolCallSpec
from ostler.model.records import PlannedCall
from ostler.model.responses import ToolResponse
from ostler.model.states import HealthStatus, Reachability, ServiceState, Transition
from ostler.rules.answers.batch_items import batch_key
from ostler.rules.answers.expectations import evaluate_health_check_expectation
from ostler.rules.answers.extraction import render_outputs
from ostler.rules.calls.rendering import expectation_of
from ostler.rules.secrets.masking import shorten

if TYPE_CHECKING:
    from ostler.engine.instances.instance import ServiceInstance
    from ostler.model.json import JsonMapping, JsonObject, JsonValue

_FRESH = 2.0
"""Seconds that an answer for many services may be old when one of them is verified."""

_EVIDENCE = 200
"""Characters of an answer that are kept as evidence."""
UNKNOWN_OUTCOME = "unknown-outcome"
"""Reason of a service whose start may have left something that no tool could find or stop."""


UNREADABLE_CLASS = "unreadable-class"
"""Reason of a service whose stored class this version of Ostler cannot read."""

STOP_NOT_SENT = "stop-not-sent"
"""Reason of a service whose stop never left, as the server that drives it is away."""

NOT_VERIFIABLE = "not-verifiable"
"""Reason of a service whose class has no tool that could tell whether it runs."""

NO_STOP_PLAN = "no-stop-plan"
"""Reason of a service that runs, and whose stop tool needs what a crash lost: `service_start` with `adopt` tells it."""


class Vitals(Steps):
    """Looks at the service through its class's tools; changes nothing outside."""

    def __init__(self, instance: "ServiceInstance", runtime: Runtime) -> None:
        super().__init__(instance, runtime)
        self._rendered: tuple[tuple[Any, ...], PlannedCall] | None = None
        """The health check as rendered last, and what its templates saw."""
        self._shared_key: tuple[PlannedCall, str] | None = None

    async def verify(self, operation: Operation) -> None:
        """Find out whether the service is there, by its status, healthCheck or find tool; change nothing outside."""
        instance = self._instance
        operation.step = "verify"
        try:
            alive = await self.is_alive()
        except ServerUnavailableError as error:
            instance.set_reachability(Reachability.UNREACHABLE)
            if instance.state in (ServiceState.UNKNOWN, ServiceState.UNREACHABLE):
                instance.report(Transition.VERIFICATION_LOST, reason="driver-unreachable", error=error)
            operation.message = f"service {instance.name} cannot be verified now: {error.summary}"
            return
        except OstlerError as error:
            if instance.state is ServiceState.UNREACHABLE:
                instance.report(Transition.HELD, reason="not-verified", error=error)
            operation.message = f"service {instance.name} could not be verified: {error.summary}"
            return
        operation.message = await self._conclude(alive)

    async def _conclude(self, alive: bool | None) -> str:
        instance = self._instance
        if alive is None:
            if instance.service_class.config.on_unknown == "adopt" and instance.is_wanted:
                self.adopt_unverified()
                return f"service {instance.name} is taken for running (onUnknown: adopt)"
            problem = f"service {instance.name} cannot be verified: its class has no status, healthCheck or find tool"
            if instance.state in (ServiceState.UNKNOWN, ServiceState.UNREACHABLE):
                self._say_unverifiable(problem)
            return problem
        if alive:
            if not instance.state.is_up:
                await self._regain_outputs()
                reason = "adopted"
                if not instance.record.stop_plan:
                    try:
                        self._pin_stop_plan()
                    except TemplateError as error:
                        reason = NO_STOP_PLAN
                        instance.note(f"adopted without a stop plan: {error.summary}")
                self._reset_health()
                instance.set_held(held=False)
                instance.report(Transition.ADOPTED, reason=reason)
                self._runtime.watch_health(instance)
            return f"service {instance.name} is running and was adopted"
        if instance.state is not ServiceState.STOPPED:
            # the stop plan stays: a stop or a new start calls it once more, in case the answer was wrong
            reason = "completed" if instance.has_completed else "gone" if instance.is_wanted else ""
            instance.report(Transition.FOUND_STOPPED, reason=reason)
        return f"service {instance.name} is not running"

    def _say_unverifiable(self, problem: str) -> None:
        """Keep the question that a held service was left with, or ask it."""
        instance = self._instance
        if instance.status.reason == UNREADABLE_CLASS:
            return
        held = bool(instance.record.counters.get("held"))
        asked = (instance.record.error or {}).get("message") if held else None
        error = OperationError(
            str(asked or f"{problem}. Does it run?"),
            service=instance.name,
            next_actions=()
            if asked
            else (
                f"if it runs: service_start {instance.name} with adopt={{}}",
                f"service_stop {instance.name} calls its stop tool in any case",
            ),
        )
        instance.report(Transition.HELD, reason=UNKNOWN_OUTCOME if held else NOT_VERIFIABLE, error=error)

    async def _regain_outputs(self) -> None:
        """Look up what a start that was cut off by a crash could not tell any more."""
        instance = self._instance
        if "start" not in instance.record.step_outputs and instance.service_class.tools.start.outputs:
            try:
                await self.find()
            except OstlerError as error:
                instance.note(f"find failed while adopting: {error.summary}")
        if not instance.record.outputs and instance.service_class.config.outputs:
            try:
                outputs = render_outputs(instance.service_class.config.outputs, instance.template_names())
            except OstlerError as error:
                instance.note(f"adopted without its outputs: {error.summary}")
            else:
                now = self._runtime.clock.now().isoformat()
                instance.set_record(outputs=outputs, counters={**instance.record.counters, "outputsAt": now})

    def adopt_unverified(self) -> None:
        """Take the service for running although nothing can tell (`onUnknown: adopt`)."""
        instance = self._instance
        try:
            self._pin_stop_plan()
        except TemplateError as error:
            instance.note(f"adopted without a stop plan: {error.summary}")
        instance.report(Transition.ADOPTED, reason="adopted-unverified")
        self._runtime.watch_health(instance)

    async def is_alive(self) -> bool | None:
        """Ask the status, healthCheck or find tool; None when the class has none of them.

        Raises:
            DownstreamError: the driving server could not be asked.
        """
        tools = self._instance.service_class.tools
        for step, spec in (("status", tools.status), ("healthCheck", tools.health_check)):
            if spec is None:
                continue
            try:
                call = self._plan(step, spec, 10.0)
            except TemplateError:
                continue
            try:
                response = await self._caller.look(call, not_before=anyio.current_time() - _FRESH)
                if self._completes(spec, response):
                    self._instance.set_completed()
                    return False
                self._caller.judge(call, response)
            except ToolFailedError as miss:
                if miss.is_refusal:
                    raise self._caller.located(miss, call) from miss.__cause__
                return False
            return True
        return await self.find()

    def _completes(self, spec: ToolCallSpec, response: ToolResponse) -> bool:
        """Whether an answer of status or healthCheck says that the service has done its work and ended well."""
        completed = self._instance.service_class.config.completed
        if completed is None:
            return False
        judged = self._plan("completed", spec.model_copy(update={"expect": completed, "expect_not": None}), 1.0)
        return evaluate_health_check_expectation(response, *expectation_of(judged)).passed

    async def find(self) -> bool | None:
        """Look the service up with its `find` tool; True: there (its outputs are taken), False: not, None: unknown."""
        instance = self._instance
        spec = instance.service_class.tools.find
        if spec is None:
            return None
        try:
            answer = await self._caller.probe(self._plan("find", spec, 10.0), not_before=anyio.current_time() - _FRESH)
        except ToolFailedError as miss:
            return None if miss.is_refusal else False
        start_outputs = instance.service_class.tools.start.outputs
        taken = {key: value for key, value in answer.outputs.items() if key in start_outputs}
        held = dict(instance.record.step_outputs)
        held["start"] = {**held.get("start", {}), **taken}
        held["find"] = answer.outputs
        instance.set_record(step_outputs=held)
        return True

    async def read_logs(self) -> tuple[str, str]:
        """Return (text, tool) of the class's `logs` tool.

        Raises:
            OperationError: the class has none.
            OstlerError: the tool failed.
        """
        instance = self._instance
        spec = instance.service_class.tools.logs
        if spec is None:
            raise OperationError(
                f"class {instance.record.class_name!r} has no 'logs' tool, so nothing can show the logs of "
                f"service {instance.name!r}",
                service=instance.name,
                step="logs",
                next_actions=("add lifecycleTools.logs to the class",),
            )
        answer = await self._caller.probe(self._plan("logs", spec, 10.0))
        value: JsonValue = answer.response.value
        text = answer.response.text
        if isinstance(value, dict) and isinstance(lines := cast("JsonObject", value).get("lines"), list):
            text = "\n".join(map(str, cast("list[JsonValue]", lines)))
        return instance.mask_text(text), spec.tool

    async def check_health(self, *, not_before: float | None = None) -> None:
        """Make one health check and apply its result by the thresholds.

        Args:
            not_before: by anyio's clock: an answer of a batch that was asked for since then is good enough.
        """
        instance = self._instance
        tools, settings = instance.service_class.tools, instance.service_class.config.health
        step, spec = ("healthCheck", tools.health_check) if tools.health_check else ("status", tools.status)
        if spec is None or not instance.state.is_up:
            return
        since = instance.status.since
        failure: OstlerError | None = None
        try:
            call = self._health_call(step, spec, settings.timeout)
            response = await self._caller.look(call, not_before=not_before)
            if self._completes(spec, response):
                if instance.state.is_up and instance.status.since == since:
                    await self._complete()
                return
            self._caller.judge(call, response)
            evidence = response.text[:_EVIDENCE] or str(shorten(response.value, _EVIDENCE))
        except ServerUnavailableError as error:
            instance.checked_at = self._runtime.clock.now()
            instance.evidence = error.summary
            instance.set_reachability(Reachability.UNREACHABLE)
            return
        except OstlerError as error:
            failure = error.located(service=instance.name, step=step, tool=spec.tool)
            evidence = error.summary
        if not instance.state.is_up or instance.status.since != since:
            return  # it was stopped or restarted meanwhile: this result is about its past
        instance.checked_at = self._runtime.clock.now()
        instance.evidence = instance.mask_text(evidence)
        self._apply_health(passed=failure is None, failure=failure)
        if failure is not None and instance.state.is_up:
            await self._look_whether_gone(failure, was_status=step == "status")

    def is_checked_by(self, server: str, about: "JsonMapping") -> bool:
        """Whether the health check asks `server` with all the arguments of `about` (`{"key": "db"}`)."""
        tools, settings = self._instance.service_class.tools, self._instance.service_class.config.health
        step, spec = ("healthCheck", tools.health_check) if tools.health_check else ("status", tools.status)
        if spec is None or spec.server != server:
            return False
        try:
            args = self._health_call(step, spec, settings.timeout).args
        except TemplateError:
            return False
        return all(args.get(key) == value for key, value in about.items())

    def _health_call(self, step: str, spec: ToolCallSpec, timeout: float) -> PlannedCall:
        """Return the rendered check, made anew only when what its templates see has changed."""
        record = self._instance.record
        seen = (record.step_outputs, record.outputs, record.labels, record.args, self._instance.dependency_facts)
        if self._rendered is not None and all(a is b for a, b in zip(self._rendered[0], seen, strict=True)):
            return self._rendered[1]
        call = self._plan(step, spec, timeout)
        self._rendered = (seen, call)
        return call

    def batch_key(self) -> str | None:
        """Return what the health checks have in common that share a call with this one; None: they share none."""
        tools, settings = self._instance.service_class.tools, self._instance.service_class.config.health
        step, spec = ("healthCheck", tools.health_check) if tools.health_check else ("status", tools.status)
        if spec is None or spec.batch is None:
            return None
        try:
            call = self._health_call(step, spec, settings.timeout)
        except TemplateError:
            return None  # the check itself will tell
        if self._shared_key is None or self._shared_key[0] is not call:
            self._shared_key = call, batch_key(call.tool, call.args)
        return self._shared_key[1]

    async def _complete(self) -> None:
        """Take the service as done: it has ended well by itself, and stays so."""
        instance = self._instance
        instance.set_completed()
        instance.report(Transition.FOUND_STOPPED, reason="completed")
        try:
            await instance.commit()
        except StoreError as error:
            instance.note(f"that it has completed could not be recorded: {error.summary}")

    async def _look_whether_gone(self, failure: OstlerError, *, was_status: bool) -> None:
        """Report what is not there as failed: at once when an answer proves it, else when it is unhealthy."""
        instance = self._instance
        since = instance.status.since
        is_unhealthy = instance.health is HealthStatus.UNHEALTHY
        proof = failure if isinstance(failure, ToolFailedError) and (was_status or failure.is_absence) else None
        if not was_status and (is_unhealthy or isinstance(failure, ToolFailedError)):
            try:
                proof = await self._ask_whether_gone() or proof
            except OstlerError:
                return
        if proof is None or proof.is_refusal or not (is_unhealthy or proof.is_absence):
            return
        if instance.state.is_up and instance.status.since == since:
            instance.report(Transition.FAILED, reason="gone", error=proof)

    async def _ask_whether_gone(self) -> ToolFailedError | None:
        """Return what the `status` tool (else `find`) says when it does not find the service; None: nothing proven.

        Raises:
            OstlerError: it could not tell.
        """
        instance = self._instance
        spec = instance.service_class.tools.status
        if spec is None:
            if await self.find() is not False:
                return None
            gone = ToolFailedError(f"the find tool does not find service {instance.name!r}")
            gone.is_absence = True
            return gone
        try:
            await self._caller.probe(self._plan("status", spec, instance.service_class.config.health.timeout))
        except ToolFailedError as gone:
            return gone
        return None

    def _apply_health(self, *, passed: bool, failure: OstlerError | None) -> None:
        """Count a result; below its threshold it does not change a verdict, and shows that there is none yet."""
        instance = self._instance
        settings = instance.service_class.config.health
        verdict, count, threshold = HealthStatus.HEALTHY, 0, settings.success_threshold
        if passed:
            instance.successes, instance.failures = instance.successes + 1, 0
            count = instance.successes
        else:
            instance.failures, instance.successes = instance.failures + 1, 0
            verdict, count, threshold = HealthStatus.UNHEALTHY, instance.failures, settings.failure_threshold
        if count >= threshold:
            instance.set_health(verdict, error=failure)
        elif instance.health is HealthStatus.UNKNOWN:
            instance.set_health(HealthStatus.CHECKING)

    def settle_after_bug(self, error: OstlerError) -> None:
        """Leave no state hanging after an internal error."""
        instance = self._instance
        if instance.state is ServiceState.STARTING:
            instance.report(Transition.START_FAILED, reason="internal-error", error=error)
        elif instance.state is ServiceState.STOPPING:
            instance.report(Transition.STOP_FAILED, reason="internal-error", error=error)
