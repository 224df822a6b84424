"""Pages for machines that watch the server: whether it is ready, and its metrics."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ostler.adapters.extras import how_to_install
from ostler.adapters.stores.choice import WatchedStore
from ostler.adapters.telemetry.silent import Scrape, Telemetry
from ostler.engine.manager import ServiceManager

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""Paths that ask for no token and take any Host: what probes them knows neither, and they show nothing else."""

HOW_TO_KEEP: Final = (
    "no metrics are kept. Next: write 'prometheus = true' under [telemetry] in ostler.toml, and install the extra: "
    f"{how_to_install('telemetry')}\n"
)

logger = logging.getLogger(__name__)

Page: TypeAlias = Callable[[Request], Awaitable[Response]]


def metrics_page(scrape: Callable[[], Scrape] | None) -> Response:
    """Return the answer with the metrics that `scrape` returns; None: none are kept."""
    if scrape is None:
        return PlainTextResponse(HOW_TO_KEEP, 404)
    found = scrape()
    return Response(found.text, media_type=found.content_type)


class WatchPages(Struct, frozen=True):
    """`/readyz` and `/metrics` of one application."""

    manager: ServiceManager
    telemetry: Telemetry
    version: str
    store: WatchedStore | None = None

    async def ready(self, _request: Request) -> Response:
        """Answer whether operations are possible: restored services are verified, and the database is reachable."""
        status = {"status": "ready", "version": self.version} | ({} if self.store is None else {"role": "holder"})
        if not self.manager.recovered.is_set():
            status |= {"status": "starting", "reason": "services of the earlier run are still being verified"}
        elif self.store is not None and (trouble := self.store.trouble) is not None:
            logger.warning("not ready: %s", trouble)  # the page is open to everyone, and says no more than it must
            status |= {"status": "unavailable", "reason": "the database cannot be used now"}
        return JSONResponse(status, 200 if status["status"] == "ready" else 503)

    async def metrics(self, _request: Request) -> Response:
        """Answer the metrics in the format of Prometheus."""
        return metrics_page(self.telemetry.scrape)

    def by_path(self) -> dict[str, Page]:
        """Return the pages by their paths."""
        return {"/readyz": self.ready, "/metrics": self.metrics}
