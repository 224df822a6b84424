"""CPU and memory of services: of those that the built-in process server runs, and of downstream servers."""

from collections.abc import Iterable, Mapping, Sequence

from ostler.adapters.downstream.service import McpServerService
from ostler.adapters.process.meter import Measured, Meter
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.management import Manager
from ostler.engine.protocols import Activity
from ostler.engine.services.service import Service
from ostler.model.tool_names import PROCESS_SERVER


class ServiceUsages:
    """Measures what services use.

    Args:
        manager: knows the services.
        meter: measures the processes that the built-in process server runs.
    """

    def __init__(self, manager: Manager, meter: Meter) -> None:
        self._manager = manager
        self._meter = meter

    def __repr__(self) -> str:
        return f"ServiceUsages({self._manager!r})"

    async def activity(self, names: Sequence[str]) -> Mapping[str, Activity]:
        """Return what the services `names` do, by name, as far as the process server runs them."""
        keys = {name: key for name in names if (key := self._key_of(self._manager.registry.find(name))) is not None}
        connections = await self._meter.connections(keys.values())
        measured = await self._meter.measure()  # by the look that found the connections
        return {
            name: Activity(measured[key].usage.cpu_seconds, connections[key])
            for name, key in keys.items()
            if key in measured and key in connections
        }

    async def of(self, names: Iterable[str]) -> Mapping[str, Measured]:
        """Return what the services `names` use, by name, as measured within the last second.

        What runs elsewhere, or does not run, is not in it.
        """
        keys: dict[str, str] = {}
        pids: dict[str, int] = {}
        for name in names:
            service = self._manager.registry.find(name)
            if (key := self._key_of(service)) is not None:
                keys[name] = key
            elif isinstance(service, McpServerService) and (pid := service.pid) is not None:
                pids[name] = pid
        found: dict[str, Measured] = {}
        if keys:
            measured = await self._meter.measure()
            found |= {name: measured[key] for name, key in keys.items() if key in measured}
        if pids:
            others = await self._meter.measure_others(pids.values())
            found |= {name: others[pid] for name, pid in pids.items() if pid in others}
        return found

    def measures(self, service: Service) -> bool:
        """Whether it is known what `service` uses, as its processes run on this machine."""
        return self._key_of(service) is not None or (isinstance(service, McpServerService) and service.pid is not None)

    def _key_of(self, service: Service | None) -> str | None:
        """Return the key of the process that a service runs as; None: it is no such service, or is not up."""
        if not isinstance(service, ServiceInstance) or not service.state.is_up:
            return None
        key = (service.health_check.arguments(PROCESS_SERVER) or {}).get("key")
        return key if isinstance(key, str) else None
