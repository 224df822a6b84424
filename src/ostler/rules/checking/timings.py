"""Durations of a class that contradict each other: waits that are longer than their limit."""

from collections.abc import Iterator

from ostler.model.durations import format_duration
from ostler.model.json import KeyPath
from ostler.model.manifest import ReadySpec, ServiceClass, StoppedSpec, ToolCallSpec
from ostler.rules.checking.names import CONFIG
from ostler.rules.text.findings import Violation

RULE = "timeout-conflict"


def timing_violations(
    service_class: ServiceClass, calls: list[tuple[str, KeyPath, ToolCallSpec]]
) -> Iterator[Violation]:
    """Yield the durations of the class that cannot all be kept."""
    config = service_class.config
    health = config.health
    is_checked = service_class.tools.health_check is not None or service_class.tools.status is not None
    if is_checked and health.enabled and health.timeout > health.interval:
        written = config.health_check is not None and "timeout" in config.health_check.model_fields_set
        where = ("healthCheck", "timeout") if written else ("timeout", "healthCheck")
        message = (
            f"a health check may take {format_duration(health.timeout)}, longer than the interval of "
            f"{format_duration(health.interval)}"
        )
        fix = "make healthCheck.interval longer, or the timeout shorter"
        yield Violation((*CONFIG, *where), RULE, message, fix)
    for step, path, call in calls:
        yield from _call_violations(service_class, step, path, call)
    yield from _restart_violations(service_class)


def _limits(service_class: ServiceClass, step: str) -> tuple[float, str] | None:
    """Return how long the whole operation of `step` may take, and the key that sets that."""
    timeout = service_class.config.timeout
    match step.partition("[")[0]:
        case "preStart" | "start" | "ready" | "postStart":
            return timeout.create, "timeout.create"
        case "stop" | "stopped" | "preStop" | "delete":
            return timeout.delete, "timeout.delete"
        case "restart":
            return timeout.restart_in_all, "timeout.restart"
        case "healthCheck":
            return service_class.config.health.timeout, "healthCheck.timeout"
        case _:
            return None


def _call_violations(service_class: ServiceClass, step: str, path: KeyPath, call: ToolCallSpec) -> Iterator[Violation]:
    found = _limits(service_class, step)
    if found is None:
        return
    limit, key = found
    shown = format_duration(limit)
    if call.timeout is not None and call.timeout > limit:
        message = f"the call may take {format_duration(call.timeout)}, but {key} ends it after {shown}"
        yield Violation((*path, "timeout"), RULE, message, f"make it shorter, or {key} longer")
    if isinstance(call, ReadySpec | StoppedSpec) and call.interval >= limit:
        message = f"the pause of {format_duration(call.interval)} between two tries is as long as {key} ({shown})"
        yield Violation((*path, "interval"), RULE, message, "make it shorter")
    if call.retry is not None and (waited := (call.retry.attempts - 1) * call.retry.delay) >= limit:
        message = (
            f"{call.retry.attempts} attempts wait {format_duration(waited)} in between, but {key} ends them after "
            f"{shown}"
        )
        yield Violation((*path, "retry"), RULE, message, f"fewer attempts, or a longer {key}")


def _restart_violations(service_class: ServiceClass) -> Iterator[Violation]:
    timeout = service_class.config.timeout
    path: KeyPath = (*CONFIG, "timeout", "restart")
    if service_class.tools.restart is not None or timeout.restart is None or timeout.restart >= timeout.create:
        return
    message = (
        f"a restart is a stop and a start, and has {format_duration(timeout.restart)} for both, while the start alone "
        f"may take {format_duration(timeout.create)}"
    )
    fix = f"write 'timeout.restart: {format_duration(timeout.create + timeout.delete)}'"
    yield Violation(path, RULE, message, fix)
