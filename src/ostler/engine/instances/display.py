"""A service instance at one moment, masked, for lists, status and resources."""

from contextlib import suppress
from typing import Any

from ostler.engine.instances.operations import Operation
from ostler.engine.instances.reasons import IDLE
from ostler.engine.instances.state import InstanceState
from ostler.model.errors import TemplateError
from ostler.model.json import JsonObject
from ostler.model.manifest import OutputSpec
from ostler.model.servers import MASK
from ostler.model.states import ServiceState
from ostler.rules.templates.template import render


def shown_of(instance: InstanceState, operation: Operation | None) -> dict[str, Any]:
    """Return the fields of a snapshot that only instances have; `operation` is under way."""
    record, vitals = instance.record, instance.vitals
    return {
        "id": record.id,
        "class_name": record.class_name,
        "class_digest": record.class_digest,
        "desired": record.desired,
        "reason": reason_of(instance),
        "args": _masked_args(instance),
        "outputs": _masked_outputs(instance),
        "outputs_at": record.outputs_at,
        "dependency_problems": tuple(text for _, text in sorted(vitals.dependency_problems.items())),
        "checked_at": vitals.checked_at,
        "passed_at": vitals.passed_at,
        "failure_threshold": instance.service_class.config.health_rules.failure_threshold,
        "next_check_at": vitals.next_check_at if instance.state.is_up else None,
        "next_retry_at": vitals.next_retry_at,
        "evidence": vitals.evidence,
        "health_failures": vitals.failures,
        "health_successes": vitals.successes,
        "health_checks": instance.checks_health,
        "lease_expires_at": record.lease_expires_at,
        "restarts": record.restarts,
        "starts": record.starts,
        "operation": operation.view() if operation is not None else None,
        **record.traits,
    }


def reason_of(instance: InstanceState) -> str:
    """Return a short code for the cause of the state of `instance`; empty if there is nothing to add."""
    status = instance.status
    stored: JsonObject = (instance.stored_error() or {}) if status.error is None else {}
    return status.reason or str(stored.get("reason") or "") or _stop_reason(instance)


def _stop_reason(instance: InstanceState) -> str:
    """Return why a service is stopped that no one asked to stop."""
    if instance.vitals.is_idle and instance.state is ServiceState.STOPPED:
        return IDLE
    ends = instance.record.lease_expires_at
    is_over = ends is not None and ends <= instance.runtime.clock.now()
    return "lease-expired" if is_over and instance.state is ServiceState.STOPPED and not instance.is_wanted else ""


def kept_text(instance: InstanceState) -> str:
    """Return in words what stays when `instance` is deleted, as its class says; empty if that is nothing."""
    if not instance.record.starts:
        return ""
    shown = _masked_outputs(instance)
    kept: list[str] = []
    for name in instance.service_class.config.kept_outputs:
        spec = instance.service_class.config.outputs[name]
        if name not in shown and isinstance(spec, OutputSpec) and spec.template is not None:  # it is stopped
            with suppress(TemplateError):
                made = instance.masked(render(spec.template, instance.template_names()))
                shown[name] = MASK if spec.secret else made
        kept += [f"{name} {shown[name]}"] if shown.get(name) else []
    return f"kept, and yours to remove: {', '.join(kept)}" if kept else ""


def _masked_args(instance: InstanceState) -> JsonObject:
    specs = instance.service_class.spec.args
    return {
        key: MASK if key in specs and specs[key].secret and value is not None else instance.masked(value)
        for key, value in instance.record.args.items()
    }


def _masked_outputs(instance: InstanceState) -> JsonObject:
    hidden = instance.service_class.config.secret_outputs
    return {
        key: MASK if key in hidden and value is not None else instance.masked(value)
        for key, value in instance.record.outputs.items()
    }
