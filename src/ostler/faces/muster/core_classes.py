"""muster's `core_serviceclass_…` tools over Ostler's classes."""

from ostler.adapters.serving.answers import finding_lines
from ostler.adapters.serving.problems import read_args
from ostler.engine.classes.catalogue import ClassEntry
from ostler.faces.mcp.class_tools import ManifestArgs, load_definition
from ostler.faces.mcp.definitions import Call
from ostler.faces.mcp.surface import ApplicationLike
from ostler.faces.muster.core_tool import (
    MISSING_ARGUMENT,
    ArgType,
    CoreAnswer,
    CoreTool,
    flag_arg,
    own_answer,
    text_arg,
)
from ostler.faces.muster.exposed_names import missing_tools, shown_tool, tool_prefixes
from ostler.faces.muster.muster_json import MODE, service_class
from ostler.faces.muster.unread_classes import unread_classes
from ostler.model.errors import AlreadyExistsError
from ostler.model.json import JsonObject


async def class_list(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """List the classes, those of files that could not be read included; those that come with Ostler with `showAll`."""
    del call
    show_all = flag_arg(args, "showAll")
    shown = [service_class(app, entry) for entry in app.classes.get_all() if show_all or entry.origin != "shipped"]
    shown = sorted([*shown, *unread_classes(app).values()], key=lambda each: str(each["name"]))
    return {"serviceClasses": shown, "total": len(shown), "mode": MODE}


async def class_get(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Show a class, or why its file could not be read."""
    del call
    name = text_arg(args, "name")
    return unread_classes(app).get(name) or service_class(app, app.classes.get(name))


async def class_available(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Say whether the tools of a class are available; an unknown class is not available."""
    del call
    name = text_arg(args, "name")
    if unread := unread_classes(app).get(name):
        return {"name": name, "available": False, "missingTools": [], "reason": unread["error"]}
    found = app.classes.availability(name)
    prefixes = tool_prefixes(app)
    missing = missing_tools(app, app.classes.get(name).service_class) if found.known else ()
    return {
        "name": name,
        "available": found.available and not missing,
        "missingTools": [shown_tool(tool, prefixes) for tool in missing],
        **({"reason": found.reason} if found.reason else {}),
    }


async def class_validate(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Check a definition without keeping it."""
    del call
    loaded = await load_definition(app, _text(args), is_manifest=bool(args.get("manifest")))
    name = text_arg(args, "name") or ", ".join(item.service_class.name for item in loaded)
    warnings = [finding for item in loaded for finding in item.warnings]
    return "\n".join([f"Validation successful for ServiceClass {name}", *finding_lines(warnings)])


async def class_create(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Save a new class."""
    del call
    text = _text(args)
    await load_definition(app, text, is_manifest=bool(args.get("manifest")))
    try:
        entry = await app.create_class(text)
    except AlreadyExistsError as error:
        error.summary = f"ServiceClass '{text_arg(args, 'name')}' already exists: {error.summary}"
        raise
    return f"ServiceClass '{entry.name}' created successfully"


async def class_update(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Replace what is given of a class; the rest stays, and all of it if nothing is given."""
    del call
    name = text_arg(args, "name")
    before = app.classes.get(name)
    if any(args.get(key) for key in ("manifest", *_PARTS)):
        text = _text(args, before)
        await load_definition(app, text, is_manifest=bool(args.get("manifest")))
        await app.update_class(name, text)
    return f"ServiceClass '{name}' updated successfully"


async def class_delete(app: ApplicationLike, args: JsonObject, call: Call) -> CoreAnswer:
    """Remove a class."""
    await own_answer(app, "serviceclass_delete", args, call)
    return f"ServiceClass '{text_arg(args, 'name')}' deleted successfully"


def _text(args: JsonObject, before: ClassEntry | None = None) -> str:
    given = read_args("serviceclass_create", ManifestArgs, args)
    return given.text_of(given.name, before)


_NAME: dict[str, tuple[ArgType, str]] = {"name": ("string", "Name of the ServiceClass")}
_DEFINITION: dict[str, tuple[ArgType, str]] = {
    **_NAME,
    "description": ("string", "What its services are"),
    "args": ("object", "Arguments of its services: type, required, default, description by name"),
    "serviceConfig": ("object", "lifecycleTools, healthCheck, timeout, dependencies, outputs, defaultName"),
}
_PARTS = tuple(_DEFINITION.keys() - _NAME.keys())
_ALSO = ("manifest", "version")

CORE_CLASSES = (
    CoreTool(
        "serviceclass_list",
        "List all ServiceClasses and whether they are available",
        class_list,
        {"showAll": ("boolean", "Also those that come with Ostler (default: false)")},
    ),
    CoreTool(
        "serviceclass_get",
        "Show a ServiceClass",
        class_get,
        _NAME,
        ("name",),
        missing=MISSING_ARGUMENT,
        failure="Failed to get ServiceClass",
    ),
    CoreTool(
        "serviceclass_available",
        "Say whether all tools of a ServiceClass are there",
        class_available,
        _NAME,
        ("name",),
        missing=MISSING_ARGUMENT,
    ),
    CoreTool(
        "serviceclass_validate",
        "Check the definition of a ServiceClass",
        class_validate,
        _DEFINITION,
        ("name",),
        checked=("serviceConfig",),
        failure="Validation failed",
        also=_ALSO,
    ),
    CoreTool(
        "serviceclass_create",
        "Save a new ServiceClass",
        class_create,
        _DEFINITION,
        ("name",),
        checked=("serviceConfig",),
        failure="Invalid ServiceClass definition",
        also=_ALSO,
    ),
    CoreTool(
        "serviceclass_update",
        "Replace parts of a ServiceClass",
        class_update,
        _DEFINITION,
        ("name",),
        failure="Failed to update ServiceClass",
        invalid="Invalid ServiceClass definition",
        also=_ALSO,
    ),
    CoreTool(
        "serviceclass_delete",
        "Delete a ServiceClass",
        class_delete,
        _NAME,
        ("name",),
        missing=MISSING_ARGUMENT,
        failure="Failed to delete ServiceClass",
    ),
)
