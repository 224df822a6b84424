"""A plan: the tool calls that an operation would make, and what they would do, as values."""

from typing import Literal, TypeAlias

from msgspec import Struct

from ostler.model.json import JsonObject

PlanAction: TypeAlias = Literal["create", "start", "stop", "restart", "delete"]

PlanEffect: TypeAlias = Literal["create", "start", "reuse", "restart", "stop", "delete", "forget", "none"]


class PlannedStep(Struct, frozen=True):
    """One call of a plan.

    Attributes:
        service: the service that it is for.
        step: the lifecycle step, such as `start` or `postStart[0]`.
        tool: `server/tool`.
        args: rendered and masked, with `<known after start>` instead of what is not known yet.
        known: whether nothing in `args` is unknown.
        every: seconds between repetitions of a call that is made until it passes; None when it is made once.
        tries: how often it is made at most until it succeeds.
        note: when or why, where that does not go without saying.
    """

    service: str
    step: str
    tool: str
    args: JsonObject
    known: bool = True
    every: float | None = None
    tries: int = 1
    note: str = ""


class PlannedService(Struct, frozen=True):
    """What a plan does to one service.

    Attributes:
        name: its name.
        class_name: its class; empty for a configured service.
        effect: what happens to it.
        note: why, or what is left.
    """

    name: str
    class_name: str
    effect: PlanEffect
    note: str = ""


class PlannedServer(Struct, frozen=True):
    """A downstream server that a plan needs, as it is now."""

    name: str
    connected: bool
    reason: str = ""


class Plan(Struct, frozen=True):
    """The tool calls that an operation would make now.

    Attributes:
        id: stands for everything that the plan depends on; `service_create` takes it and refuses when that changed.
        action: the operation.
        service: the service's name.
        steps: every call in its order, those of dependencies first.
        stop_steps: what will stop the service once the plan was carried out.
        services: the services concerned, dependencies first.
        servers: the downstream servers that the calls go to.
        problems: what would make it fail if it were carried out now.
    """

    id: str
    action: PlanAction
    service: str
    steps: tuple[PlannedStep, ...] = ()
    stop_steps: tuple[PlannedStep, ...] = ()
    services: tuple[PlannedService, ...] = ()
    servers: tuple[PlannedServer, ...] = ()
    problems: tuple[str, ...] = ()
