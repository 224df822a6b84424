"""Resources: services, their outputs, events and logs, classes, and the overview; with templates and paging."""

import json
from typing import TYPE_CHECKING, assert_never

from mcp.server import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from msgspec.structs import replace

from ostler.adapters.serving.answers import clipped, error_json
from ostler.adapters.serving.table import refuse_cursor
from ostler.engine.protocols import Clock
from ostler.faces.client_facts import current_client
from ostler.faces.mcp import shapes
from ostler.faces.mcp.addresses import GRAPH, SERVICES, Address, class_uri, read_uri, service_uri, uri_of
from ostler.faces.mcp.legacy import RESOURCE_NOT_FOUND
from ostler.faces.mcp.lifespan import Lifespan
from ostler.faces.mcp.paging import page
from ostler.faces.mcp.service_tools import read_service
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.errors import ArgumentError, NotFoundError, OstlerError
from ostler.model.json import JsonObject, sendable
from ostler.rules.text.log_pages import LogRange

if TYPE_CHECKING:
    from ostler.faces.dashboard.snapshot import Snapshots

PAGE_SIZE = 200
MAX_EVENTS = 100
MAX_LOG_LINES = 500
JSON = "application/json"
YAML = "application/yaml"
PLAIN = "text/plain"
APP = "text/html;profile=mcp-app"
"""A page that clients show in a frame (MCP Apps)."""

TEMPLATES = (
    ("service://{name}", "service", "A service: state, health, args, outputs", JSON),
    ("service://{name}/outputs", "service-outputs", "A service's outputs", JSON),
    ("service://{name}/events", "service-events", "What happened to a service", JSON),
    ("service://{name}/logs", "service-logs", "A service's newest log lines", PLAIN),
    ("serviceclass://{name}", "serviceclass", "A ServiceClass's manifest", YAML),
)


class Resources:
    """Lists and reads resources."""

    def __init__(self, app: ApplicationLike, clock: Clock) -> None:
        self._app = app
        self._clock = clock
        self._snapshots: Snapshots | None = None

    async def list_resources(
        self, context: ServerRequestContext[Lifespan], params: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        """List the overview, services and classes, a page at a time."""
        del context
        entries = [
            Resource(uri=SERVICES, name="services", title="All services", description="All services", mime_type=JSON),
            Resource(
                uri=GRAPH,
                name="graph",
                title="Dependencies of services",
                description="Which service depends on which",
                mime_type=JSON,
            ),
        ]
        entries += [
            Resource(
                uri=service_uri(service.name),
                name=service.name,
                title=f"Service {service.name}",
                description=f"{service.class_name or service.service_type} service",
                mime_type=JSON,
            )
            for service in self._app.manager.listed()
        ]
        entries += [
            Resource(
                uri=class_uri(entry.name),
                name=entry.name,
                title=f"Class {entry.name}",
                description=clipped(entry.service_class.spec.description or "ServiceClass", 200),
                mime_type=YAML,
            )
            for entry in self._app.classes.get_all()
        ]
        entries.sort(key=lambda resource: resource.uri)
        try:
            shown, cursor = page(
                entries, lambda resource: resource.uri, cursor=params.cursor if params else None, limit=PAGE_SIZE
            )
        except ArgumentError as error:
            raise MCPError(INVALID_PARAMS, str(error)) from None
        return ListResourcesResult(resources=shown, next_cursor=cursor)

    async def list_templates(
        self, context: ServerRequestContext[Lifespan], params: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        """List the URI templates."""
        del context
        refuse_cursor(params)
        return ListResourceTemplatesResult(
            resource_templates=[
                ResourceTemplate(
                    uri_template=uri,
                    name=name,
                    title=name.replace("-", " ").capitalize(),
                    description=description,
                    mime_type=mime_type,
                )
                for uri, name, description, mime_type in TEMPLATES
            ]
        )

    async def read(
        self, context: ServerRequestContext[Lifespan], params: ReadResourceRequestParams
    ) -> ReadResourceResult:
        """Read one resource.

        Raises:
            MCPError: there is no such resource, or it cannot be read now.
        """
        uri = str(params.uri)
        try:
            text, mime_type = await self._read(self._in_scope(_known(uri)))
        except NotFoundError as error:
            modern = context.protocol_version in MODERN_PROTOCOL_VERSIONS
            code = INVALID_PARAMS if modern else RESOURCE_NOT_FOUND
            raise MCPError(code, str(error), data={"uri": uri}) from None
        except OstlerError as error:
            raise MCPError(INTERNAL_ERROR, str(error), data={"uri": uri, "error": error_json(error)}) from None
        return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type=mime_type, text=sendable(text))])

    def meant_by(self, uri: str) -> str | None:
        """Return the URI of the resource that the client means by `uri`, or None when it is none of ours."""
        address = read_uri(uri)
        return None if address is None else uri_of(self._in_scope(address), uri)

    def _in_scope(self, address: Address) -> Address:
        """Return the address with the full name of the service that a short one means in the client's folder."""
        folder = current_client().directory
        if not folder or not address.name or address.part == "class":
            return address
        return replace(address, name=self._app.projects.full_name(address.name, folder))

    async def _read(self, address: Address) -> tuple[str, str]:
        """Return a resource's text and its MIME type."""
        name = address.name
        match address.part:
            case "logs":
                page = await self._app.service_logs(name, LogRange(lines=MAX_LOG_LINES))
                return "\n".join(page.lines), PLAIN
            case "class":
                return self._app.classes.get(name).text, YAML
            case "service":
                value = await read_service(self._app, name, self._clock)
            case "outputs":
                value = dict(self._app.manager.view(name).outputs)
            case "events":
                value = self._events(name)
            case "services":
                listed = self._app.manager.listed()
                value = {"services": [shapes.brief(one) for one in listed], "total": len(listed)}
            case "graph":
                value = await self._graph()
            case "dashboard":
                return json.dumps(await self._dashboard(address.since), default=str, ensure_ascii=False), JSON
            case "page":
                from ostler.faces.dashboard.document import page as dashboard_page  # few clients show it

                return dashboard_page().html, APP
            case _:
                assert_never(address.part)
        return json.dumps(value, indent=2, default=str, ensure_ascii=False), JSON

    async def _dashboard(self, since: tuple[int, int] | None) -> JsonObject:
        if self._snapshots is None:
            from ostler.faces.dashboard.snapshot import Snapshots

            self._snapshots = Snapshots(self._app, self._clock)
        return await (self._snapshots.since(*since) if since else self._snapshots.whole())

    def _events(self, name: str) -> JsonObject:
        self._app.manager.view(name)  # says that there is no such service
        log = self._app.manager.events
        found = log.read(service=name, limit=MAX_EVENTS, newest=True)
        return {"events": [shapes.event(item) for item in found.events], "cursor": found.next_cursor}

    async def _graph(self) -> JsonObject:
        views = await self._app.manager.views_in_turns()
        return {
            "nodes": [{"name": view.name, "state": view.state.value, "health": view.health.value} for view in views],
            "edges": [{"from": view.name, "to": name} for view in views for name in view.dependencies],
        }


def _known(uri: str) -> Address:
    address = read_uri(uri)
    if address is None:
        known = [template[0] for template in TEMPLATES]
        raise NotFoundError("resource", uri, known=known, next_actions=(f"the resources are {', '.join(known)}",))
    return address
