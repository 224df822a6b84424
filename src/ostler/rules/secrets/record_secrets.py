"""Which texts of a stored service must not be shown, as its class says: secret args and secret outputs."""

from collections.abc import Iterable
from typing import Final, cast

from ostler.model.json import JsonObject, JsonValue, as_object
from ostler.model.manifest import ServiceClass
from ostler.model.records import ServiceRecord
from ostler.rules.secrets.masking import mask, secret_strings, strings_in

NO_SECRETS: Final[frozenset[str]] = frozenset()
"""What most services have; each set takes 216 bytes, the empty ones too."""


def output_secrets(service_class: ServiceClass, record: ServiceRecord) -> frozenset[str]:
    """Return the values of secret outputs: of the service, and of its lifecycle tools."""
    found = [record.outputs.get(name) for name in service_class.config.secret_outputs]
    for step, name in service_class.tools.secret_outputs:
        held: JsonObject = record.step_outputs.get(step) or {}
        found.append(held.get(name))
    return frozenset(str(value) for value in found if value not in (None, ""))


def record_secrets(service_class: ServiceClass, record: ServiceRecord) -> frozenset[str]:
    """Return every secret text that `record` holds."""
    return secret_strings(service_class.spec.args, record.args) | secrets_since_created(service_class, record)


def secrets_since_created(service_class: ServiceClass, record: ServiceRecord) -> frozenset[str]:
    """Return the secret texts that `record` holds besides its args, which never change."""
    return output_secrets(service_class, record).union(record.dependency_secrets, record.delete_secrets)


def possible_secrets(record: ServiceRecord) -> frozenset[str]:
    """Return every text of `record` that may be a secret when its class cannot be read.

    That is what an arg or output holds, unless the manifest as it is stored describes it, and not as secret.
    """
    config = _part(record.class_manifest, "spec", "serviceConfig")
    held = [(_part(record.class_manifest, "spec", "args"), record.args), (_part(config, "outputs"), record.outputs)]
    for step, outputs in record.step_outputs.items():
        held.append((_part(config, "lifecycleTools", step, "outputs"), outputs))
    found = [value for specs, values in held for name, value in values.items() if _may_be_secret(specs.get(name))]
    return strings_in(found).union(record.delete_secrets)


def _part(value: JsonValue, *path: str) -> JsonObject:
    for key in path:
        value = cast("JsonObject", value).get(key) if isinstance(value, dict) else None
    return as_object(value)


def _may_be_secret(spec: JsonValue) -> bool:
    if isinstance(spec, dict):
        return cast("JsonObject", spec).get("secret", False) is not False
    return not isinstance(spec, str)


def secrets_within(value: JsonValue, secrets: Iterable[str]) -> frozenset[str]:
    """Return those of `secrets` that would be masked in `value`."""
    return frozenset(secret for secret in secrets if mask(value, (secret,)) != value)
