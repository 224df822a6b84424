"""A ToolCaller over a ledger of external resources, with faults on demand: real behaviour, no network.

`w/start` makes a resource (by name), `w/stop` removes it, `w/status`, `w/find` and `w/list` look. Faults are queued
per tool: `world.faults["w/start"].append(Hang())`.
"""

import time
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import yaml

from ostler.adapters.stores.memory import MemoryStore
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.clock import LoopClock
from ostler.engine.manager import ServiceManager
from ostler.engine.protocols import ServerStatus, ToolInfo
from ostler.model.downstream_errors import (
    CALLERS_LIMIT,
    ConnectionLostError,
    ServerUnavailableError,
    ToolTimeoutError,
)
from ostler.model.responses import CHECK_FIRST, ToolResponse
from ostler.rules.answers.responses import normalise
from ostler.rules.reading import load_manifests

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

BASIC = """
apiVersion: ostler/v1
kind: ServiceClass
metadata: {name: basic}
spec:
  description: a resource in the ledger
  args:
    size: {type: integer, default: 1, minimum: 1}
    password: {type: string, secret: true, default: ""}
  serviceConfig:
    lifecycleTools:
      start:
        tool: w/start
        args: {name: "{{ name }}", size: "{{ size }}", password: "{{ password }}"}
        outputs: {id: id}
      stop:
        tool: w/stop
        args: {id: "{{ start.id }}"}
      ready:
        tool: w/status
        args: {name: "{{ name }}"}
        expect: {jsonPath: {state: running}}
        interval: 1s
      healthCheck:
        tool: w/health
        args: {name: "{{ name }}"}
        expect: {jsonPath: {ok: true}}
      status:
        tool: w/status
        args: {name: "{{ name }}"}
        expect: {jsonPath: {state: running}}
      find:
        tool: w/find
        args: {name: "{{ name }}"}
        expect: {jsonPath: {found: true}}
        outputs: {id: id}
    healthCheck: {interval: 10s, failureThreshold: 3}
    timeout: {create: 60s, delete: 30s}
    outputs:
      url: "ledger://{{ start.id }}/{{ size }}"
"""


def variant(text: str = BASIC, **replacements: str) -> str:
    """Return `text` with each `old -> new` of `replacements` (keys use `__` for spaces)."""
    for old, new in replacements.items():
        text = text.replace(old.replace("__", " "), new)
    return text


def manifest(text: str = BASIC, **changes: Any) -> ClassEntry:
    """Load one class; `changes` are merged into its serviceConfig (dotted keys allowed). Equal ones are loaded once."""
    key = (text, repr(changes))
    if key not in _LOADED:
        _LOADED[key] = _load(text, changes)
    return _LOADED[key]


def named(name: str, **changes: Any) -> ClassEntry:
    """Load the basic class by another name, with `changes` as in `manifest`."""
    return manifest(BASIC.replace("{name: basic}", f"{{name: {name}}}"), **changes)


_LOADED: dict[tuple[str, str], ClassEntry] = {}


def _load(text: str, changes: Mapping[str, Any]) -> ClassEntry:
    value = yaml.load(text, yaml.CSafeLoader)
    for path, change in changes.items():
        target: Any = value["spec"]["serviceConfig"]
        *parents, last = path.split("__")
        for parent in parents:
            target = target.setdefault(parent, {})
        if change is None:
            target.pop(last, None)
        else:
            target[last] = change
    loaded = load_manifests(yaml.dump(value, Dumper=yaml.CSafeDumper), "test.yaml")[0]
    return ClassEntry.of(loaded)


@dataclass
class Fail:
    """The tool answers with isError; `acts` says whether it does its work all the same."""

    text: str = "it broke"
    acts: bool = False


@dataclass
class Answer:
    """The tool answers with this value instead of acting."""

    value: Any


@dataclass
class Hang:
    """The tool does not answer; `acts` says whether it does its work all the same."""

    acts: bool = False


@dataclass
class Lost:
    """The connection is lost while the call is under way."""

    acts: bool = False


@dataclass
class Down:
    """The server is not connected."""


@dataclass
class Slow:
    """The tool answers after some seconds."""

    seconds: float


