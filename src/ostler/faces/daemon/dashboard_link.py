"""The dashboard of a server without --http: served on loopback from its first use on."""

import logging
import secrets
from functools import cached_property
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup, TaskStatus

from ostler.faces.daemon.hosting import Hosted
from ostler.faces.daemon.lean_imports import import_beside

if TYPE_CHECKING:
    import uvicorn

    from ostler.faces.dashboard.codes import OneTimeCodes

logger = logging.getLogger(__name__)


class DashboardLink:
    """Makes links to the dashboard, each good for one use; the page and its token live as long as the server."""

    def __init__(self, hosted: Hosted, version: str, tasks: TaskGroup) -> None:
        self._hosted = hosted
        self._version = version
        self._tasks = tasks
        self._token = secrets.token_urlsafe(32)
        self._url = ""
        self._opening = anyio.Lock()
        self._web: uvicorn.Server | None = None

    def __repr__(self) -> str:
        return f"DashboardLink({self._url or 'not served yet'})"

    @cached_property
    def _codes(self) -> "OneTimeCodes":
        from ostler.faces.dashboard.codes import OneTimeCodes  # few look at it

        return OneTimeCodes(self._token)

    @property
    def viewers(self) -> int:
        """Connections of browsers that are open."""
        return 0 if self._web is None else len(self._web.server_state.connections)

    async def make(self) -> str:
        """Return a new link.

        Raises:
            HttpSettingsError: no port of loopback can be listened on.
        """
        async with self._opening:
            if not self._url:
                self._url = (await self._tasks.start(self._serve)).removesuffix("/mcp")
        return f"{self._url}/#code={self._codes.make()}"

    async def _serve(self, *, task_status: TaskStatus[str]) -> None:
        await import_beside("ostler.faces.daemon.http")  # few look at it
        from ostler.faces.daemon.http import HttpSettings, serving_http

        settings = HttpSettings("127.0.0.1", 0, self._token)
        async with serving_http(
            lambda toolset, _: self._hosted.local_server(toolset),
            settings,
            version=self._version,
            toolsets=self._hosted.toolsets,
            codes=self._codes,
            started=self._started,
        ) as url:
            logger.info("the dashboard is served at %s", url.removesuffix("/mcp"))
            task_status.started(url)
            await anyio.sleep_forever()

    def _started(self, web: "uvicorn.Server") -> None:
        self._web = web
