"""Engine snapshots as the JSON of tools and resources, and in words. Everything that comes in here is masked."""

import json
from collections.abc import Collection, Mapping
from datetime import datetime

from pydantic.alias_generators import to_camel

from ostler.adapters.process.meter import Measured
from ostler.adapters.serving.answers import clipped
from ostler.engine.services.service import Service
from ostler.engine.services.views import Listed, OperationResult, OperationView, ServiceView, is_out_of_reach
from ostler.model.durations import format_duration
from ostler.model.events import Event
from ostler.model.json import JsonObject, JsonValue, present
from ostler.model.moments import format_brief
from ostler.model.records import OperationRecord
from ostler.model.sizes import size_text
from ostler.model.states import HealthStatus

MAX_LIST_ERROR = 100
"""Characters of a service's last error in a list."""

MAX_VALUE_TEXT = 4_000
"""Characters of one value in a text; the structured content has all of it."""


def timestamp(at: datetime) -> str:
    """Return `at` as RFC 3339 in UTC, to the millisecond."""
    return format_brief(at, precision="milliseconds" if at.microsecond else "seconds")


def age(at: datetime, now: datetime) -> str:
    """Return how long ago `at` was, as a duration of whole seconds."""
    return format_duration(float(max(0, round((now - at).total_seconds()))))


def brief(listed: Listed, used: Measured | None = None) -> JsonObject:
    """Return a service as service_list shows it."""
    facts: JsonObject = {
        "name": listed.name,
        "serviceClassName": listed.class_name,
        "serviceType": listed.service_type,
        "state": listed.state.value,
        "health": listed.health.value,
    }
    if listed.reason and not listed.state.is_up:
        facts["reason"] = listed.reason
    if failed_checks(listed) and listed.health_failures:
        facts["healthCheckFailures"] = listed.health_failures
    if is_out_of_reach(listed):
        facts["reachability"] = listed.reachability.value
    if listed.error:
        facts["error"] = _list_error(listed.error)
    return facts | usage(used)


def _list_error(error: str) -> str:
    """Return the line of an error that says what happened, without those of a log that follow."""
    first, _, more = error.partition("\n")
    return clipped(f"{first} …" if more.strip() else first, MAX_LIST_ERROR)


def usage(used: Measured | None) -> JsonObject:
    """Return what a service uses, as `usage`; nothing when that is unknown."""
    if used is None:
        return {}
    return {
        "usage": {
            "cpuPercent": used.cpu_percent,
            "memoryBytes": used.usage.memory_bytes,
            "processes": used.usage.processes,
        }
    }


def usage_text(used: Measured) -> str:
    """Return what a service uses in words: `3.1% CPU, 120 MB`."""
    return f"{used.cpu_percent:g}% CPU, {size_text(used.usage.memory_bytes)}"


def failed_checks(view: Listed) -> str:
    """Return what speaks against the health that the last check showed: `1 of 3 checks failed`; or nothing."""
    if is_out_of_reach(view):
        return "its server cannot be reached"
    if view.health is not HealthStatus.HEALTHY or not view.health_failures:
        return ""
    return f"{view.health_failures} of {view.failure_threshold} checks failed"


def status(view: ServiceView, now: datetime, used: Measured | None = None) -> JsonObject:
    """Return a service as service_status shows it: what is known and how old each fact is."""
    return {
        "name": view.name,
        "serviceClassName": view.class_name,
        "serviceType": view.service_type,
        "state": view.state.value,
        "stateAge": age(view.state_since, now),
        "health": view.health.value,
        "reachability": view.reachability.value,
        "desired": view.desired.value,
        **present(
            {
                "healthAge": age(at, now) if (at := _health_known_at(view)) else None,
                "healthCheckFailures": (view.health_failures or None) if failed_checks(view) else None,
                "evidence": view.evidence,
                "reachabilityAge": age(view.reachability_at, now) if view.reachability_at else None,
                "reason": view.reason,
                "outputs": dict(view.outputs),
                "outputsAge": age(view.outputs_at, now) if view.outputs_at else None,
                "lastError": view.error,
                "lastErrorAge": age(view.error_at, now) if view.error_at else None,
                **_coming(view, now),
                "dependencyProblems": list(view.dependency_problems),
                "operation": operation(view.operation) if view.operation else None,
            }
        ),
        **usage(used),
    }


def _coming(view: ServiceView, now: datetime) -> dict[str, str]:
    """Return how soon there is a check, a retry and the end of the lease."""
    times = {"nextCheckIn": view.next_check_at, "nextRetryIn": view.next_retry_at, "leaseEndsIn": view.lease_end}
    return {key: age(now, at) for key, at in times.items() if at is not None}


