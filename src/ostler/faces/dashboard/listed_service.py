"""A service as the dashboard lists it: facts with times instead of ages, so that the page counts on."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from ostler.adapters.serving.answers import clipped
from ostler.engine.services.views import DIRECTORY_LABEL, PROJECT_LABEL, ServiceView
from ostler.faces.mcp.shapes import failed_checks, operation, timestamp
from ostler.model.json import JsonObject, JsonValue, present

MAX_TEXT: Final = 240
"""Characters of an error, an evidence or an output in a row; service_get has all of them."""

MAX_OUTPUTS: Final = 12
"""Outputs in a row."""

PLACES: Final = ("url", "connectionString", "address", "host", "port", "ports")
"""Outputs that say where a service is found, the best first."""


def row(view: ServiceView) -> JsonObject:
    """Return a service's row."""
    operation_ = view.operation
    labels = view.labels
    return {
        "name": view.name,
        "state": view.state.value,
        "since": timestamp(view.state_since),
        "health": view.health.value,
        **present(
            {
                "class": view.class_name,
                "type": view.service_type,
                "reason": view.reason,
                "checks": view.health_checks or None,
                "checkedAt": _moment(view.checked_at),
                "passedAt": _moment(view.passed_at),
                "failedChecks": failed_checks(view),
                "evidence": clipped(view.evidence, MAX_TEXT),
                "reachability": view.reachability.value,
                "desired": view.desired.value,
                "error": clipped(view.error, MAX_TEXT) if view.error else None,
                "errorAt": _moment(view.error_at),
                "outputs": _short(view.outputs),
                "needs": list(view.dependencies),
                "problems": list(view.dependency_problems),
                "project": labels.get(PROJECT_LABEL),
                "directory": labels.get(DIRECTORY_LABEL),
                "owner": view.owner,
                "purpose": view.purpose,
                "leaseEndsAt": _moment(view.lease_end),
                "nextRetryAt": _moment(view.next_retry_at),
                "nextCheckAt": _moment(view.next_check_at),
                "restarts": view.restarts or None,
                "operation": operation(operation_) if operation_ else None,
            }
        ),
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)


def _short(outputs: Mapping[str, JsonValue]) -> JsonObject:
    """Return the outputs that fit in a row: where the service is first, plain values alone, long ones cut."""
    names = [*(name for name in PLACES if name in outputs), *(name for name in outputs if name not in PLACES)]
    plain = {name: value for name in names if isinstance(value := outputs[name], str | int | float | bool)}
    return {
        name: clipped(value, MAX_TEXT) if isinstance(value, str) else value
        for name, value in list(plain.items())[:MAX_OUTPUTS]
    }
