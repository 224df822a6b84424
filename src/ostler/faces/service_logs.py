"""What a service printed, wherever that is kept: by its class's `logs` tool, or the stderr of a downstream server."""

import os
from dataclasses import replace
from pathlib import Path

import anyio.to_thread

from ostler.adapters.downstream.pool import DownstreamPool
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.manager import ServiceManager
from ostler.model.errors import NotFoundError, OperationError
from ostler.rules.text.log_pages import LogPage, LogRange, page_of

_LOG_TAIL_BYTES = 256 * 1024


async def service_logs(manager: ServiceManager, downstream: DownstreamPool, name: str, wanted: LogRange) -> LogPage:
    """Return the log lines of a service that are wanted, also of one that was removed within the last hour.

    Raises:
        NotFoundError: there is no such service.
        ArgumentError: the search or the cursor means nothing.
        OperationError: nothing can show its logs.
    """
    service = manager.registry.find(name)
    removed = manager.departed.find(name) if service is None else None
    if removed is not None:
        page = await removed.read_logs(wanted)
        return replace(page, source=f"{page.source}; service {removed.name!r} was removed")
    if service is None:
        raise NotFoundError("service", name, known=[each.name for each in manager.registry.get_all()])
    if isinstance(service, ServiceInstance):
        return await service.read_logs(wanted)
    log = downstream.snapshot(name).stderr_log if name in downstream.names() else None
    if log is None:
        raise OperationError(
            f"service {name!r} has no logs", service=name, next_actions=(f"service_get {name} shows its state",)
        )
    text = downstream.entry(name).mask_text(await anyio.to_thread.run_sync(_tail, log))
    return page_of(text.splitlines(), wanted, source=str(log))


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(file.tell() - _LOG_TAIL_BYTES, 0))
        return file.read().decode(errors="replace")