@dataclass(frozen=True)
class Held:
    """The tool answers once a test lets it."""

    goes_on: anyio.Event


Fault = Fail | Answer | Hang | Lost | Down | Slow | Held


@dataclass
class World:
    """The ledger and the tools over it."""

    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: dict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))
    always: dict[str, Fault] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    under_way: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    overlaps: list[str] = field(default_factory=list)
    healthy: bool = True
    ready_after: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    """How long the start of the resource of a name takes."""
    lingers: float = 0.0
    """Seconds for which a resource is still there when its stop has been answered."""
    lingers_as: str = "running"
    """What `w/status` says of it meanwhile."""
    is_dead: bool = False
    """Whether the server behind the tools is away; `die` ends the calls that are under way."""
    _serial: int = 0
    _names: dict[str, str] = field(default_factory=dict)
    _scopes: set[anyio.CancelScope] = field(default_factory=set)

    def die(self) -> None:
        """Let the server die: what is under way is lost, what comes is not sent."""
        self.is_dead = True
        for scope in self._scopes:
            scope.cancel()

    def forget(self) -> None:
        """Be another process of the server: nothing is there, and what comes is numbered again."""
        self.resources.clear()
        self._serial = 0

    def tools_called(self, *tools: str) -> list[str]:
        """Return the names of the tools called, in order; only `tools` when given."""
        return [tool for tool, _ in self.calls if not tools or tool in tools]

    async def call_tool(
        self, tool: str, args: Mapping[str, Any], *, timeout: float | None = None, progress: Any = None
    ) -> ToolResponse:
        """Call a ledger tool, after the faults that are queued for it."""
        self.calls.append((tool, dict(args)))
        key = str(args.get("name") or self._names.get(str(args.get("id")), ""))
        if tool in ("w/start", "w/stop", "w/restart"):
            self.under_way[key] += 1
            if self.under_way[key] > 1:
                self.overlaps.append(key)
        began = anyio.current_time()
        try:
            value, is_error = await self._reach(tool, dict(args), timeout or 60.0)
        finally:
            if tool in ("w/start", "w/stop", "w/restart"):
                self.under_way[key] -= 1
        text = value if isinstance(value, str) else None
        content = [{"type": "text", "text": text}] if text is not None else []
        return normalise(
            content, None if text is not None else value, is_error=is_error, duration=anyio.current_time() - began
        )

    async def _reach(self, tool: str, args: dict[str, Any], timeout: float) -> tuple[Any, bool]:
        """Act, unless the server is dead, or dies meanwhile."""
        if self.is_dead:
            raise ServerUnavailableError("downstream server 'w' is not connected")
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                return await self._act(tool, args, timeout)
            finally:
                self._scopes.discard(scope)
        raise ConnectionLostError(f"the server died during {tool!r}")

    async def _act(self, tool: str, args: dict[str, Any], timeout: float) -> tuple[Any, bool]:
        queue = self.faults[tool]
        fault = queue.popleft() if queue else self.always.get(tool)
        match fault:
            case Fail(text, acts):
                if acts:
                    self._do(tool, args)
                return text, True
            case Answer(value):
                return value, False
            case Hang(acts):
                if acts:
                    self._do(tool, args)
                await anyio.sleep(timeout)
                raise ToolTimeoutError(
                    f"tool {tool!r} did not answer within {timeout:g}s",
                    next_actions=(CHECK_FIRST, f"if it needs longer, raise {CALLERS_LIMIT} ({timeout:g} s)"),
                )
            case Lost(acts):
                if acts:
                    self._do(tool, args)
                raise ConnectionLostError(f"the connection ended during {tool!r}", next_actions=(CHECK_FIRST,))
            case Down():
                raise ServerUnavailableError("downstream server 'w' is not connected")
            case Slow(seconds):
                await anyio.sleep(seconds)
            case Held(goes_on):
                await goes_on.wait()
            case None:
                await anyio.sleep(self.seconds.get(str(args.get("name")), 0.0) if tool == "w/start" else 0.0)
        return self._do(tool, args)

    def _do(self, tool: str, args: dict[str, Any]) -> tuple[Any, bool]:  # noqa: PLR0911 (one arm a tool)
        match tool:
            case "w/start":
                self._serial += 1
                made: dict[str, Any] = {"id": f"r{self._serial}", "since": anyio.current_time(), **args}
                self.resources[made["id"]] = made
                self._names[made["id"]] = args["name"]
                return {"id": made["id"]}, False
            case "w/stop":
                leaving = self._present().get(args["id"])
                if leaving is None or "gone_at" in leaving:
                    return f"no resource {args['id']!r}", True
                leaving["gone_at"] = anyio.current_time() + self.lingers
                self._present()
                return {"stopped": True}, False
            case "w/restart":
                old = self.resources.pop(args["id"])
                self._serial += 1
                self._names[f"r{self._serial}"] = old["name"]
                self.resources[f"r{self._serial}"] = {**old, "id": f"r{self._serial}"}
                return {"id": f"r{self._serial}"}, False
            case "w/status":
                found = self._named(args["name"])
                ready = found is not None and anyio.current_time() - found["since"] >= self.ready_after
                state = "running" if ready else "absent" if found is None else "booting"
                return {"state": self.lingers_as if found is not None and "gone_at" in found else state}, False
            case "w/find":
                found = self._named(args["name"])
                return {"found": found is not None, "id": found["id"] if found else None}, False
            case "w/list":
                return {"items": [{**r, "state": "running"} for r in self.resources.values()]}, False
            case "w/health":
                found = self._named(args["name"])
                return {"ok": found is not None and self.healthy}, False
            case _:
                return f"unknown tool {tool}", True

    def _named(self, name: str) -> dict[str, Any] | None:
        return next((r for r in self._present().values() if r["name"] == name), None)

    def _present(self) -> dict[str, dict[str, Any]]:
        """Return the resources that are there, without those whose time is over."""
        now = anyio.current_time()
        for key in [key for key, made in self.resources.items() if made.get("gone_at", now + 1) <= now]:
            del self.resources[key]
        return self.resources


