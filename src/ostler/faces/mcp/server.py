"""Builds the MCP server over a running application."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import ServerMiddleware
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp_types import Icon, NotificationParams, ServerCapabilities

from ostler.adapters.serving.answers import Answer
from ostler.adapters.serving.known_roots import forget_roots
from ostler.engine.clock import SystemClock
from ostler.engine.protocols import Clock
from ostler.faces.bridge.version import VERSION
from ostler.faces.mcp.changes import ChangeFeed
from ostler.faces.mcp.channels import Channels
from ostler.faces.mcp.completions import Completions
from ostler.faces.mcp.legacy import LegacySubscriptions
from ostler.faces.mcp.lifespan import Lifespan, lifespan
from ostler.faces.mcp.prompts import Prompts
from ostler.faces.mcp.resources import Resources
from ostler.faces.mcp.sealing import SealedState
from ostler.faces.mcp.subscriptions import ListenHandler
from ostler.faces.mcp.surface import ApplicationLike
from ostler.faces.mcp.toolbox import Toolbox, Toolset, tools_of

if TYPE_CHECKING:
    from ostler.faces.muster.meta_toolbox import MusterToolbox

_FIXED_LISTS: tuple[CacheableMethod, ...] = (
    "tools/list",
    "prompts/list",
    "resources/templates/list",
    "server/discover",
)
"""What stays the same for as long as the server runs, so that clients may keep it."""

_AN_HOUR = 3_600_000

_ICON = Icon(
    src="data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAADAAAAAwAgMAAAAqbBEUAAAACVBMVEUAAAAdTon///9LB8EOAAAAAXRSTlMAQObYZgAAAJRJREFU"
    "eNqtksENgDAIRfHgCO7jCB5sDx2BfTqChzKlAVrbb2L0YA+kL9ACH4hoDnY2ouvuFK5DNHVYe5TGASwd9jcQcVDLIsUSucNdCknh"
    "qMAKpYJIjXPIsUHUEJZskPSxGYOs7gaWy4EdioOVwn/B+DUkvZUzFAotQHPYNggCUoGIXV4Q/uOwnqcNSwHrgos0rNgJ3MXZY6QU"
    "J5QAAAAASUVORK5CYII=",
    mime_type="image/png",
    sizes=["48x48"],
)
"""What clients show next to the name."""

APPS = "io.modelcontextprotocol/ui"
"""The extension MCP Apps: some tools name a page that clients may show with their answers."""

_INSTRUCTIONS = """\
Ostler starts, watches and stops services (a web server, a database, a port-forward), itself or through other MCP \
servers. Services outlive this chat; every client sees the same ones.

Usual way: service_list (what is there) and serviceclass_list (what can be created, with its arguments) → \
service_create → use the outputs in the answer, such as url → service_status when in doubt → service_stop, or \
service_delete when it is no longer needed.

finished=false: the work goes on; use service_wait. Calls can be repeated: starting what runs or stopping what is \
stopped changes nothing.

On an error read "Next:" in its text. "arg validation failed" lists every problem at once: correct all of them. \
After a failed start look at service_logs{events}. "not available (missing required tools: …)": an MCP server is \
missing or down{servers}. Unreachable is not unhealthy: the service may be well while its server cannot be asked.

