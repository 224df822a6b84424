"""Every metric there is, as a table: its name by the conventions, what it counts, and by which attributes.

MCP's metrics are named by OpenTelemetry's conventions for the Model Context Protocol, the store's by those for
databases; what those do not know begins with `ostler.`.
"""

from typing import Final, Literal

from msgspec import Struct
from opentelemetry.metrics import Counter, Histogram, Meter, UpDownCounter

_MCP_SECONDS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_DATABASE_SECONDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
_LATE_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metric(Struct, frozen=True):
    """One metric.

    Attributes:
        name: as it is exported.
        kind: what it is to OpenTelemetry.
        unit: in the code of units that OpenTelemetry uses.
        meaning: one sentence for people.
        attributes: what its values are told apart by.
        bounds: the limits of a histogram's buckets.
    """

    name: str
    kind: Literal["histogram", "counter", "updowncounter", "gauge"]
    unit: str
    meaning: str
    attributes: tuple[str, ...]
    bounds: tuple[float, ...] = ()


SERVED: Final = Metric(
    "mcp.server.operation.duration",
    "histogram",
    "s",
    "Requests and notifications of clients, from their receipt to their answer.",
    (
        "mcp.method.name",
        "mcp.protocol.version",
        "network.transport",
        "gen_ai.operation.name",
        "gen_ai.tool.name",
        "error.type",
        "rpc.response.status_code",
    ),
    _MCP_SECONDS,
)
CALLED: Final = Metric(
    "mcp.client.operation.duration",
    "histogram",
    "s",
    "Tool calls to downstream servers, waiting for a connection or a free slot included.",
    (
        "mcp.method.name",
        "mcp.protocol.version",
        "network.transport",
        "server.address",
        "server.port",
        "gen_ai.operation.name",
        "gen_ai.tool.name",
        "ostler.server.name",
        "error.type",
    ),
    _MCP_SECONDS,
)
SESSIONS: Final = Metric(
    "mcp.client.session.duration",
    "histogram",
    "s",
    "Connections to downstream servers, from connected to lost or stopped.",
    ("mcp.protocol.version", "network.transport", "ostler.server.name", "error.type"),
    _MCP_SECONDS,
)
OPERATIONS: Final = Metric(
    "ostler.operation.duration",
    "histogram",
    "s",
    "Operations on services, from their beginning to their end.",
    ("ostler.operation.kind", "ostler.operation.outcome", "ostler.service.class", "error.type"),
    _MCP_SECONDS,
)
UNDER_WAY: Final = Metric(
    "ostler.operation.active",
    "updowncounter",
    "{operation}",
    "Operations under way.",
    ("ostler.operation.kind",),
)
RESTARTS: Final = Metric(
    "ostler.service.restarts",
    "counter",
    "{restart}",
    "Restarts of services that were carried out, and whether the restart policy or a request wanted them.",
    ("ostler.restart.cause", "ostler.operation.outcome", "ostler.service.class"),
)
LATENESS: Final = Metric(
    "ostler.health_check.lateness",
    "histogram",
    "s",
    "How long after its time each scheduled health check began.",
    (),
    _LATE_SECONDS,
)
COMMITS: Final = Metric(
    "db.client.operation.duration",
    "histogram",
    "s",
    "Durable commits to the store, as the engine waits for them.",
    ("db.system.name", "db.operation.name", "error.type"),
    _DATABASE_SECONDS,
)
SERVICES: Final = Metric(
    "ostler.service.count",
    "gauge",
    "{service}",
    "Services by their current state, health and type.",
    ("ostler.service.state", "ostler.service.health", "ostler.service.type"),
)
SERVERS: Final = Metric(
    "ostler.server.status",
    "gauge",
    "{server}",
    "1 for the state that each downstream server is in now.",
    ("ostler.server.name", "ostler.server.state"),
)

METRICS: Final = (SERVED, CALLED, SESSIONS, OPERATIONS, UNDER_WAY, RESTARTS, LATENESS, COMMITS, SERVICES, SERVERS)
"""All of a server's own."""

SHARED_CHECKS: Final = Metric(
    "ostler.health_check.shared",
    "counter",
    "{check}",
    "Health checks that the server which works asked others to make: made, unanswered, refuted (it found the service "
    "well itself), refused (other settings).",
    ("ostler.check.outcome",),
)
STANDBY_REQUESTS: Final = Metric(
    "ostler.standby.requests",
    "counter",
    "{request}",
    "Requests of clients to a server that stands by: answered, or passed on and why; aged are those of the latter that "
    "no server answered.",
    ("ostler.standby.outcome", "ostler.standby.reason"),
)
STANDBY_CHECKS: Final = Metric(
    "ostler.standby.checks",
    "counter",
    "{check}",
    "Health checks that a server that stands by was asked for: answered, failed, or refused (other settings).",
    ("ostler.check.outcome",),
)
STANDBY_AGE: Final = Metric(
    "ostler.standby.copy.age", "gauge", "s", "How long ago the copy of a server that stands by was renewed.", ()
)
STANDBY_LEASE: Final = Metric(
    "ostler.standby.lease", "gauge", "1", "1 while a server that stands by answers reads, else 0.", ()
)

STANDBY_METRICS: Final = (SHARED_CHECKS, STANDBY_REQUESTS, STANDBY_CHECKS, STANDBY_AGE, STANDBY_LEASE)
"""Those of servers that share a database."""


class Instruments(Struct, frozen=True):
    """What measurements are given to."""

    served: Histogram
    called: Histogram
    sessions: Histogram
    operations: Histogram
    under_way: UpDownCounter
    restarts: Counter
    lateness: Histogram
    commits: Histogram

    @classmethod
    def of(cls, meter: Meter) -> "Instruments":
        """Return those of `meter`."""
        return cls(
            _histogram(meter, SERVED),
            _histogram(meter, CALLED),
            _histogram(meter, SESSIONS),
            _histogram(meter, OPERATIONS),
            meter.create_up_down_counter(UNDER_WAY.name, UNDER_WAY.unit, UNDER_WAY.meaning),
            meter.create_counter(RESTARTS.name, RESTARTS.unit, RESTARTS.meaning),
            _histogram(meter, LATENESS),
            _histogram(meter, COMMITS),
        )


def _histogram(meter: Meter, metric: Metric) -> Histogram:
    return meter.create_histogram(
        metric.name, metric.unit, metric.meaning, explicit_bucket_boundaries_advisory=metric.bounds
    )