def details(view: ServiceView) -> JsonObject:
    """Return everything about a service, as service_get and the resource `service://{name}` show it."""
    return {
        "name": view.name,
        "id": view.id,
        "serviceClassName": view.class_name,
        "serviceType": view.service_type,
        "state": view.state.value,
        "stateSince": timestamp(view.state_since),
        "health": view.health.value,
        "reachability": view.reachability.value,
        "desired": view.desired.value,
        "args": dict(view.args),
        "outputs": dict(view.outputs),
        "serviceData": dict(view.service_data),
        "dependencies": list(view.dependencies),
        "healthCheckFailures": view.health_failures,
        "healthCheckSuccesses": view.health_successes,
        "createdAt": timestamp(view.created_at),
        "updatedAt": timestamp(view.updated_at),
        "starts": view.starts,
        "restarts": view.restarts,
        **_traits(view),
        **present(
            {
                "reason": view.reason,
                "lastError": view.error,
                "lastErrorAt": timestamp(view.error_at) if view.error_at else None,
                "lastChecked": timestamp(view.checked_at) if view.checked_at else None,
                "evidence": view.evidence,
                "nextCheckAt": timestamp(view.next_check_at) if view.next_check_at else None,
                "nextRetryAt": timestamp(view.next_retry_at) if view.next_retry_at else None,
                "leaseExpiresAt": timestamp(view.lease_expires_at) if view.lease_expires_at else None,
                "dependencyProblems": list(view.dependency_problems),
                "classDigest": view.class_digest,
                "operation": operation(view.operation) if view.operation else None,
            }
        ),
    }


def _traits(view: ServiceView) -> JsonObject:
    values = {**view.traits, "lease": format_duration(view.lease) if view.lease else None}
    return present({to_camel(name): value for name, value in values.items()})


def changed(result: OperationResult) -> JsonObject:
    """Return how a start, stop, restart, create or delete went."""
    view = result.service
    return {
        "message": result.message,
        "service": {
            **brief(view),
            **present({"outputs": dict(view.outputs)}),
        },
        "changed": result.changed,
        "finished": result.finished,
        **present({"operationId": result.operation_id}),
    }


def operation(view: OperationView) -> JsonObject:
    """Return an operation under way."""
    return {
        "id": view.id,
        "kind": view.kind.value,
        "startedAt": timestamp(view.started_at),
        **present({"step": view.step, "reason": view.reason, "progress": view.progress}),
    }


def progress_of(view: ServiceView) -> str:
    """Return what the operation of a service that is under way waits for; empty if that is unknown."""
    return view.operation.progress if view.operation is not None else ""


def progress_text(shown: ServiceView | Service | None) -> str:
    """Return the same as the end of a line."""
    view = shown if shown is None or isinstance(shown, ServiceView) else shown.view()
    return f": {said}" if view is not None and (said := progress_of(view)) else ""


def past_operation(record: OperationRecord) -> JsonObject:
    """Return an operation of the history, without its calls."""
    return {
        "id": record.id,
        "kind": record.kind.value,
        "startedAt": timestamp(record.started_at),
        **present(
            {
                "finishedAt": timestamp(record.finished_at) if record.finished_at else None,
                "outcome": record.outcome.value if record.outcome else None,
                "reason": record.reason,
                "error": record.error,
            }
        ),
    }


def event(item: Event) -> JsonObject:
    """Return one event."""
    return {
        "cursor": item.cursor,
        "at": timestamp(item.at),
        "kind": item.kind.value,
        **present({"service": item.service, "message": item.message, "data": dict(item.data)}),
    }


def gap_line(since: int | None, newest: int) -> str:
    """Return in words why the events after the cursor `since` are not all of them; `newest` is the last cursor."""
    if since is not None and since > newest:
        return (
            f"no event here has had the cursor {since}: it may be from another Ostler or an earlier state folder. "
            "These are the events from the beginning"
        )
    return "some events after that cursor are gone: fewer are kept than have happened"


def event_line(item: Event) -> str:
    """Return one event on a line."""
    who = f" {item.service}:" if item.service else ""
    line = f"[{item.cursor}] {timestamp(item.at)} {item.kind.value}{who} {item.message}".rstrip()
    more = {key: value for key, value in item.data.items() if f"{value}" not in item.message}
    return f"{line} {value_text(more)}" if more else line