Durations: 30s, 5m, 2h. Secrets are shown as ***{secrets}.\
"""


def instructions(toolset: Toolset) -> str:
    """Return the instructions for a client with these tools."""
    if toolset == "muster":
        from ostler.faces.muster.meta_toolbox import INSTRUCTIONS

        return INSTRUCTIONS
    if toolset == "core":
        return _INSTRUCTIONS.format(events="", servers="", secrets="")
    return _INSTRUCTIONS.format(
        events=" and service_events",
        servers="; see mcpserver_list",
        secrets="; service_secrets shows them when a person wants that",
    )


Look: TypeAlias = Callable[[str, Mapping[str, Any] | None], Awaitable[Answer | None]]
"""Answers a call by the name of its tool and its arguments, as `Toolbox.look` does."""


Change: TypeAlias = Callable[[str, Mapping[str, Any] | None, str, str], Awaitable[Answer]]
"""Answers a call by its tool, its arguments, and the name and the address of its client, as `Toolbox.change` does."""


class OstlerServer(Server[Lifespan]):
    """The low-level server, which says the same of itself in both eras: the list of resources can change, no other.

    Attributes:
        subscriptions: of the sessions of protocol 2025-11-25 and older; informed which of them have their stream open.
        look: answers calls of `toolbox.LOOKS` without the rest of the server; None if its middleware must see them.
        change: answers calls of `toolbox.CHANGES`, as `look` does.
        listening: opens streams of changes without the rest of the server; None if its middleware must see them.
    """

    subscriptions: LegacySubscriptions
    look: Look | None = None
    change: Change | None = None
    listening: ListenHandler | None = None

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        """Return what `initialize` answers."""
        return super().create_initialization_options(
            notification_options or NotificationOptions(resources_changed=True), experimental_capabilities, extensions
        )

    def get_capabilities(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
        *,
        protocol_version: str | None = None,
    ) -> ServerCapabilities:
        """Return what `initialize` and `server/discover` announce."""
        found = super().get_capabilities(
            notification_options, experimental_capabilities, extensions, protocol_version=protocol_version
        )
        never = {"list_changed": False}
        return found.model_copy(
            update={
                "tools": found.tools and found.tools.model_copy(update=never),
                "prompts": found.prompts and found.prompts.model_copy(update=never),
            }
        )


def build_server(
    app: ApplicationLike,
    toolset: Toolset = "full",
    *,
    clock: Clock | None = None,
    toolbox: Toolbox | None = None,
    middleware: Sequence[ServerMiddleware[Lifespan]] = (),
) -> OstlerServer:
    """Return an MCP server over `app`. One server serves any number of connections and sessions, of both eras.

    Args:
        app: the running application; it must outlive the server.
        toolset: `full`; `core` for clients with little room for tool descriptions; `muster` for those written for it.
        clock: wall time for the ages in answers.
        toolbox: has the tools of this toolset; None makes one.
        middleware: wraps the handling of each message, inside the SDK's own.
    """
    time = clock or SystemClock()
    feed = ChangeFeed(app.manager.events, app.classes)
    tools = toolbox or _toolbox(app, time, toolset)
    resources = Resources(app, time)
    legacy = LegacySubscriptions(feed, Channels(app), resources.meant_by)
    listening = ListenHandler(feed, resources.meant_by)
    prompts = Prompts({tool.name for tool in tools_of(toolset)})
    server = OstlerServer(
        "ostler",
        version=VERSION,
        title="Ostler",
        description="Starts, watches and stops services through the MCP tools you already have.",
        icons=[_ICON],
        instructions=instructions(toolset),
        lifespan=lifespan,
        get_tool_input_schema=_no_headers,
        cache_hints=dict.fromkeys(_FIXED_LISTS, CacheHint(ttl_ms=_AN_HOUR)),
        on_list_tools=tools.list_tools,
        on_call_tool=tools.call,
        on_list_resources=resources.list_resources,
        on_list_resource_templates=resources.list_templates,
        on_read_resource=resources.read,
        on_subscribe_resource=legacy.subscribe,
        on_unsubscribe_resource=legacy.unsubscribe,
        on_subscriptions_listen=listening,
        on_list_prompts=prompts.list_prompts,
        on_get_prompt=prompts.get_prompt,
        on_completion=Completions(app).complete,
    )
    server.middleware.extend(middleware)
    server.subscriptions = legacy
    if not middleware:
        server.listening = listening
        if isinstance(tools, Toolbox):
            server.look, server.change = tools.look, tools.change
    server.middleware.append(SealedState())
    if toolset != "muster":
        server.extensions = {APPS: {}}
    server.add_notification_handler("notifications/initialized", NotificationParams, legacy.initialized)
    server.add_notification_handler("notifications/roots/list_changed", NotificationParams, forget_roots)
    return server


def _no_headers(tool: str) -> None:
    """No argument of ours goes into a header too (`x-mcp-header`), so the SDK needs no schema to compare them.

    Without this it runs tools/list for every call with arguments (half the CPU of a status), and with the schema it
    walks through all of it (0.1 ms).
    """
    del tool


def _toolbox(app: ApplicationLike, clock: Clock, toolset: Toolset) -> "Toolbox | MusterToolbox":
    if toolset != "muster":
        return Toolbox(app, clock, toolset)
    from ostler.faces.muster.meta_toolbox import MusterToolbox

    return MusterToolbox(app, clock)
