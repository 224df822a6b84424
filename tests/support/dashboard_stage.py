"""A server with the dashboard over the real engine, and a real browser in front of it."""

import shutil
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.support.ledger_app import LedgerApplication, ledger, quiet
from tests.support.world import World

from ostler.engine.clock import SystemClock
from ostler.engine.services.service import BaseService
from ostler.engine.services.views import CreateRequest, OperationRequest
from ostler.faces.daemon.http import HttpSettings, serving_http
from ostler.faces.dashboard.codes import OneTimeCodes
from ostler.faces.mcp.server import build_server
from ostler.model.records import OperationKind
from ostler.model.states import Transition

TOKEN = "a-secret-of-some-length"
_PATIENCE = 60_000
"""Milliseconds: a busy machine is slow."""

expect.set_options(timeout=_PATIENCE)


class Thing(BaseService):
    """A static service that does nothing."""

    async def start(self) -> None:
        self.report(Transition.START_REQUESTED)

    async def stop(self) -> None:
        pass

    async def restart(self) -> None:
        pass


@dataclass(frozen=True)
class Stage:
    """One server and one browser for all tests; each has a page and services of its own."""

    portal: BlockingPortal
    app: LedgerApplication
    url: str
    codes: OneTimeCodes
    browser: Browser

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call an async function in the server's loop."""
        return self.portal.call(function, *args)

    def create(self, name: str, **more: Any) -> None:
        """Create and start a service of the ledger."""

        async def make() -> None:
            await self.app.manager.create(CreateRequest("basic", name, **more))

        self.run(make)

    def operate(self, name: str, kind: OperationKind) -> None:
        async def do() -> None:
            await self.app.manager.operate(name, OperationRequest(kind))

        self.run(do)

    def register(self, *services: BaseService) -> None:
        async def put() -> None:
            for service in services:
                self.app.manager.registry.register(service)

        self.run(put)

    def unregister(self, *names: str) -> None:
        async def take() -> None:
            for name in names:
                self.app.manager.registry.unregister(name)

        self.run(take)

    @contextmanager
    def page(self, path: str = "", **context: Any) -> Generator[Page]:
        """Open the dashboard."""
        with self.watched_page(**context) as page:
            page.goto(f"{self.url}/{path or '#code=' + self.codes.make()}")
            yield page
            assert page.title() == "Ostler"

    @contextmanager
    def watched_page(self, **context: Any) -> Generator[Page]:
        """Open a page, and see that the browser found nothing to complain about."""
        complaints: list[str] = []
        browsing = self.browser.new_context(viewport={"width": 1200, "height": 700}, **context)
        try:
            page = browsing.new_page()
            page.set_default_timeout(_PATIENCE)
            page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            yield page
        finally:
            browsing.close()
        assert complaints == []


@asynccontextmanager
async def served() -> AsyncGenerator[tuple[str, LedgerApplication, OneTimeCodes]]:
    codes = OneTimeCodes(TOKEN)
    async with ledger(World(), quiet()) as app:
        server = build_server(app, clock=SystemClock())
        settings = HttpSettings("127.0.0.1", 0, TOKEN)
        async with serving_http(
            lambda _toolset, _principal: server, settings, version="1", toolsets=("full",), codes=codes
        ) as url:
            yield url.removesuffix("/mcp"), app, codes


@contextmanager
def open_stage() -> Generator[Stage]:
    """Open server and browser."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(served()) as (url, app, codes),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield Stage(portal, app, url, codes, browser)
        browser.close()
