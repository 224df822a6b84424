"""Tools for ServiceClasses: list, get, available, validate, create, update, delete."""

from pydantic import Field

from ostler.adapters.config.known_servers import entries_for, how_to_add
from ostler.engine.classes.catalogue import ClassEntry
from ostler.faces.mcp import shapes
from ostler.faces.mcp.answers import Answer, finding_json
from ostler.faces.mcp.definitions import Call, Effect, ToolDefinition
from ostler.faces.mcp.schemas import FLAG, LIST, NUMBER, OBJECT, TEXT, Args, Manifest, Name, answer, listing
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.errors import ManifestError
from ostler.model.json import JsonObject
from ostler.rules.loading.manifests import load_manifests
from ostler.rules.muster.tool_names import KnownTools


class ClassListArgs(Args):
    """Arguments of serviceclass_list."""

    search: str | None = Field(default=None, description="words in name, description, labels, servers")
    available_only: bool = False


async def serviceclass_list(app: ApplicationLike, args: ClassListArgs, call: Call) -> Answer:
    """List the classes there are."""
    del call
    words = (args.search or "").lower().split()
    found: list[JsonObject] = []
    for entry in app.classes.get_all():
        text = _searched(entry)
        if not all(word in text for word in words):
            continue
        item = shapes.service_class(entry, app.classes)
        if item["available"] or not args.available_only:
            found.append(item)
    structured: JsonObject = {"serviceClasses": found, "total": len(found)}
    lines = [f"{len(found)} ServiceClass{'' if len(found) == 1 else 'es'}" + (":" if found else "")]
    lines += [_class_line(item) for item in found]
    if app.classes.findings:
        structured["findings"] = [finding_json(finding) for finding in app.classes.findings]
        lines += [f"problem: {finding}" for finding in app.classes.findings]
    return Answer(structured, "\n".join(lines))


def _searched(entry: ClassEntry) -> str:
    """Return all that a search for a class looks at."""
    value = entry.service_class
    labels = (f"{name}={label}" for name, label in value.metadata.labels.items())
    words = [entry.name, value.spec.description, value.service_type, *labels, *value.servers()]
    return " ".join(words).lower()


def _class_line(item: JsonObject) -> str:
    args = "; ".join(f"{name}: {summary}" for name, summary in item["args"].items())
    description = str(item["description"]).strip().rstrip(".")
    line = f"{item['name']}: {description}." if description else f"{item['name']}."
    if args:
        line += f" Args: {args}."
    if not item["available"]:
        line += f" Not available: {item.get('reason') or 'its tools are missing'}."
    elif item.get("problems"):
        line += f" serviceclass_check finds {item['problems']} in it."
    return line


class ClassNameArgs(Args):
    """A class's name."""

    name: Name


async def serviceclass_get(app: ApplicationLike, args: ClassNameArgs, call: Call) -> Answer:
    """Show one class with its manifest."""
    del call
    entry = app.classes.get(args.name)
    structured: JsonObject = {
        **shapes.class_details(entry, app.classes),
        "manifest": entry.text,
        **shapes.present({"translation": entry.translation}),
        "instances": app.manager.instances_of(args.name),
    }
    summary = shapes.service_class(entry, app.classes)
    lines = [_class_line(summary)]
    if structured["outputs"]:
        lines.append(f"Outputs: {', '.join(structured['outputs'])}.")
    lines += ["", entry.text.strip()]
    if entry.translation:
        lines += ["", "It is a manifest of muster, and is read as:", "", entry.translation.strip()]
    return Answer(structured, "\n".join(lines))


async def serviceclass_available(app: ApplicationLike, args: ClassNameArgs, call: Call) -> Answer:
    """Say whether the tools of a class are there."""
    del call
    found = app.classes.availability(args.name)
    structured: JsonObject = {
        "name": args.name,
        "available": found.available,
        "missingTools": list(found.missing_tools),
        **shapes.present(
            {
                "missingServers": list(found.missing_servers),
                "reason": found.reason,
                "addToMcpJson": entries_for(found.missing_servers),
                "findings": [finding_json(finding) for finding in found.findings],
            }
        ),
    }
    if found.available:
        note = "".join(f"\nbut {finding}" for finding in found.findings[:5])
        return Answer(structured, f"ServiceClass {args.name} is available{note}")
    missing = f" (missing required tools: {', '.join(found.missing_tools)})" if found.missing_tools else ""
    text = f"ServiceClass {args.name} not available{missing}: {found.reason}"
    return Answer(structured, "\n".join(filter(None, (text, how_to_add(found.missing_servers)))))


class ManifestArgs(Args):
    """A manifest."""

    manifest: Manifest = Field(description="YAML: apiVersion ostler/v1, kind ServiceClass")


