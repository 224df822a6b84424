"""Downstream servers that clients add, change and remove while Ostler runs."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import anyio
import anyio.to_thread

from ostler.adapters.config.server_files import ServerFiles
from ostler.adapters.downstream.pool import DownstreamPool
from ostler.engine.manager import ServiceManager
from ostler.faces.server_entries import server_entry
from ostler.model.downstream_errors import ServerUnavailableError
from ostler.model.errors import AlreadyExistsError, ConflictError, Finding
from ostler.model.json import JsonObject

CONNECT_WAIT = 20.0
"""Seconds that an answer waits for a new server to be connected; it continues to connect after that."""

Reload = Callable[[frozenset[str]], Awaitable[None]]
"""Brings the files in force; the names are servers that were removed on purpose."""


class ServerChanges:
    """Writes entries to the file for them, and brings each in force before it answers."""

    def __init__(self, files: ServerFiles, pool: DownstreamPool, manager: ServiceManager, reload: Reload) -> None:
        self._files = files
        self._pool = pool
        self._manager = manager
        self._reload = reload
        self._changing = anyio.Lock()

    def __repr__(self) -> str:
        return f"ServerChanges({self._files!r})"

    async def check(self, name: str, entry: JsonObject) -> tuple[Finding, ...]:
        """Return what is wrong with an entry, and what is worth knowing about it. Nothing is written."""
        loaded = await anyio.to_thread.run_sync(self._files.check, name, entry)
        return loaded.findings

    async def add(self, name: str, entry: JsonObject) -> JsonObject:
        """Write a new entry, connect its server, and return it as `server_entry` does.

        Raises:
            AlreadyExistsError: a server or a service has the name.
            ManifestError: the entry is wrong.
            StoreError: the file cannot be written.
        """
        if name not in self._pool.names() and self._manager.registry.find(name) is not None:
            raise AlreadyExistsError(
                f"a service is called {name!r}, and a server would have the same name in the registry",
                service=name,
                next_actions=("choose another name",),
            )
        async with self._changing:
            await anyio.to_thread.run_sync(self._files.add, name, entry)
            await self._reload(frozenset())
        return await self._shown(name)

    async def change(self, name: str, changes: JsonObject) -> JsonObject:
        """Replace some keys of an entry, reconnect its server, and return it.

        Raises:
            NotFoundError: no file has one.
            ConflictError: it is in a file that a person wrote.
            ManifestError: the entry would be wrong.
            StoreError: the file cannot be written.
        """
        async with self._changing:
            await anyio.to_thread.run_sync(self._files.change, name, changes)
            await self._reload(frozenset())
        return await self._shown(name)

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Remove an entry and disconnect its server.

        Raises:
            NotFoundError: no file has one.
            ConflictError: it is in a file that a person wrote; or services use it, and `force` was not given.
            StoreError: the file cannot be written.
        """
        await anyio.to_thread.run_sync(self._files.entry, name)
        users = self._users(name)
        if users and not force:
            raise ConflictError(
                f"MCP server {name!r} drives {', '.join(users[:10])}",
                next_actions=("delete these services first", "or set force; nothing can stop them then"),
            )
        async with self._changing:
            await anyio.to_thread.run_sync(self._files.remove, name)
            await self._reload(frozenset({name}))

    def _users(self, name: str) -> list[str]:
        classes = [entry.name for entry in self._manager.classes.get_all() if name in entry.service_class.servers()]
        return sorted(service for one in classes for service in self._manager.instances_of(one))

    async def _shown(self, name: str) -> JsonObject:
        connected = partial(self._pool.wait_until_connected, name, CONNECT_WAIT, through_failures=False)
        with suppress(ServerUnavailableError):  # its state and the reason are in the answer
            await connected()
        return server_entry(self._pool, name)
