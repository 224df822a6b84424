"""A service instance at one moment, masked, for lists, status and resources."""

from datetime import datetime
from typing import TYPE_CHECKING

from ostler.engine.services.service import error_text
from ostler.engine.services.views import ServiceView
from ostler.model.json import JsonObject, JsonValue
from ostler.model.servers import MASK
from ostler.model.states import ServiceState
from ostler.rules.secrets.record_secrets import secret_output_names

if TYPE_CHECKING:
    from ostler.engine.instances.instance import ServiceInstance


def view_of(instance: "ServiceInstance", updated_at: datetime, now: datetime) -> ServiceView:
    """Return a snapshot of `instance` at the time `now`; it changed last at `updated_at`."""
    status, record, operation = instance.status, instance.record, instance.operation
    stored: JsonObject = (instance.stored_error() or {}) if status.error is None else {}
    counters = record.counters
    return ServiceView(
        id=record.id,
        name=record.name,
        service_type=instance.service_type,
        class_name=record.class_name,
        class_digest=record.class_digest,
        state=status.state,
        health=status.health,
        reachability=status.reachability,
        desired=record.desired,
        state_since=status.since,
        created_at=record.created_at,
        updated_at=updated_at,
        error=error_text(status.error) or stored.get("message"),
        error_at=status.error_at,
        reason=status.reason or str(stored.get("reason") or "") or _lease_reason(instance, now),
        labels=record.labels,
        owner=record.owner,
        purpose=record.purpose,
        persist=record.persist,
        auto_start=record.auto_start,
        args=_masked_args(instance),
        outputs=_masked_outputs(instance),
        outputs_at=_time(counters.get("outputsAt")),
        service_data=instance.service_data(),
        dependencies=instance.dependencies,
        dependency_problems=tuple(instance.dependency_problems[name] for name in sorted(instance.dependency_problems)),
        checked_at=instance.checked_at,
        next_check_at=instance.next_check_at,
        next_retry_at=instance.next_retry_at,
        reachability_at=status.reachability_at,
        evidence=instance.evidence,
        health_failures=instance.failures,
        health_successes=instance.successes,
        health_checks=instance.checks_health,
        lease=record.lease,
        lease_expires_at=record.lease_expires_at,
        restarts=int(counters.get("restarts", 0)),
        starts=int(counters.get("starts", 0)),
        operation=operation.view() if operation is not None else None,
    )


def _lease_reason(instance: "ServiceInstance", now: datetime) -> str:
    ends = instance.record.lease_expires_at
    is_over = ends is not None and ends <= now
    return "lease-expired" if is_over and instance.state is ServiceState.STOPPED and not instance.is_wanted else ""


def _masked_args(instance: "ServiceInstance") -> JsonObject:
    specs = instance.service_class.spec.args
    return {
        key: MASK if key in specs and specs[key].secret and value is not None else instance.masked(value)
        for key, value in instance.record.args.items()
    }


def _masked_outputs(instance: "ServiceInstance") -> JsonObject:
    hidden = secret_output_names(instance.service_class)
    return {
        key: MASK if key in hidden and value is not None else instance.masked(value)
        for key, value in instance.record.outputs.items()
    }


def _time(value: JsonValue) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None
