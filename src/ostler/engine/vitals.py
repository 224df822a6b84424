"""Whether a service is there and well: verification after a restart, finding, health checks."""

from typing import TYPE_CHECKING, cast

from ostler.engine.operations import Operation
from ostler.engine.steps import Steps
from ostler.model.errors import OperationError, OstlerError, ServerUnavailableError, TemplateError, ToolFailedError
from ostler.model.states import HealthStatus, Reachability, ServiceState, Transition
from ostler.rules.extraction import render_outputs

if TYPE_CHECKING:
    from ostler.model.json import JsonObject, JsonValue


class Vitals(Steps):
    """Looks at the service through its class's tools; changes nothing outside."""

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
            if instance.state is ServiceState.UNREACHABLE:
                instance.report(Transition.HELD, reason="not-verifiable")
            return f"service {instance.name} cannot be verified: its class has no status, healthCheck or find tool"
        if alive:
            if not instance.state.is_up:
                await self._regain_outputs()
                if not instance.record.stop_plan:
                    try:
                        self._pin_stop_plan()
                    except TemplateError as error:
                        instance.note(f"adopted without a stop plan: {error.summary}")
                self._reset_health()
                instance.set_held(held=False)
                instance.report(Transition.ADOPTED, reason="adopted")
                self._runtime.watch_health(instance)
            return f"service {instance.name} is running and was adopted"
        if instance.state is not ServiceState.STOPPED:
            # the stop plan stays: a stop or a new start calls it once more, in case the answer was wrong
            instance.report(Transition.FOUND_STOPPED, reason="gone" if instance.is_wanted else "")
        return f"service {instance.name} is not running"

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
                await self._caller.probe(call)
            except ToolFailedError as miss:
                if miss.is_refusal:
                    raise
                return False
            return True
        return await self.find()

    async def find(self) -> bool | None:
        """Look the service up with its `find` tool; True: there (its outputs are taken), False: not, None: unknown."""
        instance = self._instance
        spec = instance.service_class.tools.find
        if spec is None:
            return None
        try:
            answer = await self._caller.probe(self._plan("find", spec, 10.0))
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

    async def check_health(self) -> None:
        """Make one health check and apply its result by the thresholds."""
        instance = self._instance
        tools, settings = instance.service_class.tools, instance.service_class.config.health
        step, spec = ("healthCheck", tools.health_check) if tools.health_check else ("status", tools.status)
        if spec is None or not instance.state.is_up:
            return
        since = instance.status.since
        try:
            answer = await self._caller.probe(self._plan(step, spec, settings.timeout))
        except ServerUnavailableError as error:
            instance.checked_at = self._runtime.clock.now()
            instance.evidence = error.summary
            instance.set_reachability(Reachability.UNREACHABLE)
            return
        except OstlerError as error:
            passed, evidence, failure = False, error.summary, error
        else:
            passed, evidence, failure = True, answer.response.text[:200], None
        if not instance.state.is_up or instance.status.since != since:
            return  # it was stopped or restarted meanwhile: this result is about its past
        instance.checked_at = self._runtime.clock.now()
        instance.evidence = instance.mask_text(evidence)
        self._apply_health(passed=passed, failure=failure)
        if failure is not None and instance.state.is_up and instance.health is HealthStatus.UNHEALTHY:
            await self._look_whether_gone(failure, was_status=step == "status")

    async def _look_whether_gone(self, failure: OstlerError, *, was_status: bool) -> None:
        """An unhealthy service whose `status` tool says that it is not there has failed."""
        instance = self._instance
        spec = instance.service_class.tools.status
        since = instance.status.since
        error: OstlerError | None = failure if was_status else None
        if spec is not None and not was_status:
            try:
                await self._caller.probe(self._plan("status", spec, instance.service_class.config.health.timeout))
            except ToolFailedError as gone:
                error = gone
            except OstlerError:
                return
        if (
            isinstance(error, ToolFailedError)
            and not error.is_refusal
            and instance.state.is_up
            and instance.status.since == since
        ):
            instance.report(Transition.FAILED, reason="gone", error=error)

    def _apply_health(self, *, passed: bool, failure: OstlerError | None) -> None:
        instance = self._instance
        settings = instance.service_class.config.health
        if passed:
            instance.successes, instance.failures = instance.successes + 1, 0
            if instance.successes >= settings.success_threshold:
                instance.set_health(HealthStatus.HEALTHY)
        else:
            instance.failures, instance.successes = instance.failures + 1, 0
            if instance.failures >= settings.failure_threshold:
                instance.set_health(HealthStatus.UNHEALTHY, error=failure)

    def settle_after_bug(self, error: OstlerError) -> None:
        """Leave no state hanging after an internal error."""
        instance = self._instance
        if instance.state is ServiceState.STARTING:
            instance.report(Transition.START_FAILED, reason="internal-error", error=error)
        elif instance.state is ServiceState.STOPPING:
            instance.report(Transition.STOP_FAILED, reason="internal-error", error=error)
