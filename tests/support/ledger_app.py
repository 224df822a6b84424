"""An application over the ledger of `tests/support/world.py`: the real engine, in virtual time, without files.

What the MCP face needs besides the engine is as small as it can be; `tests/faces/test_mcp_application.py` drives the
face over the full application.
"""

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from opentelemetry import trace
from tests.support.world import EPOCH, World, manifest

from ostler.adapters.config.mcp_json import load_mcp_json
from ostler.adapters.process.meter import Meter
from ostler.adapters.process.roster import Roster
from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.classes.catalogue import ClassCatalogue, ClassEntry
from ostler.engine.classes.tool_fit import ClassReview
from ostler.engine.clock import LoopClock
from ostler.engine.events.notices import NoticeBoard
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import ServerStatus, ToolInfo
from ostler.faces.hosted_projects import HostedProjects
from ostler.faces.mcp.server import OstlerServer, build_server
from ostler.faces.mcp.toolbox import Toolset
from ostler.faces.service_usage import ServiceUsages
from ostler.model.downstream_errors import ToolDeniedError, ToolNotFoundError
from ostler.model.errors import AlreadyExistsError, ConflictError, Finding, NotFoundError, OstlerError
from ostler.model.responses import ToolResponse
from ostler.model.settings import PolicySettings
from ostler.rules.reading import load_manifests
from ostler.rules.text.log_pages import LogPage, LogRange, page_of

SCHEMA = {"type": "object", "properties": {"name": {}, "id": {}, "size": {}, "password": {}}}
TOOLS = ("start", "stop", "restart", "status", "find", "health")


class LedgerTools:
    """The ledger's tools as a downstream server `w`; `w/denied` is forbidden."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.connected = True
        self.listed: Sequence[ToolInfo] = [
            ToolInfo("w", name, f"{name} a resource of the ledger", SCHEMA) for name in sorted(TOOLS)
        ]
        self._callbacks: list[Callable[[str], None]] = []

    async def call_tool(
        self, tool: str, args: Mapping[str, Any], *, timeout: float | None = None, progress: Any = None
    ) -> ToolResponse:
        if tool == "w/denied":
            raise ToolDeniedError(f"tool {tool!r} is denied by the policy of this Ostler", tool=tool)
        if not tool.startswith("w/"):
            raise ToolNotFoundError(f"tool {tool!r} not found", tool=tool, next_actions=("tool_list shows the tools",))
        if progress is not None and tool == "w/status":
            await progress(1.0, 2.0, "halfway")
        return await self.world.call_tool(tool, args, timeout=timeout)

    def server_status(self, server: str) -> ServerStatus:
        known = server in {"w", *(tool.server for tool in self.listed)}
        return ServerStatus(known, known and self.connected, "" if self.connected else "gone", tools_known=known)

    def find_tool(self, tool: str) -> ToolInfo | None:
        return next((info for info in self.list_tools() if info.qualified == tool), None)

    def list_tools(self, server: str | None = None) -> Sequence[ToolInfo]:
        return [tool for tool in self.listed if server in (None, tool.server)]

    def tell(self, server: str) -> None:
        """Tell the subscribers that the tools of `server` changed."""
        for callback in list(self._callbacks):
            callback(server)

    def on_change(self, callback: Callable[[str], None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)


class LedgerServers:
    """The entries that clients added; their servers are never connected."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, Any]] = {}

    async def check(self, name: str, entry: dict[str, Any]) -> Sequence[Finding]:
        return load_mcp_json(json.dumps({"mcpServers": {name: entry}}), {}).findings

    async def add(self, name: str, entry: dict[str, Any]) -> dict[str, Any]:
        if name in self.entries:
            raise AlreadyExistsError(f"MCP server {name!r} already exists")
        return self._put(name, entry)

    def _put(self, name: str, entry: dict[str, Any]) -> dict[str, Any]:
        self.entries[name] = entry
        return {"name": name, "state": "disconnected", "entry": entry}

    async def change(self, name: str, changes: dict[str, Any]) -> dict[str, Any]:
        before = self.entries[name]
        options = {**before.get("ostler", {}), **changes.get("ostler", {})}
        return self._put(name, {**before, **changes, "ostler": options})

    async def remove(self, name: str, *, force: bool = False) -> None:
        del self.entries[name]


