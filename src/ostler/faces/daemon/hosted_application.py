"""The real application as the server process hosts it."""

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from ostler.adapters.config.paths import Paths
from ostler.adapters.environments import LoginShell
from ostler.adapters.stores.standing_by import Standby
from ostler.engine.clock import SystemClock
from ostler.faces.assembly import open_application
from ostler.faces.bridge.version import VERSION
from ostler.faces.configuration import audit_trail
from ostler.faces.daemon.hosting import Hosted, HostedSource
from ostler.faces.daemon.lean_imports import import_beside
from ostler.faces.mcp.toolbox import TOOLSETS, Toolbox, Toolset
from ostler.model.access import LOCAL_PRINCIPAL, Principal, policy_of
from ostler.model.errors import StoreError
from ostler.model.events import EventKind

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

    from ostler.adapters.access.audit_log import AuditTrail
    from ostler.faces.access.principals import Principals
    from ostler.faces.application import Application
    from ostler.faces.daemon.forwarding import Feed
    from ostler.faces.daemon.http import HttpSettings
    from ostler.faces.daemon.http_pages import Page


def application_source(
    paths: Paths,
    *,
    toolset: Toolset = "full",
    stop_on_exit: bool = False,
    background: bool = False,
    standby: Standby | None = None,
) -> HostedSource:
    """Return a function that opens Ostler's application with the folders in `paths`.

    Args:
        paths: the configuration and the state folder.
        toolset: which of Ostler's tools clients see that do not choose themselves.
        stop_on_exit: stop every service when the server ends, instead of leaving persisted ones running.
        background: whoever needed the server first has started it: what no one asks for gets a login shell's
            environment instead of theirs.
        standby: wait while another server holds the database; it sees who does.
    """

    @asynccontextmanager
    async def open_hosted() -> AsyncGenerator[Hosted]:
        login = LoginShell(os.environ) if background else None
        async with open_application(paths, stop_on_exit=stop_on_exit, programs=login, standby=standby) as app:
            trail = audit_trail(paths, app.settings)
            starts = {} if trail is None else await _recent_starts(paths)
            servers = _Servers(app, toolset, trail, starts)
            if not background:
                servers.local(toolset)  # ready before the first client asks
            yield Hosted(
                servers.of,
                app.has_work,
                idle_exit=app.settings.idle_exit,
                shutdown_timeout=app.settings.shutdown_timeout,
                joined=app.client_joined,
                present=app.projects.clients.connected,
                toolsets=TOOLSETS,
                pages=partial(_pages, app),
                calls=None if app.telemetry.middleware else servers.toolbox,
                prepare=partial(import_beside, "ostler.faces.mcp.server"),
                policy=lambda name: policy_of(app.settings.principals, name),
                announce=None if app.watched_store is None else app.watched_store.announce,
                feed=None if app.watched_store is None else partial(_feed, app, toolset),
                warn=lambda text: app.manager.events.append(EventKind.WARNING, message=text),
                session_key=None if app.watched_store is None else await app.watched_store.shared_key(),
            )

    return open_hosted


class _Servers:
    """The MCP servers over one application: one for each toolset of the local person, and those of other principals.

    Attributes:
        toolbox: what the command line calls past the SDK; None for muster's tools.
    """

    def __init__(
        self, app: "Application", toolset: Toolset, trail: "AuditTrail | None", starts: Mapping[str, list[float]]
    ) -> None:
        self._app = app
        self._toolset: Toolset = toolset
        self._trail = trail
        self._starts = starts
        self._local_app = app if trail is None else self._principals.application(LOCAL_PRINCIPAL)
        self._local: dict[Toolset, Server[Any]] = {}
        self.toolbox = None if toolset == "muster" else Toolbox(self._local_app, SystemClock(), toolset)

    def of(self, wanted: str, principal: Principal) -> "Server[Any]":
        """Return the server for a principal with a toolset; with the default one, if there is none of that name."""
        names: dict[str, Toolset] = {name: name for name in TOOLSETS}
        toolset = names.get(wanted, self._toolset)
        if principal == LOCAL_PRINCIPAL:
            return self.local(toolset)
        from ostler.faces.mcp.server import build_server

        guarded = self._principals.application(principal)
        return build_server(guarded, toolset, middleware=self._app.telemetry.middleware)

    def local(self, toolset: Toolset) -> "Server[Any]":
        """Return the server for the person whose server this is."""
        if toolset not in self._local:
            from ostler.faces.mcp.server import build_server

            toolbox, middleware = self.toolbox if toolset == self._toolset else None, self._app.telemetry.middleware
            self._local[toolset] = build_server(self._local_app, toolset, toolbox=toolbox, middleware=middleware)
        return self._local[toolset]

    @cached_property
    def _principals(self) -> "Principals":
        from ostler.faces.access.principals import Principals  # a server for one person needs no guard

        return Principals(self._app, lambda: self._app.settings, self._trail, starts=self._starts)


def _pages(app: "Application") -> "Mapping[str, Page]":
    from ostler.faces.daemon.http_pages import WatchPages

    return WatchPages(app.manager, app.telemetry, VERSION, app.watched_store).by_path()


@asynccontextmanager
async def _feed(app: "Application", toolset: Toolset, http: "HttpSettings") -> AsyncGenerator["Feed"]:
    """Publish what reading tools show to standby servers."""
    from ostler.adapters.replicas.check_desk import CheckDesk
    from ostler.adapters.replicas.publisher import Publisher  # most servers have no others that stand by
    from ostler.faces.replicas.access_digest import AccessDigest
    from ostler.faces.replicas.feed_server import FeedServer
    from ostler.faces.replicas.shared_servers import SharedServers

    store = app.watched_store
    assert store is not None, "only a database can be watched by others"

    def is_holder() -> bool:
        try:
            store.confirm()
        except StoreError:
            return False
        return True

    key = await store.shared_key()
    publisher = Publisher(
        app.manager,
        app.downstream,
        SystemClock(),
        is_measured=app.usages.measures,
        access=AccessDigest(key, lambda: app.settings, http, toolset),
        is_holder=is_holder,
    )
    desk = CheckDesk(SharedServers(app.downstream, app.pool, key), publisher.has_lease)
    async with FeedServer(publisher, desk, key, VERSION).open() as feed:
        app.manager.health.others = desk
        try:
            yield feed
        finally:
            app.manager.health.others = None


async def _recent_starts(paths: Paths) -> dict[str, list[float]]:
    from ostler.adapters.access.audit_log import recent_starts  # most servers keep no such log
    from ostler.faces.access.acting import HOUR

    return await anyio.to_thread.run_sync(recent_starts, paths.audit_dir, HOUR)
