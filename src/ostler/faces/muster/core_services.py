"""muster's `core_service_…` tools over Ostler's services."""

from ostler.adapters.serving.problems import read_args
from ostler.engine.services.service import way_to_enable
from ostler.engine.services.views import CreateRequest
from ostler.faces.mcp.definitions import Call
from ostler.faces.mcp.lifecycle_tools import ServiceCreateArgs, create, requested
from ostler.faces.mcp.service_tools import ServiceValidateArgs, validation
from ostler.faces.mcp.surface import ApplicationLike
from ostler.faces.muster.core_tool import ArgType, CoreAnswer, CoreTool, own_answer, text_arg
from ostler.faces.muster.error_phrases import argument_words
from ostler.faces.muster.exposed_names import is_builtin, missing_tools, shown_tool, tool_prefixes
from ostler.faces.muster.muster_json import service_instance, service_status
from ostler.model.errors import AlreadyExistsError, ClassUnavailableError, ConflictError, OstlerError
from ostler.model.json import JsonObject, as_object
from ostler.model.states import ServiceState

AGGREGATOR = "mcp-aggregator"
"""What muster calls the service that it is itself."""


async def service_list(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """List all services, the one that answers included; Ostler's built-in servers are none of muster's."""
    del args, call
    builtin = {entry["name"] for entry in app.server_entries() if is_builtin(entry)}
    services = [_aggregator(app)]
    views = await app.manager.views_in_turns()
    services += [service_status(view) for view in views if view.name not in builtin]
    return {"services": services, "total": len(services)}


async def show_status(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Show how a service is."""
    del call
    name = text_arg(args, "name")
    return _aggregator(app) if _is_aggregator(app, name) else service_status(app.manager.view(name))


async def service_get(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Show all about a service."""
    del call
    name = text_arg(args, "name")
    if not _is_aggregator(app, name):
        return service_instance(app.manager.view(name))
    facts = _aggregator(app)
    data = {**facts.pop("metadata"), "service_type": facts.pop("service_type")}
    return {**facts, "serviceClassName": "", "serviceData": data}


async def service_create(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Create a service; a name that is taken is refused, however equal the arguments."""
    given = read_args("core_service_create", ServiceCreateArgs, {"persist": False, **args})
    _refuse_taken(app, given.name)
    _refuse_stopped_servers(app, given.class_name)
    result = await create(app, requested(CreateRequest, given), call, wait=given.wait)
    return {**service_instance(result.service), "serviceClassType": "serviceclass"}


def _refuse_taken(app: ApplicationLike, name: str) -> None:
    service = app.manager.registry.find(name)
    if service is None and name != AGGREGATOR:
        return
    if service is not None and app.manager.view(name).class_name:
        raise AlreadyExistsError(
            f"service with name {name} already exists",
            next_actions=(f"core_service_start starts {name}, core_service_delete removes it",),
        )
    raise AlreadyExistsError(
        f"static service with name {name} already exists", next_actions=("give the service another name",)
    )


def _refuse_stopped_servers(app: ApplicationLike, class_name: str) -> None:
    """Refuse a class whose server someone has stopped: its tools are away until someone starts it."""
    if not app.classes.availability(class_name).known:
        return
    service_class = app.classes.get(class_name).service_class
    services = [app.manager.registry.find(server) for server in service_class.servers()]
    stopped = [service for service in services if service and service.state is ServiceState.STOPPED]
    if stopped:
        prefixes = tool_prefixes(app)
        raise ClassUnavailableError(
            class_name,
            [shown_tool(tool, prefixes) for tool in missing_tools(app, service_class)],
            next_actions=[
                way_to_enable(service) or f"core_service_start {service.name} starts the server again"
                for service in stopped
            ],
        )


async def service_start(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Start a service or connect a server."""
    name = text_arg(args, "name")
    if _is_aggregator(app, name):
        return f"Service '{name}' is already running"
    before = app.manager.view(name)
    found = await _operated(app, "service_start", args, call)
    if before.state in (ServiceState.RUNNING, ServiceState.CONNECTED) and not found["changed"]:
        return f"Service '{name}' is already running"
    return _done(found, "started", name)


async def service_stop(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Stop a service or disconnect a server."""
    name = text_arg(args, "name")
    _refuse_aggregator(app, name, "stopped")
    found = await own_answer(app, "service_stop", args, call)
    if not found["changed"] and found["finished"]:
        return f"Service '{name}' is already stopped"
    return _done(found, "stopped", name)


async def service_restart(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Restart a service or a server."""
    name = text_arg(args, "name")
    _refuse_aggregator(app, name, "restarted")
    return _done(await _operated(app, "service_restart", args, call), "restarted", name)


async def service_delete(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Delete a service that was made from a class."""
    name = text_arg(args, "name")
    if app.manager.registry.find(name) is None or not app.manager.view(name).class_name:
        raise ConflictError(
            f"service '{name}' not found or cannot be deleted (static services cannot be deleted)",
            next_actions=("core_service_list shows the services", "core_mcpserver_delete removes a server"),
        )
    found = await own_answer(app, "service_delete", args, call)
    if not found["finished"]:
        return str(found["message"])
    return f"Successfully deleted ServiceClass instance '{name}'"


async def service_validate(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Say whether a create with these arguments would be accepted."""
    del call
    class_name = text_arg(args, "serviceClassName")
    availability = app.classes.availability(class_name)
    if not availability.available:
        raise ConflictError(f"ServiceClass '{class_name}' is not available: {availability.reason}")
    known = {key: args[key] for key in ("serviceClassName", "name", "args") if key in args}
    answer = validation(app, read_args("service_validate", ServiceValidateArgs, known), numbers_as_text=False)
    found = as_object(answer.structured)
    if not found["valid"]:
        raise ConflictError("; ".join(argument_words([str(problem) for problem in found["problems"]])))
    return f"Validation successful for service {text_arg(args, 'name')}"


async def _operated(app: ApplicationLike, tool: str, args: JsonObject, call: Call) -> JsonObject:
    """Return the answer of Ostler's tool; of a server that wants someone to sign in, the error begins with that."""
    try:
        return await own_answer(app, tool, args, call)
    except OstlerError as error:
        name = text_arg(args, "name")
        service = app.manager.registry.find(name)
        if service is not None and service.state is ServiceState.AUTH_REQUIRED:
            error.summary = f"Service '{name}' requires OAuth authentication: {error.summary}"
        raise


def _done(found: JsonObject, done: str, name: str) -> str:
    """Return muster's sentence if the operation has ended, else that it is under way."""
    return f"Successfully {done} service '{name}'" if found["finished"] else str(found["message"])


def _is_aggregator(app: ApplicationLike, name: str) -> bool:
    return name == AGGREGATOR and app.manager.registry.find(name) is None


def _refuse_aggregator(app: ApplicationLike, name: str, done: str) -> None:
    if _is_aggregator(app, name):
        raise ConflictError(
            f"service {name} is the server that answers, and cannot be {done} by a tool",
            next_actions=("a person stops it with 'ostler stop-server'",),
        )


def _aggregator(app: ApplicationLike) -> JsonObject:
    """Return the facts of the server that answers, as muster has them of itself."""
    listed = app.pool.list_tools()
    servers = {tool.server for tool in listed}
    metadata: JsonObject = {"tools": len(listed), "servers_connected": len(servers)}
    return {
        "name": AGGREGATOR,
        "service_type": "Aggregator",
        "state": "running",
        "health": "healthy",
        "metadata": metadata,
    }


_NAME: dict[str, tuple[ArgType, str]] = {"name": ("string", "Name of the service")}
_NEW: dict[str, tuple[ArgType, str]] = {
    "serviceClassName": ("string", "ServiceClass to make it from"),
    "name": ("string", "Name of the new service"),
    "args": ("object", "Arguments of the class"),
}

CORE_SERVICES = (
    CoreTool("service_list", "List all services with their state", service_list),
    CoreTool(
        "service_status",
        "Show the state of a service",
        show_status,
        _NAME,
        ("name",),
        failure="Failed to get service status",
    ),
    CoreTool("service_get", "Show all about a service", service_get, _NAME, ("name",), failure="Failed to get service"),
    CoreTool(
        "service_create",
        "Create a service from a ServiceClass and start it",
        service_create,
        {
            **_NEW,
            "persist": ("boolean", "Keep it when the server ends (default: false)"),
            "autoStart": ("boolean", "Start it again with the server"),
        },
        ("serviceClassName", "name"),
        failure="Failed to create ServiceClass instance",
    ),
    CoreTool("service_start", "Start a service", service_start, _NAME, ("name",), failure="Failed to start service"),
    CoreTool("service_stop", "Stop a service", service_stop, _NAME, ("name",), failure="Failed to stop service"),
    CoreTool(
        "service_restart", "Restart a service", service_restart, _NAME, ("name",), failure="Failed to restart service"
    ),
    CoreTool(
        "service_delete",
        "Stop a service that was made from a ServiceClass, and forget it",
        service_delete,
        _NAME,
        ("name",),
        failure="Failed to delete ServiceClass instance",
    ),
    CoreTool(
        "service_validate",
        "Check what core_service_create would get",
        service_validate,
        {**_NEW, "autoStart": ("boolean", "As for core_service_create"), "description": ("string", "What it is for")},
        ("name", "serviceClassName"),
        failure="Validation failed",
        also=(),
    ),
)