class LedgerApplication:
    """See the module."""

    def __init__(self, manager: ServiceManager, pool: LedgerTools) -> None:
        self.manager = manager
        self.pool = pool
        self.review = ClassReview(manager.classes, pool, manager.events)
        self.projects = HostedProjects(manager, dict)
        self.usages = ServiceUsages(manager, Meter(Roster(Path())))
        self.notices = NoticeBoard(manager.events)
        self.logs: dict[str, list[str]] = {}
        self.denied: set[str] = set()
        self.confirmed: set[str] = set()
        self.cancelled_create = "continue"
        self.recorded: dict[str, dict[str, tuple[Any, ...]]] = {}
        self.server_changes = LedgerServers()
        self.reloads = 0

    @property
    def classes(self) -> ClassCatalogue:
        return self.manager.classes

    async def create_class(self, text: str) -> ClassEntry:
        entry = _entry(text)
        if entry.name in {known.name for known in self.classes.get_all()}:
            raise AlreadyExistsError(f"ServiceClass {entry.name!r} already exists")
        self.classes.add(entry)
        return entry

    async def update_class(self, name: str, text: str) -> ClassEntry:
        self.classes.get(name)
        entry = _entry(text)
        self.classes.add(entry)
        return entry

    async def delete_class(self, name: str, *, force: bool = False) -> None:
        self.classes.get(name)
        if self.manager.instances_of(name) and not force:
            raise ConflictError(f"class {name!r} has instances: {', '.join(self.manager.instances_of(name))}")
        self.classes.replace([entry for entry in self.classes.get_all() if entry.name != name])

    @property
    def policy(self) -> PolicySettings:
        return PolicySettings.model_validate(
            {"confirmTools": tuple(self.confirmed), "cancelledCreate": self.cancelled_create}
        )

    def denies(self, tool: str) -> bool:
        return tool in self.denied

    async def hide_secrets(self, server: str, response: ToolResponse) -> ToolResponse:
        return response

    async def note_denied(self, tool: str, refusal: OstlerError) -> None:
        pass

    def recorded_answers(self, server: str) -> dict[str, tuple[Any, ...]]:
        return self.recorded.get(server, {})

    def server_entries(self) -> list[dict[str, Any]]:
        return [self.server_entry(name) for name in ("w", *self.server_changes.entries)]

    def server_file_findings(self) -> list[str]:
        return []

    def server_entry(self, name: str) -> dict[str, Any]:
        if name in self.server_changes.entries:
            entry = self.server_changes.entries[name]
            loaded = load_mcp_json(json.dumps({"mcpServers": {name: entry}}), {}).entries[name]
            return {"name": name, "transport": loaded.transport, "state": "stopped", "entry": loaded.masked()}
        if name != "w":
            raise NotFoundError("MCP server", name, known=["w"])
        return {"name": "w", "state": "connected" if self.pool.connected else "disconnected", "tools": len(TOOLS)}

    def effective_config(self) -> dict[str, Any]:
        return {"settings": {"http": {"token": "***"}}}

    async def reload_configuration(self) -> None:
        self.reloads += 1

    async def service_logs(self, name: str, wanted: LogRange) -> LogPage:
        self.manager.registry.get(name)
        return page_of(self.logs.get(name, []), wanted, source="ledger")


def _entry(text: str) -> ClassEntry:
    loaded = load_manifests(text, "manifest")[0]
    return ClassEntry.of(loaded, origin="user")


def quiet(**changes: Any) -> ClassEntry:
    """Return the ledger's class with its first health check so late that no answer depends on it."""
    return manifest(**{"healthCheck__initialDelay": "1h", **changes})


@asynccontextmanager
async def ledger(world: World, *classes: ClassEntry, mark: str = "") -> AsyncGenerator[LedgerApplication]:
    """Run the engine over `world`."""
    tools = LedgerTools(world)
    manager = ServiceManager(tools, MemoryStore(), tools=tools, clock=LoopClock(EPOCH), mark=mark)
    for entry in classes or (quiet(),):
        manager.classes.add(entry)
    async with manager:
        yield LedgerApplication(manager, tools)


def server_over(app: LedgerApplication, toolset: Toolset = "full") -> OstlerServer:
    """Return the MCP server over `app`, with its clock."""
    return build_server(app, toolset, clock=LoopClock(EPOCH))


def text_of(result: Any) -> str:
    """Return a tool result's text."""
    return "\n".join(block.text for block in result.content if block.type == "text")


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool that must succeed, and return its structured content (checked against the schema by the client)."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    return result.structured_content


async def refusal(client: Client, tool: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    """Call a tool that must fail; return its text and the error's facts."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, text_of(result)
    return text_of(result), result.structured_content["error"]


class StoppedClock:
    """The same time whenever it is asked, so that two answers have the same ages."""

    def now(self) -> Any:
        return EPOCH + timedelta(hours=1)

    def elapsed(self) -> float:
        return 3600.0


def let_no_one_follow_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider of traces that a test before set in this process stays in force; from here on there is none."""
    none = trace.ProxyTracerProvider()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: none)