@asynccontextmanager
async def running(
    world: World, *classes: ClassEntry, store: MemoryStore | None = None, **options: Any
) -> AsyncGenerator[ServiceManager]:
    """Run a ServiceManager over `world`."""
    manager = ServiceManager(world, store or MemoryStore(), clock=LoopClock(EPOCH), **options)
    for entry in classes or (manifest(),):
        manager.classes.add(entry)
    async with manager:
        yield manager


async def until(condition: Callable[[], object], *, within: float | None = None) -> None:
    """Let time pass until `condition` holds; after ten seconds look less often, a long wait is thousands of looks.

    Without `within` it gives up when real time has passed, too: the virtual clock jumps while a thread reads a file.
    """
    began, really_began = anyio.current_time(), time.monotonic()
    while not condition():
        waited = anyio.current_time() - began
        if waited > (within or 600.0) and (within or time.monotonic() - really_began > 20):
            raise TimeoutError
        await anyio.sleep(0.02 if waited < 10 else 0.2)


class JumpingClock(LoopClock):
    """A wall clock that someone sets."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


class Servers:
    """A ToolDirectory whose servers a test connects and cuts off."""

    def __init__(self, *names: str) -> None:
        self.connected = dict.fromkeys(names or ("w",), True)
        self.process = "1"
        self.outlives = False
        """Which process of the servers it is."""
        self._callbacks: list[Callable[[str], None]] = []

    def server_status(self, server: str) -> ServerStatus:
        """Return what was set."""
        known = server in self.connected
        up = self.connected.get(server, False)
        return ServerStatus(
            known,
            up,
            "" if up else f"server {server!r} is away",
            tools_known=False,
            outlives=self.outlives,
            process=self.process,
        )

    def find_tool(self, tool: str) -> ToolInfo | None:
        """Return any tool of a connected server."""
        server, _, name = tool.partition("/")
        return ToolInfo(server, name, "", {}) if self.connected.get(server) else None

    def list_tools(self, server: str | None = None) -> list[ToolInfo]:
        """Return nothing: no one has asked for a list."""
        del server
        return []

    def on_change(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Keep the callback."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def set(self, server: str, *, connected: bool) -> None:
        """Connect a server, or cut it off."""
        self.connected[server] = connected
        for callback in list(self._callbacks):
            callback(server)
