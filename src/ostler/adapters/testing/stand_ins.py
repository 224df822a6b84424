"""Services that a class's test supposes to exist: instances of the real engine, driven by tools that just agree."""

from typing import TYPE_CHECKING

from ostler.adapters.testing.scripted_caller import STAND_IN, StepCaller
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.manager import ServiceManager
from ostler.engine.services.views import CreateRequest
from ostler.model.class_tests import StandIn
from ostler.rules.loading.manifests import class_digest, service_class_from_json

if TYPE_CHECKING:
    from ostler.model.json import JsonObject


async def add_stand_in(manager: ServiceManager, caller: StepCaller, service: StandIn) -> None:
    """Bring `service` into the state that the test supposes."""
    entry = _entry(service)
    real = manager.classes.get_all()
    manager.classes.replace([*(e for e in real if e.name != entry.name), entry])
    caller.stand_ins[service.name] = service.outputs
    try:
        await manager.create(CreateRequest(entry.name, service.name, start=service.state != "stopped"))
        if service.state == "completed":
            await manager.stop_service(service.name)
    finally:
        manager.classes.replace(real)


def _entry(service: StandIn) -> ClassEntry:
    call: JsonObject = {"tool": f"{STAND_IN}/agree", "args": {"name": "{{ name }}"}}
    outputs: JsonObject = {key: {"path": f'"{key}"', "required": False} for key in service.outputs}
    manifest: JsonObject = {
        "apiVersion": "ostler/v1",
        "kind": "ServiceClass",
        "metadata": {"name": service.service_class_name or STAND_IN},
        "spec": {
            "serviceConfig": {
                "lifecycleTools": {
                    "start": {**call, "outputs": outputs},
                    "stop": call,
                    "healthCheck": call,
                },
                "healthCheck": {"interval": "30d"},
                "outputs": {key: f"{{{{ start['{key}'] }}}}" for key in service.outputs},
            }
        },
    }
    service_class = service_class_from_json(manifest)
    return ClassEntry(service_class, class_digest(service_class))
