"""Ostler: starts, watches and stops services for AI agents through MCP tools.

The names below are the library: a registry and a manager that drive services through a ToolCaller of your own,
without the MCP face. They are imported when first used, because the bridge has to start in a tenth of a second.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ostler.engine.classes import ClassCatalogue, ClassEntry
    from ostler.engine.instance import ServiceInstance
    from ostler.engine.manager import ServiceManager
    from ostler.engine.protocols import StateChangeCallback, Store, ToolCaller
    from ostler.engine.registry import RegistryAdapter, ServiceRegistry
    from ostler.engine.service import BaseService, HealthChecker, Service, ServiceDataProvider, StateUpdater
    from ostler.engine.views import CreateRequest, OperationResult, ServiceFilter, ServiceView
    from ostler.model.errors import OstlerError
    from ostler.model.responses import ToolResponse
    from ostler.model.states import HealthStatus, ServiceState
    from ostler.rules.expectations import evaluate_health_check_expectation
    from ostler.rules.extraction import extract_from_response, process_tool_outputs
    from ostler.rules.manifests import load_manifests
    from ostler.rules.responses import normalise

__all__ = [
    "BaseService",
    "ClassCatalogue",
    "ClassEntry",
    "CreateRequest",
    "HealthChecker",
    "HealthStatus",
    "OperationResult",
    "OstlerError",
    "RegistryAdapter",
    "Service",
    "ServiceDataProvider",
    "ServiceFilter",
    "ServiceInstance",
    "ServiceManager",
    "ServiceRegistry",
    "ServiceState",
    "ServiceView",
    "StateChangeCallback",
    "StateUpdater",
    "Store",
    "ToolCaller",
    "ToolResponse",
    "evaluate_health_check_expectation",
    "extract_from_response",
    "load_manifests",
    "normalise",
    "process_tool_outputs",
]

_HOMES = {
    "engine.classes": ("ClassCatalogue", "ClassEntry"),
    "engine.instance": ("ServiceInstance",),
    "engine.manager": ("ServiceManager",),
    "engine.protocols": ("StateChangeCallback", "Store", "ToolCaller"),
    "engine.registry": ("RegistryAdapter", "ServiceRegistry"),
    "engine.service": ("BaseService", "HealthChecker", "Service", "ServiceDataProvider", "StateUpdater"),
    "engine.views": ("CreateRequest", "OperationResult", "ServiceFilter", "ServiceView"),
    "model.errors": ("OstlerError",),
    "model.responses": ("ToolResponse",),
    "model.states": ("HealthStatus", "ServiceState"),
    "rules.expectations": ("evaluate_health_check_expectation",),
    "rules.extraction": ("extract_from_response", "process_tool_outputs"),
    "rules.manifests": ("load_manifests",),
    "rules.responses": ("normalise",),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"ostler.{home}"), name)
    raise AttributeError(f"module 'ostler' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
