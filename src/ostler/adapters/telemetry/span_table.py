"""Every span there is, as a table: docs/observability.md is made from it, and tests compare it with what is emitted."""

from typing import Final, Literal

from msgspec import Struct

SDK: Final = "mcp-python-sdk"
OSTLER: Final = "ostler"


class SpanForm(Struct, frozen=True):
    """One kind of span.

    Attributes:
        name: with what differs in capitals.
        kind: OpenTelemetry's.
        scope: the instrumentation scope that emits it: Ostler's own, or that of MCP's SDK.
        meaning: one sentence for people.
        attributes: that it may have.
    """

    name: str
    kind: Literal["server", "client", "internal"]
    scope: str
    meaning: str
    attributes: tuple[str, ...]


SPANS: Final = (
    SpanForm(
        "tools/call TOOL",
        "server",
        SDK,
        "A client's call of one of Ostler's tools; other requests are named by their method. Its parent is the span "
        "that the client names in `_meta.traceparent`.",
        (
            "mcp.method.name",
            "mcp.protocol.version",
            "jsonrpc.request.id",
            "gen_ai.operation.name",
            "gen_ai.tool.name",
            "error.type",
            "rpc.response.status_code",
        ),
    ),
    SpanForm(
        "KIND CLASS",
        "internal",
        OSTLER,
        "An operation on a service, such as `start web`. Its parent is the request or the operation that asked for it. "
        "One that comes later on its own, such as a restart by policy, begins a trace and links to what led to it.",
        (
            "ostler.operation.id",
            "ostler.operation.kind",
            "ostler.operation.reason",
            "ostler.operation.outcome",
            "ostler.service.name",
            "ostler.service.class",
            "error.type",
        ),
    ),
    SpanForm(
        "execute_tool TOOL",
        "internal",
        OSTLER,
        "A tool call to a downstream server, waiting for a connection or a free slot included.",
        (
            "gen_ai.operation.name",
            "gen_ai.tool.name",
            "ostler.server.name",
            "mcp.protocol.version",
            "network.transport",
            "server.address",
            "server.port",
            "error.type",
        ),
    ),
    SpanForm(
        "MCP send tools/call TOOL",
        "client",
        SDK,
        "The message itself. Its context goes to the server in `_meta.traceparent` and `_meta.tracestate`.",
        ("mcp.method.name", "jsonrpc.request.id", "error.type", "rpc.response.status_code"),
    ),
    SpanForm(
        "health_check",
        "internal",
        OSTLER,
        "A scheduled health check; only with `telemetry.healthChecks`, since there are many.",
        ("ostler.service.name",),
    ),
)
"""All of them."""
