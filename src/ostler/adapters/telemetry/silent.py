"""The parts of telemetry for an application without it: none of them does anything."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ostler.engine.protocols import Observer, Store, ToolProvider

if TYPE_CHECKING:
    from ostler.adapters.downstream.pool import DownstreamPool
    from ostler.engine.manager import ServiceManager


class Scrape(Struct, frozen=True):
    """What `/metrics` answers.

    Attributes:
        content_type: of the text.
        text: in the format of Prometheus.
    """

    content_type: str
    text: bytes


class Telemetry:
    """What follows one application. This one follows nothing; it is what a server without telemetry has.

    Attributes:
        observer: for the engine.
        middleware: for the MCP server.
        scrape: returns the metrics for Prometheus; None where they are not kept.
    """

    observer: Observer | None = None
    middleware: Sequence[Any] = ()
    scrape: Callable[[], Scrape] | None = None

    def tools(self, pool: "DownstreamPool") -> ToolProvider:
        """Return what the engine and clients call tools through."""
        return pool

    def store(self, store: Store) -> Store:
        """Return what the engine commits to."""
        return store

    def follow(self, manager: "ServiceManager", pool: "DownstreamPool") -> None:
        """Show what there is in the gauges, as long as this is open; report in an event what cannot be done."""
