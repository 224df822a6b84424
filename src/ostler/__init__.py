"""Ostler: starts, watches and stops services for AI agents through MCP tools.

The names below are the library: a registry and a manager that drive services through a ToolCaller of your own,
without the MCP face. They are imported when first used, because the bridge has to start in a tenth of a second.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ostler.adapters.stores.memory import MemoryStore
    from ostler.adapters.stores.sqlite import SqliteStore
    from ostler.engine.classes.catalogue import ClassCatalogue, ClassEntry
    from ostler.engine.events.log import EventLog
    from ostler.engine.instances.instance import ServiceInstance
    from ostler.engine.manager import ServiceManager
    from ostler.engine.protocols import (
        Observer,
        ServerStatus,
        StateChangeCallback,
        Store,
        ToolCaller,
        ToolDirectory,
        ToolInfo,
    )
    from ostler.engine.services.registry import RegistryAdapter, ServiceRegistry
    from ostler.engine.services.reporting import StatusReporter, StatusUpdate, StatusWord
    from ostler.engine.services.service import BaseService, HealthChecker, Service, ServiceDataProvider, StateUpdater
    from ostler.engine.services.views import CreateRequest, OperationResult, ServiceFilter, ServiceView
    from ostler.model.downstream_errors import DownstreamError
    from ostler.model.errors import OstlerError
    from ostler.model.events import Event, EventKind
    from ostler.model.records import OperationKind
    from ostler.model.responses import ToolResponse
    from ostler.model.states import HealthStatus, Reachability, ServiceState, Transition
    from ostler.rules.answers.expectations import evaluate_health_check_expectation
    from ostler.rules.answers.extraction import extract_from_response, process_tool_outputs
    from ostler.rules.answers.responses import normalise
    from ostler.rules.reading import load_manifests

__all__ = [
    "BaseService",
    "ClassCatalogue",
    "ClassEntry",
    "CreateRequest",
    "DownstreamError",
    "Event",
    "EventKind",
    "EventLog",
    "HealthChecker",
    "HealthStatus",
    "MemoryStore",
    "Observer",
    "OperationKind",
    "OperationResult",
    "OstlerError",
    "Reachability",
    "RegistryAdapter",
    "ServerStatus",
    "Service",
    "ServiceDataProvider",
    "ServiceFilter",
    "ServiceInstance",
    "ServiceManager",
    "ServiceRegistry",
    "ServiceState",
    "ServiceView",
    "SqliteStore",
    "StateChangeCallback",
    "StateUpdater",
    "StatusReporter",
    "StatusUpdate",
    "StatusWord",
    "Store",
    "ToolCaller",
    "ToolDirectory",
    "ToolInfo",
    "ToolResponse",
    "Transition",
    "evaluate_health_check_expectation",
    "extract_from_response",
    "load_manifests",
    "normalise",
    "process_tool_outputs",
]

_HOMES = {
    "adapters.stores.memory": ("MemoryStore",),
    "adapters.stores.sqlite": ("SqliteStore",),
    "engine.classes.catalogue": ("ClassCatalogue", "ClassEntry"),
    "engine.events.log": ("EventLog",),
    "engine.instances.instance": ("ServiceInstance",),
    "engine.manager": ("ServiceManager",),
    "engine.protocols": (
        "Observer",
        "ServerStatus",
        "StateChangeCallback",
        "Store",
        "ToolCaller",
        "ToolDirectory",
        "ToolInfo",
    ),
    "engine.services.registry": ("RegistryAdapter", "ServiceRegistry"),
    "engine.services.reporting": ("StatusReporter", "StatusUpdate", "StatusWord"),
    "engine.services.service": ("BaseService", "HealthChecker", "Service", "ServiceDataProvider", "StateUpdater"),
    "engine.services.views": ("CreateRequest", "OperationResult", "ServiceFilter", "ServiceView"),
    "model.downstream_errors": ("DownstreamError",),
    "model.errors": ("OstlerError",),
    "model.events": ("Event", "EventKind"),
    "model.records": ("OperationKind",),
    "model.responses": ("ToolResponse",),
    "model.states": ("HealthStatus", "Reachability", "ServiceState", "Transition"),
    "rules.answers.expectations": ("evaluate_health_check_expectation",),
    "rules.answers.extraction": ("extract_from_response", "process_tool_outputs"),
    "rules.reading": ("load_manifests",),
    "rules.answers.responses": ("normalise",),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"ostler.{home}"), name)
    raise AttributeError(f"module 'ostler' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
