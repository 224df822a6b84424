"""The real application as the server process hosts it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from ostler.adapters.config.paths import Paths
from ostler.faces.application import open_application
from ostler.faces.daemon.hosting import Hosted, HostedSource
from ostler.faces.mcp.server import build_server
from ostler.faces.mcp.toolbox import Toolset


def application_source(paths: Paths, *, toolset: Toolset = "full", stop_on_exit: bool = False) -> HostedSource:
    """Return what opens Ostler's application over the folders in `paths`.

    Args:
        paths: the configuration and the state folder.
        toolset: which of Ostler's tools clients see.
        stop_on_exit: stop every service when the server ends, in place of leaving persisted ones running.
    """

    @asynccontextmanager
    async def open_hosted() -> AsyncGenerator[Hosted]:
        async with open_application(paths, stop_on_exit=stop_on_exit) as app:
            yield Hosted(
                build_server(app, toolset),
                app.has_work,
                idle_exit=app.settings.idle_exit,
                shutdown_timeout=app.settings.shutdown_timeout,
            )

    return open_hosted
