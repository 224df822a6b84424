"""Whether there is telemetry; without it nothing more is loaded."""

import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

from opentelemetry.trace import get_tracer_provider

from ostler.adapters.telemetry.silent import Telemetry
from ostler.adapters.telemetry.wanted import Wanted, is_set_up
from ostler.model.settings import Settings


@asynccontextmanager
async def open_telemetry(
    settings: Settings, environ: Mapping[str, str], *, version: str, tools: frozenset[str]
) -> AsyncGenerator[Telemetry]:
    """Open what settings and variables ask for; leaving exports what is left, within a few seconds.

    Args:
        settings: `telemetry` and `log` of them count.
        environ: the `OTEL_*` variables.
        version: of Ostler, as exported.
        tools: the names of Ostler's own tools.
    """
    wanted = Wanted.read(settings.telemetry, environ)
    has_ids = settings.log.format == "json"
    if not (
        wanted.traces or wanted.metrics or wanted.unknown or has_ids or is_set_up(get_tracer_provider()) or _measures()
    ):
        yield Telemetry()
        return
    from ostler.adapters.telemetry.live import open_live  # noqa: PLC0415 (only where there is telemetry)

    async with open_live(
        wanted, version=version, tools=tools, system="postgresql" if settings.store_url else "sqlite"
    ) as telemetry:
        yield telemetry


def _measures() -> bool:
    """Whether the program around this has set up metrics: it has loaded their API, or names what provides them."""
    if "opentelemetry.metrics" not in sys.modules and "OTEL_PYTHON_METER_PROVIDER" not in os.environ:
        return False
    from opentelemetry.metrics import get_meter_provider  # noqa: PLC0415 (loading it takes a quarter of a MiB)

    return is_set_up(get_meter_provider())