async def serviceclass_validate(app: ApplicationLike, args: ManifestArgs, call: Call) -> Answer:
    """Say whether a manifest can be loaded, and what its class would miss."""
    del call
    try:
        loaded = load_manifests(args.manifest, "manifest", known=_known_tools(app))
    except ManifestError as error:
        findings = [finding_json(finding) for finding in error.findings]
        return Answer({"valid": False, "findings": findings}, f"not valid: {error.summary}")
    names = [item.service_class.name for item in loaded]
    missing = sorted(
        {tool for item in loaded for tool in app.classes.availability_of(item.service_class).missing_tools}
    )
    structured: JsonObject = {"valid": True, "names": names, "missingTools": missing, "findings": []}
    text = f"valid: {', '.join(names) or 'no classes'}"
    if missing:
        text += f". Not available yet (missing required tools: {', '.join(missing)})"
    return Answer(structured, text)


def _known_tools(app: ApplicationLike) -> KnownTools:
    """Return the downstream servers and tools, by which manifests of muster are read."""
    servers = (str(entry["name"]) for entry in app.server_entries())
    return KnownTools.of(servers, (tool.qualified for tool in app.pool.list_tools()))


async def serviceclass_create(app: ApplicationLike, args: ManifestArgs, call: Call) -> Answer:
    """Add a class."""
    del call
    entry = await app.create_class(args.manifest)
    return await _written(app, entry.name, f"ServiceClass {entry.name} was created")


class ClassUpdateArgs(ClassNameArgs):
    """Arguments of serviceclass_update."""

    manifest: Manifest


async def serviceclass_update(app: ApplicationLike, args: ClassUpdateArgs, call: Call) -> Answer:
    """Replace a class."""
    del call
    entry = await app.update_class(args.name, args.manifest)
    instances = app.manager.instances_of(entry.name)
    note = f"; {', '.join(instances)} keep the version they were started with until restarted" if instances else ""
    return await _written(app, entry.name, f"ServiceClass {entry.name} was updated{note}")


async def _written(app: ApplicationLike, name: str, message: str) -> Answer:
    found = app.classes.availability(name)
    structured: JsonObject = {
        "message": message,
        "name": name,
        "available": found.available,
        "missingTools": list(found.missing_tools),
    }
    text = message if found.available else f"{message}. Not available yet: {found.reason}"
    findings = (await app.review.check(name)).findings
    if findings:
        structured["findings"] = [finding_json(finding) for finding in findings]
        text += "\n" + "\n".join(["but a check finds:", *map(str, findings[:5])])
    return Answer(structured, text)


class ClassDeleteArgs(ClassNameArgs):
    """Arguments of serviceclass_delete."""

    force: bool = Field(default=False, description="even while it has instances")


async def serviceclass_delete(app: ApplicationLike, args: ClassDeleteArgs, call: Call) -> Answer:
    """Remove a class."""
    del call
    await app.delete_class(args.name, force=args.force)
    message = f"ServiceClass {args.name} was deleted"
    return Answer({"message": message, "name": args.name}, message)


_WRITTEN = answer({"message": TEXT, "name": TEXT}, {"available": FLAG, "missingTools": LIST, "findings": LIST})

CLASS_TOOLS = (
    ToolDefinition(
        "serviceclass_list",
        "List ServiceClasses",
        "The kinds of service that can be created, with their arguments. Start here.",
        ClassListArgs,
        answer(
            {"serviceClasses": listing("name", "description"), "total": NUMBER},
            {"findings": LIST},
        ),
        Effect.READS,
        serviceclass_list,
        core=True,
    ),
    ToolDefinition(
        "serviceclass_get",
        "Get a ServiceClass",
        "One class: arguments as JSON Schema, outputs, tools it calls, its YAML.",
        ClassNameArgs,
        answer(
            {"name": TEXT, "args": OBJECT, "available": FLAG}, {"manifest": TEXT, "translation": TEXT, "outputs": LIST}
        ),
        Effect.READS,
        serviceclass_get,
        core=True,
    ),
    ToolDefinition(
        "serviceclass_available",
        "Is a class available",
        "Whether all downstream tools that a class needs are there.",
        ClassNameArgs,
        answer({"name": TEXT, "available": FLAG, "missingTools": LIST}, {"reason": TEXT}),
        Effect.READS,
        serviceclass_available,
    ),
    ToolDefinition(
        "serviceclass_validate",
        "Validate a manifest",
        "Check a manifest without saving it; findings carry line and column.",
        ManifestArgs,
        answer({"valid": FLAG, "findings": LIST}, {"names": LIST, "missingTools": LIST}),
        Effect.READS,
        serviceclass_validate,
    ),
    ToolDefinition(
        "serviceclass_create",
        "Create a ServiceClass",
        "Save a new class in the config folder.",
        ManifestArgs,
        _WRITTEN,
        Effect.WRITES,
        serviceclass_create,
    ),
    ToolDefinition(
        "serviceclass_update",
        "Update a ServiceClass",
        "Replace a class. Running instances keep the version they were started with.",
        ClassUpdateArgs,
        _WRITTEN,
        Effect.REMOVES,
        serviceclass_update,
    ),
    ToolDefinition(
        "serviceclass_delete",
        "Delete a ServiceClass",
        "Remove a class; refused while instances exist, unless force.",
        ClassDeleteArgs,
        answer({"message": TEXT, "name": TEXT}),
        Effect.REMOVES,
        serviceclass_delete,
    ),
)
