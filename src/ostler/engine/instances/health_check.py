"""The health check of a service: one call, judged by the thresholds."""

from operator import is_
from typing import Any
from weakref import ref

from ostler.engine.instances.calling import WARNING_LIMIT, look, probe
from ostler.engine.instances.existence import completes, find, lost_to_rival
from ostler.engine.instances.judging import judge
from ostler.engine.instances.reasons import GONE
from ostler.engine.instances.state import InstanceState
from ostler.engine.instances.steps import planned_call
from ostler.engine.protocols import RemoteChecks
from ostler.model.downstream_errors import Delivery, ServerUnavailableError, ToolTimeoutError
from ostler.model.errors import OstlerError, StoreError, TemplateError, ToolFailedError
from ostler.model.json import JsonMapping
from ostler.model.manifest import ToolCallSpec
from ostler.model.records import PlannedCall
from ostler.model.responses import ToolResponse
from ostler.model.states import HealthStatus, Reachability, Transition
from ostler.rules.answers.batch_items import batch_key
from ostler.rules.secrets.masking import shorten
from ostler.rules.secrets.secret_marks import marks_in

_EVIDENCE = 200
"""Characters of an answer that are kept as evidence."""


class HealthCheck:
    """Checks one service. What it has rendered is kept until what its templates see has changed."""

    def __init__(self, service: InstanceState) -> None:
        self._of = ref(service)  # the service holds this check: a reference cycle would wait for the garbage collector
        self._rendered: tuple[tuple[Any, ...], PlannedCall] | None = None
        """The health check as rendered last, and what its templates saw."""
        self._shared_key: tuple[PlannedCall, str] | None = None
        self._open_args: JsonMapping | None = None
        """Those last found to have no secret in them."""
        self._warned = ""
        """What the tool warned of last."""

    @property
    def _service(self) -> InstanceState:
        service = self._of()
        assert service is not None, "whoever asks for a check holds its service"
        return service

    async def run(self, *, not_before: float | None = None, others: RemoteChecks | None = None) -> None:
        """Make one health check and apply its result by the thresholds.

        Args:
            not_before: by anyio's clock: an answer of a batch that was asked for since then is good enough.
            others: servers that may ask for this one.
        """
        service = self._service
        step, spec = health_tool(service)
        if spec is None or not service.state.is_up:
            return
        since = service.status.since
        failure: OstlerError | None = None
        warning = ""
        try:
            if (lost := await lost_to_rival(service)) is not None:
                if service.state.is_up and service.status.since == since:
                    service.set_vitals(checked_at=service.runtime.clock.now(), evidence=lost.summary, gone=True)
                    service.report(Transition.FAILED, reason=GONE, error=lost)
                return
            response = await self._answer(spec, self._call(step, spec), not_before, others)
            if response is None:
                if service.state.is_up and service.status.since == since:
                    await self._complete()
                return
            warning = response.warning
            evidence = response.text[:_EVIDENCE] or str(shorten(response.value, _EVIDENCE))
        except OstlerError as error:
            if self._was_not_asked(error):
                return
            failure = error.located(service=service.name, step=step, tool=spec.tool)
            evidence = error.summary
        if not service.state.is_up or service.status.since != since:
            return  # it was stopped or restarted meanwhile: the result is out of date
        service.set_vitals(checked_at=service.runtime.clock.now(), evidence=service.mask_text(evidence))
        self._note(step, warning)
        self._apply_health(passed=failure is None, failure=failure)
        if failure is not None and service.state.is_up:
            await self._look_whether_gone(failure, was_status=step == "status")

    def _note(self, step: str, warning: str) -> None:
        """Make an event of what the tool warned of, unless it said the same last time."""
        if warning and warning != self._warned:
            self._service.note(f"{step}: {shorten(warning, WARNING_LIMIT)}")
        self._warned = warning or self._warned

    def _was_not_asked(self, error: OstlerError) -> bool:
        """Note why nothing was checked, if the server is away or other calls were before it; `checked_at` stays."""
        is_away = isinstance(error, ServerUnavailableError)
        if not is_away and not (isinstance(error, ToolTimeoutError) and error.delivery is Delivery.NOT_SENT):
            return False
        self._service.set_vitals(evidence=error.summary)
        if is_away:
            self._service.set_reachability(Reachability.UNREACHABLE)
        return True

    async def _answer(
        self, spec: ToolCallSpec, call: PlannedCall, not_before: float | None, others: RemoteChecks | None
    ) -> ToolResponse | None:
        """Return an answer that shows that the service is well; None: one shows that it has done its work.

        Other servers are asked only about services that are well, without secrets, and not by a `batch` call. Of their
        answers only "it is well" is believed.

        Raises:
            OstlerError: there is no answer, or it shows something else.
        """
        service = self._service
        is_well = service.health is HealthStatus.HEALTHY and not service.vitals.failures
        seen = None
        if others is not None and is_well and call.batch is None and not self._has_secrets(call):
            seen = await others.ask(service.id, call)
        if seen is not None and self._shows_health(spec, call, seen.response):
            return seen.response
        response = await look(service, call, not_before=not_before)
        if completes(service, spec, response):
            return None
        judge(service, call, response)
        if others is not None and seen is not None:
            others.doubt(seen, call)
        return response

    def _has_secrets(self, call: PlannedCall) -> bool:
        """Whether the arguments of the check have secrets, so that no other server may see them."""
        if self._open_args is not call.args:
            if marks_in(call.args) or self._service.masked(call.args) != call.args:
                return True
            self._open_args = call.args
        return False

    def _shows_health(self, spec: ToolCallSpec, call: PlannedCall, seen: ToolResponse) -> bool:
        try:
            if completes(self._service, spec, seen):
                return False
            judge(self._service, call, seen)
        except OstlerError:
            return False
        self._service.driver_answered()
        return True

    def asks(self, server: str, about: JsonMapping) -> bool:
        """Whether it asks `server` with all the arguments of `about` (`{"key": "db"}`)."""
        args = self.arguments(server)
        return args is not None and all(args.get(key) == value for key, value in about.items())

    def arguments(self, server: str) -> JsonMapping | None:
        """Return what it asks `server` with; None: it asks another one, or its outputs are not known yet."""
        service = self._service
        step, spec = health_tool(service)
        if spec is None or spec.server != server:
            return None
        try:
            return self._call(step, spec).args
        except TemplateError:
            return None

    def _call(self, step: str, spec: ToolCallSpec) -> PlannedCall:
        """Return the rendered check, made again only when what its templates see has changed."""
        service = self._service
        record = service.record
        seen = (record.step_outputs, record.outputs, record.labels, record.args, service.dependency_facts)
        if self._rendered is not None and all(map(is_, self._rendered[0], seen)):
            return self._rendered[1]
        call = planned_call(service, step, spec, service.service_class.config.health.timeout)
        self._rendered = (seen, call)
        return call

    def shared_key(self) -> str | None:
        """Return the key that all health checks have that share a call with this one; None: it shares none."""
        service = self._service
        step, spec = health_tool(service)
        if spec is None or spec.batch is None:
            return None
        try:
            call = self._call(step, spec)
        except TemplateError:
            return None  # the check itself will show it
        if self._shared_key is None or self._shared_key[0] is not call:
            self._shared_key = call, batch_key(call.tool, call.args)
        return self._shared_key[1]

    async def _complete(self) -> None:
        """Mark the service as completed: it has ended successfully on its own, and stays so."""
        service = self._service
        service.set_completed()
        service.report(Transition.FOUND_STOPPED, reason="completed")
        try:
            await service.commit()
        except StoreError as error:
            service.note(f"its completion could not be recorded: {error.summary}")

    async def _look_whether_gone(self, failure: OstlerError, *, was_status: bool) -> None:
        """Report what is not there as failed: at once when an answer proves it, else when it is unhealthy."""
        service = self._service
        since = service.status.since
        is_unhealthy = service.health is HealthStatus.UNHEALTHY
        proof = failure if isinstance(failure, ToolFailedError) and (was_status or failure.is_absence) else None
        if not was_status and (is_unhealthy or isinstance(failure, ToolFailedError)):
            try:
                proof = await self._ask_whether_gone() or proof
            except OstlerError:
                return
        if proof is None or proof.is_refusal or not (is_unhealthy or proof.is_absence):
            return
        if not proof.is_absence and (proof.is_coming or proof.is_leaving):
            return  # it exists, and is not well
        if service.state.is_up and service.status.since == since:
            service.set_vitals(gone=proof.is_absence)
            if not proof.next_actions and (hint := _gateway_hint(service)):
                proof.next_actions = (hint,)
            service.report(Transition.FAILED, reason=GONE, error=proof)

    async def _ask_whether_gone(self) -> ToolFailedError | None:
        """Return what the `status` tool (else `find`) says when it does not find the service; None: nothing proven.

        Raises:
            OstlerError: it gave no result.
        """
        service = self._service
        spec = service.service_class.tools.status
        if spec is None:
            if await find(service) is not False:
                return None
            gone = ToolFailedError(f"the find tool does not find service {service.name!r}")
            gone.is_absence = True
            return gone
        try:
            await probe(service, planned_call(service, "status", spec, service.service_class.config.health.timeout))
        except ToolFailedError as gone:
            return gone
        return None

    def _apply_health(self, *, passed: bool, failure: OstlerError | None) -> None:
        """Count a result; below its threshold it does not change a verdict, and shows that there is none yet."""
        service = self._service
        settings = service.service_class.config.health_rules
        if passed:
            verdict, count, threshold = HealthStatus.HEALTHY, service.vitals.successes + 1, settings.success_threshold
            service.set_vitals(successes=count, failures=0, passed_at=service.vitals.checked_at)
        else:
            verdict, count, threshold = HealthStatus.UNHEALTHY, service.vitals.failures + 1, settings.failure_threshold
            service.set_vitals(failures=count, successes=0)
        if count >= threshold:
            is_over = passed and service.health is HealthStatus.HEALTHY and service.status.error is not None
            service.set_health(verdict, error=failure)
            if is_over:  # such as that of a restart that could not begin
                service.set_error(None)
        elif service.health is HealthStatus.UNKNOWN:
            service.set_health(HealthStatus.CHECKING)


def _gateway_hint(service: InstanceState) -> str:
    """Return what may be wrong if no check ever saw what a server over HTTP has just started."""
    tools, server = service.runtime.tools, service.service_class.tools.start.server
    if tools is None or service.vitals.passed_at is not None or not tools.server_status(server).outlives:
        return ""
    return (
        f"if server {server!r} is behind a gateway that starts a process for each request, one call never meets what "
        "another has started: let it keep one for each client (supergateway: --stateful)"
    )


def health_tool(service: InstanceState) -> tuple[str, ToolCallSpec | None]:
    """Return (step, tool) of the class that a health check calls; None: it has none."""
    tools = service.service_class.tools
    return ("healthCheck", tools.health_check) if tools.health_check else ("status", tools.status)
