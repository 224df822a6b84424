"""Why a service is as it is: the chain of causes, the last calls, and the tool calls that come next."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from ostler.engine.dependencies.jobs import is_job
from ostler.engine.instances import reasons
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.instances.reasons import (
    CRASH_LOOP,
    DRIVER_UNREACHABLE,
    NO_STOP_PLAN,
    NOT_VERIFIABLE,
    NOT_VERIFIED,
    START_FAILED,
    START_LATE,
    START_UNSEEN,
    STOP_FAILED,
    STOP_INTERRUPTED,
    STOP_NOT_SENT,
    UNKNOWN_OUTCOME,
    UNREADABLE_CLASS,
)
from ostler.engine.instances.resuming import missing_outputs
from ostler.engine.instances.stop_plans import may_start_again
from ostler.engine.protocols import ToolDirectory
from ostler.engine.services.registry import RegistryAdapter
from ostler.engine.services.service import Service, way_to_enable
from ostler.engine.services.views import ServiceView, is_out_of_reach
from ostler.model.errors import OstlerError
from ostler.model.json import JsonObject
from ostler.model.records import CallOutcome, CallRecord, OperationRecord
from ostler.model.states import DesiredState, HealthStatus, ServiceState
from ostler.rules.calls.rendering import logs_call

_DEPTH = 3
"""How far the causes are followed through dependencies."""

_REASONS = {
    CRASH_LOOP: "it failed again and again, so its restart policy gave up",
    UNKNOWN_OUTCOME: "it is held: the outcome of its start is unknown, and nothing is done until you decide",
    NO_STOP_PLAN: "it runs, but what its stop tool needs was lost in a crash",
    NOT_VERIFIABLE: "its class has no tool that could show whether it runs",
    STOP_FAILED: "its stop failed, so it may still be there",
    STOP_NOT_SENT: "its stop could not be sent, as the server that drives it is away",
    STOP_INTERRUPTED: "its stop was interrupted, so it may still be there",
    START_FAILED: "its start failed, and was cleaned up",
    START_LATE: (
        "its start was given up without a usable answer; as it may still act, it is looked for a while, and stopped"
    ),
    START_UNSEEN: "its start failed, and whether it left something is not known yet; it is looked for again",
    "gone": "it was running, and is gone",
    "completed": "it has done its work",
    DRIVER_UNREACHABLE: "the server that drives it cannot be asked",
    NOT_VERIFIED: "the server that drives it did not say whether it runs; it is asked again",
    "adopted-unverified": "it is taken for running, as its class says (onUnknown: adopt); nothing has verified it",
    UNREADABLE_CLASS: "its class was stored by another version of Ostler",
}


class NextCall(Struct, frozen=True):
    """A tool call that is ready to be sent, and when it is the right one."""

    tool: str
    args: JsonObject
    when: str


class PastCall(Struct, frozen=True):
    """One journaled tool call, redacted."""

    operation: str
    call: CallRecord


class Explanation(Struct, frozen=True):
    """Everything that explains one service's state; masked.

    Attributes:
        view: the service now.
        question: what only a person can answer, if there is such a thing.
        causes: from the service itself down to what is behind it.
        calls: the last tool calls, newest first.
        next_calls: what to do, best first.
    """

    view: ServiceView
    question: str = ""
    causes: tuple[str, ...] = ()
    calls: tuple[PastCall, ...] = ()
    next_calls: tuple[NextCall, ...] = ()


def explain(
    service: Service, registry: RegistryAdapter, tools: ToolDirectory | None, history: Sequence[OperationRecord]
) -> Explanation:
    """Explain `service`.

    Args:
        service: which.
        registry: where its dependencies are.
        tools: knows the downstream servers; None when nothing does.
        history: its newest operations, newest first.
    """
    view = service.view()
    causes = list(dict.fromkeys(_causes(service, registry, tools, _DEPTH)))
    question = ""
    if view.reason in (UNKNOWN_OUTCOME, NO_STOP_PLAN, NOT_VERIFIABLE, STOP_FAILED):
        question = _question(service, view)
    calls = tuple(PastCall(operation.kind.value, call) for operation in history for call in reversed(operation.calls))
    return Explanation(view, question, tuple(causes), calls, tuple(_next_calls(service, view, registry, tools)))


def next_calls(view: ServiceView, registry: RegistryAdapter, tools: ToolDirectory | None) -> Sequence[NextCall]:
    """Return what to do about a service that has failed or is unhealthy, best first; nothing about another one."""
    if view.state is not ServiceState.FAILED and not (view.state.is_up and view.health is HealthStatus.UNHEALTHY):
        return ()
    return [
        *_next_calls(registry.get(view.name), view, registry, tools),
        NextCall("service_explain", {"name": view.name}, "to see why"),
    ]


def _question(service: Service, view: ServiceView) -> str:
    text = view.error or ""
    error = service.last_error
    if isinstance(error, OstlerError):
        text = error.summary
    if view.reason == NO_STOP_PLAN:
        return f"{view.name} runs. What are {', '.join(_needed(service)) or 'the outputs of its start tool'}?"
    return text if "?" in text else f"does {view.name} run?"


def _causes(service: Service, registry: RegistryAdapter, tools: ToolDirectory | None, depth: int) -> Iterator[str]:
    view = service.view()
    if view.operation is not None:
        reason = f" ({view.operation.reason})" if view.operation.reason else ""
        step = f", at {view.operation.step}" if view.operation.step else ""
        said = f": {view.operation.progress}" if view.operation.progress else ""
        yield f"{view.name}: a {view.operation.kind.value} is under way{reason}{step}{said}"
    yield f"{view.name} is {_state_words(service, view)}"
    if view.error and not view.state.is_up:
        yield _named(view, _own_error(service, view))
    elif view.reason == "gone" and view.evidence:
        yield _named(view, view.evidence)
    if view.state.is_up and view.health_failures:
        yield f"{view.name}: {view.health_failures} health checks failed in a row: {view.evidence or view.error or '?'}"
    for problem in view.dependency_problems if view.state.is_up else ():
        yield f"{view.name} runs on, but its dependency {problem}"
    for name, dependency in _lacking(view, registry) if depth else ():
        if dependency is None:
            yield f"{view.name} depends on {name}, which does not exist"
        else:
            yield from _causes(dependency, registry, tools, depth - 1)
    for dependency in _ailing(view, registry) if depth else ():
        yield from _causes(dependency, registry, tools, depth - 1)
    for server, reason in _lost_servers(service, tools):
        why = "; ".join(filter(None, (reason, way_to_enable(registry.find(server)))))
        yield f"downstream server {server} is not connected: {why}"


def _named(view: ServiceView, fact: str) -> str:
    """Return a fact with the service's name, which the process server's answers begin with anyway."""
    return fact if fact.startswith(f"{view.name}: ") else f"{view.name}: {fact}"


def _lacking(view: ServiceView, registry: RegistryAdapter) -> list[tuple[str, Service | None]]:
    """Return the dependencies that are not up; those that have done their work if it waits for them alone."""
    if view.state.is_up:
        return []
    found = [(name, registry.find(name)) for name in view.dependencies]
    lacking = [(name, service) for name, service in found if service is None or not service.state.is_up]
    unfinished = [(name, service) for name, service in lacking if not _has_completed(service)]
    return unfinished or (lacking if view.state is ServiceState.WAITING else [])


def _ailing(view: ServiceView, registry: RegistryAdapter) -> list[Service]:
    """Return the running dependencies that fail their checks, if the service itself is not well either."""
    if view.state.is_up and not view.health_failures:
        return []
    found = [registry.find(name) for name in view.dependencies]
    return [one for one in found if one is not None and one.state.is_up and one.view().health_failures]


def _has_completed(service: Service | None) -> bool:
    return isinstance(service, ServiceInstance) and service.has_completed


def _lost_servers(service: Service, tools: ToolDirectory | None) -> Iterator[tuple[str, str]]:
    """Yield the servers that drive `service` and are not connected, with the reason."""
    if isinstance(service, ServiceInstance) and tools is not None:
        for server in service.service_class.servers():
            status = tools.server_status(server)
            if not status.connected:
                yield server, status.reason or "unknown reason"


def _state_words(service: Service, view: ServiceView) -> str:
    words = view.state.value
    if view.state.is_up and view.health is not HealthStatus.UNKNOWN:
        if view.health is not HealthStatus.HEALTHY:
            words += f" and {view.health.value}"
        elif is_out_of_reach(view):
            words += " and was healthy when its server could be reached last"
        else:
            words += " and was healthy until its last check" if view.health_failures else " and healthy"
    has_failed_its_work = view.reason == "gone" and is_job(service)
    why = "its work ended without success" if has_failed_its_work else _REASONS.get(view.reason, "")
    if not why and not isinstance(service, ServiceInstance) and not view.state.is_up:
        why = "; ".join(filter(None, (view.reason, way_to_enable(service))))
    if not why and view.state is ServiceState.STOPPED:
        why = "on request" if view.desired is DesiredState.STOPPED else "though it is wanted"
    if not why and view.state is ServiceState.WAITING:
        why = "it starts automatically when its dependencies are ready"
    return f"{words}: {why}" if why else words


def _own_error(service: Service, view: ServiceView) -> str:
    error = service.last_error
    return error.summary if isinstance(error, OstlerError) else view.error or ""


def _needed(service: Service) -> list[str]:
    if not isinstance(service, ServiceInstance):
        return []
    return missing_outputs(service.service_class.tools.start.outputs, service.record.step_outputs.get("start") or {})


def _adopt(service: Service, view: ServiceView, when: str) -> NextCall:
    outputs: JsonObject = dict.fromkeys(_needed(service), "…")
    args: JsonObject = {"name": view.name, "adopt": True}
    return NextCall("service_start", args | {"outputs": outputs} if outputs else args, when)


def _next_calls(
    service: Service, view: ServiceView, registry: RegistryAdapter, tools: ToolDirectory | None
) -> Iterator[NextCall]:
    name: JsonObject = {"name": view.name}
    has_plan = isinstance(service, ServiceInstance) and bool(service.record.stop_plan)
    can_look = isinstance(service, ServiceInstance) and bool(
        service.service_class.tools.find or service.service_class.tools.status
    )
    if view.operation is not None:
        yield NextCall("service_wait", {**name, "state": ["running", "stopped", "failed"]}, "until it has ended")
    if view.reason in (UNKNOWN_OUTCOME, NOT_VERIFIABLE):
        yield _adopt(service, view, "if it runs")
        if has_plan:
            yield NextCall("service_stop", name, "to stop it, whatever is there")
        yield NextCall("service_delete", {**name, "abandon": True}, "if it does not run, or you have removed it")
        if can_look:
            yield NextCall("service_start", name, "to check again, and start it if it is gone")
        elif isinstance(service, ServiceInstance) and may_start_again(service):
            yield NextCall("service_start", name, "to call its start tool again (onUnknown: retry)")
    elif view.reason == NO_STOP_PLAN:
        yield _adopt(service, view, "with the values filled in, so that it can be stopped")
    elif view.reason == UNREADABLE_CLASS:
        if has_plan:
            yield NextCall("service_stop", name, "to stop it by its pinned plan")
        yield NextCall("service_delete", {**name, "abandon": True}, "to forget it, once you have checked")
        return
    elif view.reason == STOP_NOT_SENT:
        yield NextCall("service_stop", name, "to try again")
        yield NextCall("service_start", name, "to keep it running after all")
    yield from _after_the_trouble(view)
    yield from _after_the_cause(service, view, registry, tools)


def _after_the_trouble(view: ServiceView) -> Iterator[NextCall]:
    """Yield what to call if a start or stop has failed and may have left something."""
    name: JsonObject = {"name": view.name}
    match view.reason:
        case reasons.START_LATE | reasons.START_UNSEEN:
            yield NextCall("service_delete", name, "to look again, stop what is left, and forget it")
        case reasons.STOP_FAILED | reasons.STOP_INTERRUPTED:
            yield NextCall("service_stop", name, "to try again")
            yield NextCall("service_delete", {**name, "force": True}, "to forget it even if it cannot be stopped")
        case _:
            pass


def _after_the_cause(
    service: Service, view: ServiceView, registry: RegistryAdapter, tools: ToolDirectory | None
) -> Iterator[NextCall]:
    name: JsonObject = {"name": view.name}
    for server, _ in _lost_servers(service, tools):
        found = registry.find(server)
        if found is not None and not way_to_enable(found):
            yield NextCall("service_start", {"name": server}, "to connect the server that drives it")
            yield NextCall("service_logs", {"name": server}, "to see why it does not connect")
    yield from _after_the_dependencies(service, view, registry)
    has_logs = (
        logs_call(service.service_class) is not None
        if isinstance(service, ServiceInstance)
        else bool(view.service_data.get("stderrLog"))
    )
    is_troubled = view.state in (ServiceState.FAILED, ServiceState.RETRYING) or view.health is HealthStatus.UNHEALTHY
    if (is_troubled or view.reason == "gone" or (view.state.is_up and view.health_failures)) and has_logs:
        yield NextCall("service_logs", name, "to see what it printed")
    if view.state.is_up and view.health is HealthStatus.UNHEALTHY:
        yield NextCall("service_restart", name, "to restart it")
    if view.state is ServiceState.FAILED and not view.reason.startswith(("stop-", UNKNOWN_OUTCOME)):
        yield NextCall("service_start", name, "once the cause is fixed")
    if view.state in (ServiceState.UNREACHABLE, ServiceState.DISCONNECTED):
        yield NextCall("service_start", name, "to try again at once")
    if view.state is ServiceState.STOPPED and not way_to_enable(service):
        yield NextCall("service_start", name, "to run it again" if _has_completed(service) else "to start it")


def _after_the_dependencies(service: Service, view: ServiceView, registry: RegistryAdapter) -> Iterator[NextCall]:
    """Yield what to call about what `service` waits for, or runs without."""
    for other, dependency in _lacking(view, registry):
        if dependency is not None:
            yield NextCall("service_explain", {"name": other}, "to see why its dependency is not ready")
    for dependency in _ailing(view, registry) if not view.dependency_problems else ():
        yield NextCall("service_explain", {"name": dependency.name}, "to see what is wrong with its dependency")
    if not isinstance(service, ServiceInstance) or not view.state.is_up:
        return
    for other in sorted(service.vitals.dependency_problems):
        dependency = registry.find(other)
        if dependency is None:
            continue
        if dependency.state.is_up and dependency.health is not HealthStatus.UNHEALTHY:
            yield NextCall("service_restart", {"name": view.name}, f"to take the new outputs of {other}")
        else:
            yield NextCall("service_explain", {"name": other}, "to see what is wrong with its dependency")


def is_noteworthy(call: CallRecord) -> bool:
    """Whether the arguments of a past call are worth showing: it failed, or its effect is unknown."""
    return call.outcome is not CallOutcome.ANSWERED or bool(call.error)