def value_text(value: JsonValue) -> str:
    """Return a JSON value on one line: texts as they are, the rest as JSON; a cut is marked."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    if len(text) <= MAX_VALUE_TEXT:
        return text
    return f"{text[:MAX_VALUE_TEXT]}… (the first {MAX_VALUE_TEXT} of {len(text)} characters)"


def fact_lines(facts: JsonObject, *, without: Collection[str] = ()) -> list[str]:
    """Return a line `key: value` for each of `facts` that says something, as far as it is not in `without`."""
    return [f"{key}: {value_text(value)}" for key, value in present(facts).items() if key not in without]


def outputs_text(outputs: Mapping[str, JsonValue]) -> str:
    """Return `outputs: a=1, b=2`, or nothing."""
    shown = ", ".join(f"{name}={value_text(value)}" for name, value in outputs.items())
    return f"outputs: {shown}" if shown else ""


def list_line(listed: Listed, used: Measured | None = None) -> str:
    """Return a service on one line."""
    why = f" ({listed.reason})" if listed.reason and not listed.state.is_up else ""
    health = "" if why and listed.health is HealthStatus.UNKNOWN else f"/{brief_health(listed)}"
    line = f"{listed.name} {listed.state.value}{why}{health} ({kind_of(listed)})"
    line += f" {usage_text(used)}" if used is not None else ""
    return f"{line} error: {_list_error(listed.error)}" if listed.error else line


def brief_health(listed: Listed) -> str:
    """Return a service's health in few words, with what the last checks say against it."""
    return listed.health.value + (f", but {text}" if (text := failed_checks(listed)) else "")


def _health_known_at(view: ServiceView) -> datetime | None:
    """Return how long its health is known: since the last check, or since the last one that passed."""
    return view.passed_at if failed_checks(view) and view.health is HealthStatus.HEALTHY else view.checked_at


def health_text(view: ServiceView, now: datetime) -> str:
    """Return a service's health in words; what was not so at the last check is not said to be so now."""
    failed, at = failed_checks(view), _health_known_at(view)
    if failed and view.health is HealthStatus.HEALTHY:
        return f"{view.health.value} until {age(at, now) + ' ago' if at else 'then'}; {failed}"
    checked = f"{view.health.value} (checked {age(at, now)} ago)" if at else view.health.value
    return f"{checked}; {failed}" if failed else checked


def kind_of(listed: Listed) -> str:
    """Return the class and the type of a service, once if they have the same name."""
    return ", ".join(dict.fromkeys(name for name in (listed.class_name, listed.service_type) if name))


IN_STATUS_TEXT = (
    *("name", "serviceClassName", "serviceType", "state", "health", "reachability", "desired", "reason"),
    *("outputs", "operation", "lastError", "evidence", "dependencyProblems"),
    *("stateAge", "healthAge", "reachabilityAge", "outputsAge", "lastErrorAge", "nextCheckIn", "nextRetryIn"),
    *("healthCheckFailures", "leaseEndsIn", "usage"),
)
"""The facts of a status that its text has."""


def status_text(view: ServiceView, now: datetime, used: Measured | None = None) -> str:
    """Return a service's status in words: every fact of `status`."""
    lasts = f" for {age(view.reachability_at, now)}" if view.reachability_at else ""
    lines = [
        f"{view.name} ({kind_of(view)}): {view.state.value} for {age(view.state_since, now)}"
        + (f" ({view.reason})" if view.reason else "")
        + f", health {health_text(view, now)}"
    ]
    if view.operation is not None:
        facts = operation(view.operation)
        shown = ", ".join(f"{key} {value}" for key, value in facts.items() if key not in ("kind", "progress"))
        lines.append(f"under way: {facts['kind']} ({shown}){progress_text(view)}")
    if view.outputs:
        ago = f" (taken {age(view.outputs_at, now)} ago)" if view.outputs_at else ""
        lines.append(outputs_text(view.outputs) + ago)
    if used is not None:
        count = used.usage.processes
        lines.append(f"uses {usage_text(used)} in {count} process{'' if count == 1 else 'es'}")
    if view.error:
        ago = f" ({age(view.error_at, now)} ago)" if view.error_at else ""
        lines.append(f"last error{ago}: {value_text(view.error)}")
    if view.evidence:
        lines.append(f"last check saw: {view.evidence}")
    lines += [f"runs on, but its dependency {problem}" for problem in view.dependency_problems]
    words = {"nextCheckIn": "next check in", "nextRetryIn": "next retry in", "leaseEndsIn": "lease ends in"}
    if times := [f"{words[key]} {time}" for key, time in _coming(view, now).items()]:
        lines.append(", ".join(times))
    lines.append(f"desired {view.desired.value}, reachability {view.reachability.value}{lasts}")
    return "\n".join(lines)
