"""What a service printed, wherever that is kept: by its class's `logs` tool, or the stderr of a downstream server."""

import os
from pathlib import Path

import anyio.to_thread

from ostler.adapters.downstream.pool import DownstreamPool
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.manager import ServiceManager
from ostler.model.errors import NotFoundError, OperationError
from ostler.model.json import JsonObject

_LOG_TAIL_BYTES = 256 * 1024


async def service_logs(manager: ServiceManager, downstream: DownstreamPool, name: str, lines: int) -> JsonObject:
    """Return the newest `lines` log lines of a service, also of one that was removed within the last hour.

    Raises:
        NotFoundError: there is no such service.
        OperationError: nothing can show its logs.
    """
    service = manager.registry.find(name)
    removed = manager.departed.find(name) if service is None else None
    if removed is not None:
        text, source = await removed.read_logs()
        return {"lines": text.splitlines()[-lines:], "source": f"{source}; service {removed.name!r} was removed"}
    if service is None:
        raise NotFoundError("service", name, known=[each.name for each in manager.registry.get_all()])
    if isinstance(service, ServiceInstance):
        text, source = await service.read_logs()
        return {"lines": text.splitlines()[-lines:], "source": source}
    log = downstream.snapshot(name).stderr_log if name in downstream.names() else None
    if log is None:
        raise OperationError(
            f"service {name!r} has no logs", service=name, next_actions=(f"service_get {name} shows its state",)
        )
    text = downstream.entry(name).mask_text(await anyio.to_thread.run_sync(_tail, log))
    return {"lines": text.splitlines()[-lines:], "source": str(log)}


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(file.tell() - _LOG_TAIL_BYTES, 0))
        return file.read().decode(errors="replace")
