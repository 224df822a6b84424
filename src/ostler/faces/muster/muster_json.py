"""Services, classes and servers as the JSON that muster answers."""

from ostler.adapters.downstream.service import SERVICE_TYPE
from ostler.engine.classes.catalogue import ClassEntry
from ostler.engine.services.views import ServiceView
from ostler.faces.mcp.shapes import timestamp
from ostler.faces.mcp.surface import ApplicationLike
from ostler.faces.muster.error_phrases import with_core_names
from ostler.faces.muster.exposed_names import missing_tools, shown_tool, tool_prefix, tool_prefixes
from ostler.model.durations import parse_duration
from ostler.model.json import JsonObject, JsonValue, present
from ostler.model.states import HealthStatus, ServiceState
from ostler.rules.loading.manifests import service_class_to_json
from ostler.rules.muster.create_arguments import written_spec
from ostler.rules.muster.sheet import is_mapping

MODE = "filesystem"
"""Where muster says that its definitions are."""
_LOCAL = ("stdio", "builtin")
_TYPES = {"http": "streamable-http", "builtin": "stdio"}


def server_state(state: ServiceState, transport: str) -> str:
    """Return what muster calls the state of a server that is reached by `transport`.

    A program on this machine runs or is stopped; a remote server is connected, disconnected, unreachable, or wants
    someone to sign in.
    """
    is_local = transport in _LOCAL
    match state:
        case ServiceState.CONNECTED | ServiceState.RUNNING:
            return "running" if is_local else "connected"
        case ServiceState.STOPPED | ServiceState.UNKNOWN:
            return "stopped" if is_local else "disconnected"
        case ServiceState.DISCONNECTED | ServiceState.UNREACHABLE if is_local:
            return "failed"
        case _:
            return state.value


def service_status(view: ServiceView) -> JsonObject:
    """Return a service as `core_service_status` and `core_service_list` show it."""
    return {
        "name": view.name,
        "service_type": _type(view),
        "state": _state(view),
        "health": _health(view),
        **present(
            {
                "error": _error(view),
                "serviceClassName": view.class_name,
                "metadata": _data(view),
                "outputs": dict(view.outputs),
            }
        ),
    }


def service_instance(view: ServiceView) -> JsonObject:
    """Return a service as `core_service_create` and `core_service_get` show it."""
    data = _data(view)
    if not view.class_name:
        data["service_type"] = view.service_type
    return {
        "id": view.id,
        "name": view.name,
        "serviceClassName": view.class_name,
        "serviceClassType": _type(view) if view.class_name else "",
        "args": dict(view.args),
        "autoStart": view.auto_start,
        "enabled": True,
        "state": _state(view),
        "health": _health(view),
        "outputs": dict(view.outputs),
        "serviceData": data,
        "createdAt": timestamp(view.created_at),
        "updatedAt": timestamp(view.updated_at),
        **present(
            {
                "lastError": _error(view),
                "dependencies": list(view.dependencies),
                "lastChecked": timestamp(view.checked_at) if view.checked_at else None,
                "healthCheckFailures": view.health_failures or None,
                "healthCheckSuccesses": view.health_successes or None,
            }
        ),
    }


def _data(view: ServiceView) -> JsonObject:
    """Return the facts of a service; the outputs of its steps have no step in muster, and stand there so, too."""
    data: JsonObject = dict(view.service_data)
    if view.class_name:
        for outputs in view.service_data.values():
            if is_mapping(outputs):
                data |= {name: value for name, value in outputs.items() if value is not None}
    return data


def _type(view: ServiceView) -> str:
    """Return the type of a service; those of a class that declares none are `generic` in muster."""
    return "generic" if view.class_name and view.service_type == view.class_name else view.service_type


def _state(view: ServiceView) -> str:
    if view.service_type != SERVICE_TYPE:
        return view.state.value
    return server_state(view.state, str(view.service_data.get("transport") or "stdio"))


def _error(view: ServiceView) -> str | None:
    return None if view.error is None else with_core_names(view.error)


