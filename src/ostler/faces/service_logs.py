"""The log of a service: from its class's `logs` tool, or the stderr of a downstream server."""

import os
from pathlib import Path
from typing import Final, cast

import anyio.to_thread
from msgspec import Struct
from msgspec.structs import replace

from ostler.adapters.downstream.pool import DownstreamPool
from ostler.engine.instances.instance import ServiceInstance
from ostler.engine.management import Manager
from ostler.model.downstream_errors import DownstreamError
from ostler.model.errors import NotFoundError, OperationError, ToolFailedError
from ostler.model.json import JsonObject
from ostler.model.tool_names import PROCESS_SERVER
from ostler.rules.secrets.masking import without_likely_secrets
from ostler.rules.text.log_pages import LogPage, LogRange, page_of

_LOG_TAIL_BYTES: Final = 256 * 1024
_PROCESS_SECONDS: Final = 10.0
_KEYS_SHOWN: Final = 20


class ServiceLogs(Struct, frozen=True):
    """Shows the logs of services.

    Attributes:
        manager: knows the services.
        downstream: calls the process server, and knows where servers write.
        own_log: the log of this Ostler and its built-in server.
    """

    manager: Manager
    downstream: DownstreamPool
    own_log: Path

    async def read(self, name: str, wanted: LogRange) -> LogPage:
        """Return the log lines of a service that are wanted, also of one that was removed.

        Raises:
            NotFoundError: there is no such service, and no log of one.
            ArgumentError: the search or the cursor means nothing.
            OperationError: nothing can show its logs.
        """
        service = self.manager.registry.find(name)
        if isinstance(service, ServiceInstance):
            return await service.read_logs(wanted)
        if service is None:
            removed = self.manager.find_removed(name)
            if removed is not None:
                page = await _read_removed(removed, wanted)
                return replace(page, source=f"{page.source}; service {removed.name!r} was removed")
            return await self._left(name, wanted)
        log = self._server_log(name)
        if log is None:
            raise OperationError(
                f"service {name!r} has no logs", service=name, next_actions=(f"service_get {name} shows its state",)
            )
        if wanted.newer_than is not None:
            raise OperationError(
                f"the lines of {str(log)!r} have no times that are known",
                service=name,
                next_actions=("leave 'since' out",),
            )
        text = self.downstream.mask_text(name, await anyio.to_thread.run_sync(_tail, log))
        return page_of(text.splitlines(), wanted, source=str(log))

    def _server_log(self, name: str) -> Path | None:
        """Return where a downstream server writes; a built-in one writes where this Ostler does."""
        if name not in self.downstream.names():
            return None
        log = self.downstream.snapshot(name).stderr_log
        if log is None and name == PROCESS_SERVER and self.own_log.is_file():
            return self.own_log
        return log

    async def _left(self, name: str, wanted: LogRange) -> LogPage:
        """Return the lines of a process whose service was removed, as its log is kept for days.

        Raises:
            NotFoundError: there is none.
        """
        key = await self._left_key(name)
        answer = None
        if key is not None:
            facts = wanted.facts(tool_searches=True)
            asked: JsonObject = {"key": key, "lines": facts["lines"], "since": facts.get("since")}
            asked |= {"grep": facts.get("search"), "newerThan": facts.get("newerThan")}
            answer = await self._ask("logs", asked)
        if answer is None:
            self.manager.registry.get(name)  # says that there is no such service, and what is near
            raise NotFoundError("service", name, next_actions=("service_list shows the names",))
        lines = [without_likely_secrets(str(line)) for line in cast("list[object]", answer["lines"])]
        source = f"{PROCESS_SERVER}/logs; service {key!r} was removed"
        page = page_of(lines, wanted, source=source, tool_cursor=answer["cursor"])
        return replace(page, truncated=answer.get("truncated") is True)

    async def _left_key(self, name: str) -> str | None:
        """Return the key of the process of a removed service: its name, or the only full name that begins with it."""
        found = await self._ask("list", {"prefix": name, "state": "exited", "limit": _KEYS_SHOWN})
        processes = [] if found is None else cast("list[JsonObject]", found["processes"])
        registry = self.manager.registry  # what exists is not removed, and only its own log is masked with its secrets
        keys = [key for key in (str(each["key"]) for each in processes) if registry.find(key) is None]
        full = [key for key in keys if key.startswith(f"{name}.")]
        return name if name in keys else full[0] if len(full) == 1 else None

    async def _ask(self, tool: str, args: JsonObject) -> JsonObject | None:
        try:
            answer = await self.downstream.call_tool(f"{PROCESS_SERVER}/{tool}", args, timeout=_PROCESS_SECONDS)
        except (DownstreamError, NotFoundError):
            return None
        value = answer.value
        return cast("JsonObject", value) if isinstance(value, dict) and not answer.is_error else None


async def _read_removed(removed: ServiceInstance, wanted: LogRange) -> LogPage:
    """Return the log of a service that was removed.

    Raises:
        OperationError: nothing has it any more, if it ever had one.
    """
    try:
        return await removed.read_logs(wanted)
    except ToolFailedError as error:
        name = removed.name
        raise OperationError(
            f"service {name!r} was removed, and nothing shows what it printed, if it began: {error.summary}",
            service=name,
            next_actions=(f"service_events {name} shows what happened to it",),
        ) from error


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(file.tell() - _LOG_TAIL_BYTES, 0))
        return file.read().decode(errors="replace")
