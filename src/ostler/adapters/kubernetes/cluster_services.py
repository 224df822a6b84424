"""All Kubernetes services of the configuration, each with its owner task, kept in step with the files."""

import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final, Self

import anyio
import anyio.abc

from ostler.adapters.kubernetes.reconnecting import SupervisedService, World
from ostler.engine.protocols import Clock
from ostler.model.states import ServiceState
from ostler.model.statics import KubeConnection, PortForward, StaticService

CLOSE_TIMEOUT: Final = 8.0
"""Seconds for all services to end in order at shutdown."""

logger = logging.getLogger(__name__)


class StaticPool(anyio.AsyncContextManagerMixin):
    """Runs static services; `async with pool:` is their life.

    Args:
        environment: variables that kubeconfigs and their plugins see.
        clock: wall time.
        added: called with each new service, before it runs; False keeps it from running.
        removed: called with each service that was taken away, after it has ended.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        clock: Clock,
        *,
        added: Callable[[SupervisedService], bool],
        removed: Callable[[SupervisedService], None],
    ) -> None:
        self._world = World(environment, clock)
        self._added = added
        self._removed = removed
        self._services: dict[str, SupervisedService] = {}
        self._tasks: anyio.abc.TaskGroup | None = None

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                yield self
            finally:
                self._tasks = None
                with anyio.move_on_after(CLOSE_TIMEOUT, shield=True) as deadline:
                    for service in self._services.values():
                        service.close()
                    for service in self._services.values():
                        await service.ended.wait()
                if deadline.cancelled_caught:
                    late = [name for name, one in self._services.items() if not one.ended.is_set()]
                    logger.warning("services did not end within %g s: %s", CLOSE_TIMEOUT, ", ".join(late))
                tasks.cancel_scope.cancel()

    @property
    def has_work(self) -> bool:
        """Whether a tunnel is held open, or sought, so that the process must stay; a hopeless one does not count."""
        return any(
            isinstance(one.definition, PortForward) and one.is_wanted and one.state is not ServiceState.FAILED
            for one in self._services.values()
        )

    def names(self) -> list[str]:
        """Return the names of the services that run, sorted."""
        return sorted(self._services)

    async def apply(self, definitions: Iterable[StaticService]) -> list[str]:
        """Make `definitions` the configuration; return the names of the services that came, changed or went.

        A new service starts if its `autoStart` says so; a changed one starts again if it was up, or wanted to be.
        """
        defined = {definition.name: definition for definition in definitions}
        changed = {
            name: service.is_wanted
            for name, service in self._services.items()
            if service.definition != defined.get(name)
        }
        for name in changed:
            await self._remove(name, is_replaced=name in defined)
        added = [
            name
            for name, definition in defined.items()
            if name not in self._services and self._add(definition, wanted=changed.get(name))
        ]
        return sorted({*changed, *added})

    def _add(self, definition: StaticService, *, wanted: bool | None) -> bool:
        assert self._tasks is not None
        service: SupervisedService
        if isinstance(definition, KubeConnection):
            from ostler.adapters.kubernetes.kube_connection import KubeConnectionService  # noqa: PLC0415 (few have one)

            service = KubeConnectionService(definition, self._world, wanted=wanted)
        else:
            from ostler.adapters.kubernetes.port_forward import PortForwardService  # noqa: PLC0415 (few have one)

            service = PortForwardService(definition, self._world, wanted=wanted)
        if not self._added(service):
            return False
        self._services[definition.name] = service
        self._tasks.start_soon(service.run, name=f"{service.service_type} {service.name}")
        return True

    async def _remove(self, name: str, *, is_replaced: bool) -> None:
        service = self._services.pop(name)
        service.is_replaced = is_replaced
        service.close()
        await service.ended.wait()
        self._removed(service)
