"""A plan in the making: what was found out so far, and the id that stands for what it depends on."""

import hashlib
import json

from msgspec import Struct

from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.protocols import ToolDirectory
from ostler.engine.services.service import Service
from ostler.model.errors import TemplateError
from ostler.model.json import JsonObject, JsonValue
from ostler.model.plans import Plan, PlanAction, PlanEffect, PlannedServer, PlannedService, PlannedStep
from ostler.rules.calls import forecast
from ostler.rules.calls.forecast import Knowledge

PARTS = ("class", "tools", "state", "args")
"""What a plan depends on; its id has a digest of each, so that the one that changed can be named."""

_DIGITS = 10


class PlanDraft(Struct):
    """What an operation would do, as far as it was followed.

    Attributes:
        steps: the calls.
        stop_steps: what will stop the service that was added last.
        services: what happens to each service, dependencies first.
        problems: what would make it fail.
        started: the services that it starts, by name.
        outputs: their (outputs, what stands for unknown ones).
        secrets: by service, the texts that must not be shown, including those of its dependencies.
    """

    steps: list[PlannedStep] = []
    stop_steps: list[PlannedStep] = []
    services: dict[str, PlannedService] = {}
    problems: list[str] = []
    started: dict[str, ServiceInstance] = {}
    outputs: dict[str, tuple[JsonObject, dict[str, str]]] = {}
    secrets: dict[str, frozenset[str]] = {}
    _classes: JsonObject = {}
    _states: JsonObject = {}

    def concern(self, service: Service, effect: PlanEffect, note: str = "") -> None:
        """Note what happens to a service; what was noted first stays."""
        class_name = service.record.class_name if isinstance(service, ServiceInstance) else ""
        self.services.setdefault(service.name, PlannedService(service.name, class_name, effect, note))

    def depend_on_class(self, instance: ServiceInstance) -> None:
        """Note that the plan depends on the class of `instance` as it is."""
        self._classes[f"{instance.name}:{instance.record.class_name}"] = instance.record.class_digest

    def depend_on_absence(self, name: str) -> None:
        """Note that the plan depends on there being no service `name`."""
        self._states[name] = "absent"

    def depend_on_state(self, service: Service) -> None:
        """Note that the plan depends on `service` being as it is."""
        state: list[JsonValue] = [service.state.value]
        if isinstance(service, ServiceInstance):
            record = service.record
            state += [record.id, record.step_outputs, record.outputs, len(record.stop_plan), len(record.delete_plan)]
        self._states[service.name] = state

    def note_stop(self, instance: ServiceInstance, knowledge: Knowledge) -> None:
        """Note what will stop `instance`."""
        try:
            self.stop_steps = list(forecast.stop_steps(instance.name, instance.service_class, knowledge))
        except TemplateError as error:
            self.stop_steps = []
            self.problems.append(f"its stop plan cannot be made: {error.summary}")

    def plan(self, action: PlanAction, name: str, asked: JsonValue, tools: ToolDirectory | None) -> Plan:
        """Return the finished plan.

        Args:
            action: the operation.
            name: the service that it is about.
            asked: what was asked for, as JSON.
            tools: knows which tools there are.
        """
        schemas: JsonObject = {}
        servers: dict[str, PlannedServer] = {}
        for tool in dict.fromkeys(step.tool for step in (*self.steps, *self.stop_steps)):
            info = None if tools is None else tools.find_tool(tool)
            schemas[tool] = None if info is None else info.input_schema
            server = tool.partition("/")[0]
            status = None if tools is None else tools.server_status(server)
            if status is None:
                servers[server] = PlannedServer(server, connected=True)
                continue
            servers[server] = PlannedServer(server, status.connected, status.reason)
            if not status.known or (status.tools_known and info is None):
                self.problems.append(f"tool {tool!r} does not exist")
        facts: JsonObject = {"class": self._classes, "tools": schemas, "state": self._states, "args": asked}
        return Plan(
            id="-".join([action, *(_digest(facts[part]) for part in PARTS)]),
            action=action,
            service=name,
            steps=tuple(self.steps),
            stop_steps=tuple(self.stop_steps),
            services=tuple(self.services.values()),
            servers=tuple(servers.values()),
            problems=tuple(dict.fromkeys(self.problems)),
        )


def _digest(value: JsonValue) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
