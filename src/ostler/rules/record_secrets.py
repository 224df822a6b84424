"""Which texts of a stored service must not be shown, as its class says: secret args and secret outputs."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ostler.model.json import JsonValue
from ostler.model.manifest import OutputSpec, ServiceClass
from ostler.model.records import ServiceRecord
from ostler.rules.masking import mask, secret_strings

if TYPE_CHECKING:
    from ostler.model.json import JsonObject


def secret_output_names(service_class: ServiceClass) -> frozenset[str]:
    """Return the names of the service's outputs that are secret."""
    outputs = service_class.config.outputs
    return frozenset(name for name, spec in outputs.items() if isinstance(spec, OutputSpec) and spec.secret)


def output_secrets(service_class: ServiceClass, record: ServiceRecord) -> frozenset[str]:
    """Return the values of secret outputs: of the service, and of its lifecycle tools."""
    found = {
        str(record.outputs[name])
        for name in secret_output_names(service_class)
        if record.outputs.get(name) not in (None, "")
    }
    for step, call in service_class.tools.calls():
        held: JsonObject = record.step_outputs.get(step) or {}
        found |= {
            str(held[name])
            for name, spec in call.outputs.items()
            if isinstance(spec, OutputSpec) and spec.secret and held.get(name) not in (None, "")
        }
    return frozenset(found)


def record_secrets(service_class: ServiceClass, record: ServiceRecord) -> frozenset[str]:
    """Return every secret text that `record` holds."""
    own = secret_strings(service_class.spec.args, record.args) | output_secrets(service_class, record)
    return own.union(record.dependency_secrets)


def secrets_within(value: JsonValue, secrets: Iterable[str]) -> frozenset[str]:
    """Return those of `secrets` that would be masked in `value`."""
    return frozenset(secret for secret in secrets if mask(value, (secret,)) != value)
