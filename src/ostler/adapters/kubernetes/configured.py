"""The static services of `services/*.yaml`: in the registry, in the event log, and in step with the files."""

import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import anyio
import anyio.to_thread

from ostler.adapters.config.static_files import StaticFiles, StaticSnapshot
from ostler.adapters.kubernetes.cluster_services import StaticPool
from ostler.adapters.kubernetes.reconnecting import SupervisedService
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import Clock
from ostler.model.errors import AlreadyExistsError, Finding
from ostler.model.events import EventKind
from ostler.model.json import JsonObject

logger = logging.getLogger(__name__)


class ConfiguredServices(anyio.AsyncContextManagerMixin):
    """Reads the files, runs what they define and reports what happens. Enter it before the manager, load it after.

    Args:
        folder: `services/` in the configuration folder; it need not exist.
        manager: whose registry and event log the services are in.
        environment: variables that kubeconfigs and their plugins see.
        clock: wall time.
        report: called with findings that are new.
    """

    def __init__(
        self,
        folder: Path,
        manager: ServiceManager,
        environment: Mapping[str, str],
        clock: Clock,
        *,
        report: Callable[[Iterable[Finding]], None],
    ) -> None:
        self.folder = folder
        self.findings: tuple[Finding, ...] = ()
        self._files = StaticFiles(folder)
        self._manager = manager
        self._report = report
        self._pool = StaticPool(environment, clock, added=self._register, removed=self._unregister)
        self._snapshot = StaticSnapshot({}, ())
        self._taken: list[Finding] = []
        self._reloading = anyio.Lock()

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        async with self._pool:
            yield self

    @property
    def has_work(self) -> bool:
        """Whether a tunnel is held open, so that the process must stay."""
        return self._pool.has_work

    def places(self) -> JsonObject:
        """Return where each service in force is defined, as `file:line`."""
        entries = self._snapshot.entries
        return {name: f"{entries[name].file}:{entries[name].line}" for name in self._pool.names() if name in entries}

    async def load(self) -> StaticSnapshot:
        """Return what the files say now; `apply` makes it so."""
        return await anyio.to_thread.run_sync(self._files.reload)

    async def apply(self, snapshot: StaticSnapshot) -> None:
        """Run what `snapshot` defines and nothing else; waits only if something is to be removed."""
        self._taken = []
        self._snapshot = snapshot
        await self._pool.apply([loaded.service for loaded in snapshot.entries.values()])
        before = set(self.findings)
        self.findings = (*snapshot.findings, *self._taken)
        self._report(finding for finding in self.findings if finding not in before)

    async def reload(self) -> None:
        """Read the files again; a broken one keeps its last good version, and what is wrong with it is reported."""
        async with self._reloading:
            old = {name: loaded.service for name, loaded in self._snapshot.entries.items()}
            snapshot = await self.load()
            await self.apply(snapshot)
            events = self._manager.events
            for name, loaded in snapshot.entries.items():
                if name not in old:
                    events.append(EventKind.SERVICE_CREATED, name, f"defined in {loaded.file}:{loaded.line}")
                elif old[name] != loaded.service:
                    events.append(EventKind.SERVER_CHANGED, name, f"its definition in {loaded.file} changed")

    def _register(self, service: SupervisedService) -> bool:
        try:
            self._manager.registry.register(service)
        except AlreadyExistsError:
            loaded = self._snapshot.entries[service.name]
            holder = self._manager.registry.get(service.name).service_type
            self._taken.append(
                Finding(
                    f"there is another service {service.name!r} (a {holder}), which stays",
                    loaded.file,
                    loaded.line,
                    rule="name-taken",
                    path="metadata.name",
                    fix="rename this one",
                )
            )
            return False
        return True

    def _unregister(self, service: SupervisedService) -> None:
        self._manager.registry.unregister(service.name)
