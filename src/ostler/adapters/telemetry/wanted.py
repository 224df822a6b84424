"""What to export, as `ostler.toml` and OpenTelemetry's variables say."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from ostler.model.settings import TelemetrySettings

OTLP: Final = "otlp"
PROMETHEUS: Final = "prometheus"
CONSOLE: Final = "console"

_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"


class Wanted(Struct, frozen=True):
    """What to export.

    Attributes:
        traces: the exporters of traces.
        metrics: the exporters of metrics.
        endpoint: the base address of the OTLP receiver; empty: what the variables say.
        checks: trace scheduled health checks as well.
        unknown: exporters that are asked for and that there are none of, in words.
    """

    traces: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    endpoint: str = ""
    checks: bool = False
    unknown: tuple[str, ...] = ()

    @classmethod
    def read(cls, settings: TelemetrySettings, environ: Mapping[str, str]) -> "Wanted":
        """Return what settings and variables say together: a key of the settings wins over its variable."""
        if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            return cls()
        endpoint = settings.otlp_endpoint or ""
        unknown: list[str] = []

        def exporters(signal: str, known: tuple[str, ...]) -> list[str]:
            has_endpoint = endpoint or environ.get(_ENDPOINT) or environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
            named = environ.get(f"OTEL_{signal}_EXPORTER", "").strip()
            names = [name.strip() for name in named.split(",")] if named else [OTLP] if has_endpoint else []
            choices = (*known, "none")
            unknown.extend(
                f"OTEL_{signal}_EXPORTER names {name!r}; known are {', '.join(choices)}"
                for name in names
                if name not in choices
            )
            return [name for name in dict.fromkeys(names) if name in known]

        traces = exporters("TRACES", (OTLP, CONSOLE))
        metrics = exporters("METRICS", (OTLP, CONSOLE, PROMETHEUS))
        if settings.prometheus and PROMETHEUS not in metrics:
            metrics.append(PROMETHEUS)
        return cls(tuple(traces), tuple(metrics), endpoint, settings.health_checks, tuple(unknown))


def is_set_up(provider: object) -> bool:
    """Whether a provider of OpenTelemetry's is more than its API: this process, or the program around it, set it up."""
    return not type(provider).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics"))