def _health(view: ServiceView) -> str:
    """Return its health; muster calls a service healthy once its start tool has succeeded, until a check says else.

    One whose start or stop failed is unhealthy there, and nothing is known of a server that wants someone to sign in.
    """
    if view.state is ServiceState.FAILED:
        return HealthStatus.UNHEALTHY.value
    if view.state is ServiceState.AUTH_REQUIRED:
        return HealthStatus.UNKNOWN.value
    if view.state is ServiceState.RUNNING and view.health is HealthStatus.UNKNOWN and not view.health_failures:
        return HealthStatus.HEALTHY.value
    return view.health.value


def service_class(app: ApplicationLike, entry: ClassEntry) -> JsonObject:
    """Return a class as `core_serviceclass_get` and `core_serviceclass_list` show it."""
    spec = (
        written_spec(entry.text, entry.name) if entry.is_foreign else service_class_to_json(entry.service_class)["spec"]
    )
    prefixes = tool_prefixes(app)
    availability = app.classes.availability(entry.name)
    missing = {shown_tool(tool, prefixes) for tool in missing_tools(app, entry.service_class)}
    tools = {step: shown_tool(call.tool, prefixes) for step, call in entry.service_class.tools.calls}
    return {
        "name": entry.name,
        "version": str(spec.get("version") or ""),
        "description": entry.service_class.spec.description,
        "serviceType": entry.service_class.service_type,
        "available": availability.available and not missing,
        "args": spec.get("args") or {},
        "serviceConfig": spec.get("serviceConfig") or {},
        "createToolAvailable": tools.get("start") not in missing,
        "deleteToolAvailable": tools.get("stop") not in missing,
        "healthCheckToolAvailable": "healthCheck" in tools and tools["healthCheck"] not in missing,
        "statusToolAvailable": "status" in tools and tools["status"] not in missing,
        "requiredTools": sorted(set(tools.values())),
        "missingTools": sorted(missing),
        **present({"error": availability.reason}),
    }


def mcp_server(entry: JsonObject, *, verbose: bool = True) -> JsonObject:
    """Return what `server_entry` says of a server as `core_mcpserver_get` and `core_mcpserver_list` show it.

    Args:
        entry: the server's entry with its state.
        verbose: with the last error of a server that is down.
    """
    written: JsonObject = entry.get("entry") or {}
    options: JsonObject = written.get("ostler") or {}
    transport = str(entry.get("transport") or written.get("type") or "stdio")
    state = _server_state_of(entry, transport)
    error = entry.get("reason") or entry.get("lastError")
    down = state not in ("Running", "Connected", "Starting", "Connecting")
    wrong = down and state not in ("Stopped", "Disconnected")
    return {
        "name": entry["name"],
        "type": _TYPES.get(transport, transport),
        "state": state,
        "autoStart": bool(options.get("autoStart", True)),
        **present(
            {
                "description": options.get("description"),
                "toolPrefix": tool_prefix(entry),
                "command": written.get("command"),
                "args": written.get("args"),
                "env": written.get("env"),
                "url": written.get("url"),
                "headers": written.get("headers"),
                "timeout": _seconds(options.get("timeout")),
                "auth": None if transport in _LOCAL else {"type": "oauth"},
                "tools": entry.get("tools"),
                "error": error if verbose and wrong else None,
                "statusMessage": error if down else None,
                "consecutiveFailures": entry.get("attempts"),
                "findings": entry.get("findings"),
            }
        ),
    }


def _seconds(timeout: JsonValue) -> float | None:
    """Return a duration in seconds, whole ones as an integer."""
    if timeout is None:
        return None
    seconds = parse_duration(timeout)
    return int(seconds) if seconds == int(seconds) else seconds


def _server_state_of(entry: JsonObject, transport: str) -> str:
    """Return the state as muster writes it of a server's definition: capital letters, `Auth Required`."""
    found = str(entry.get("state") or "unknown")
    known = next((state for state in ServiceState if state.value == found), None)
    state = found if known is None else server_state(known, transport)
    if state == "starting" and transport not in _LOCAL:
        return "Connecting"
    return {"auth_required": "Auth Required", "unreachable": "Failed"}.get(state, state.capitalize())
