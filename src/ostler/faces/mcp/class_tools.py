"""Tools for ServiceClasses: list, get, available, validate, create, update, delete."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import anyio.to_thread
from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from ostler.adapters.serving.answers import Answer, finding_json, finding_lines
from ostler.adapters.serving.arguments import Args, JsonArgs, Manifest
from ostler.adapters.serving.schemas import answer
from ostler.adapters.serving.table import Effect, ToolDefinition
from ostler.engine.classes.catalogue import ClassEntry
from ostler.faces.mcp import class_shapes, shapes
from ostler.faces.mcp.definitions import Call
from ostler.faces.mcp.lifecycle_tools import if_service
from ostler.faces.mcp.service_tools import ClassName
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.errors import ArgumentError, ManifestError, NotFoundError
from ostler.model.json import JsonObject, present
from ostler.model.tool_names import MISSING_SERVER
from ostler.rules.checking.loaded_class import LoadedClass
from ostler.rules.reading import load_manifests

WHOLE = 3
"""Classes found up to which each is shown with its whole description."""

MAX_DESCRIPTION = 80
"""Characters of a class's description in a longer list."""


class ClassListArgs(Args):
    """Arguments of serviceclass_list."""

    search: str = Field(default="", description="only with all of these words")
    available_only: bool = Field(default=False, description="only what can be created now")


async def serviceclass_list(app: ApplicationLike, args: ClassListArgs, call: Call) -> Answer:
    """List the classes there are: first those that can be created now, then the others with what they miss."""
    words = args.search.lower().split()
    found = [entry for entry in app.classes.get_all() if all(word in _searched(entry) for word in words)]
    ready = [entry for entry in found if app.classes.availability(entry.name).available]
    known = {entry.name for entry in ready}
    others = [entry for entry in found if entry.name not in known and not args.available_only]
    is_short = len(ready) + len(others) <= WHOLE
    items = [class_shapes.listed_class(entry, app.classes, None if is_short else MAX_DESCRIPTION) for entry in ready]
    items += [class_shapes.unavailable_class(entry, app.classes, is_found=bool(words)) for entry in others]
    structured: JsonObject = {"serviceClasses": items, "total": len(items)}
    types = " (args are strings unless a type stands):" if ready else ""
    lines = [f"{len(ready)} ServiceClass{'' if len(ready) == 1 else 'es'} available{types}"]
    lines += [_class_line(item) for item in items[: len(ready)]]
    if others:
        how = "; serviceclass_available NAME says how to get one" if "serviceclass_available" in call.tools else ""
        lines.append(f"{len(others)} not available{how}:")
        reasons: dict[str, list[str]] = {}
        for item in items[len(ready) :]:
            about = f" ({item['description']})" if item.get("description") else ""
            reasons.setdefault(item["reason"], []).append(item["name"] + about)
        lines += _reason_lines(reasons)
    if app.classes.findings:
        structured["findings"] = [finding_json(finding) for finding in app.classes.findings]
        lines += [f"problem: {finding}" for finding in app.classes.findings]
    return Answer(structured, "\n".join(lines))


def _reason_lines(reasons: Mapping[str, Sequence[str]]) -> list[str]:
    """Return why classes cannot be used: those that lack one server each in one line, as these are many."""
    lacking = {
        reason: names for reason, names in reasons.items() if reason.startswith(MISSING_SERVER) and ";" not in reason
    }
    lines = [f"{', '.join(names)}: {reason}" for reason, names in reasons.items() if reason not in lacking]
    if lacking:
        servers = (f"{reason.removeprefix(MISSING_SERVER)} ({', '.join(names)})" for reason, names in lacking.items())
        lines.append(f"{MISSING_SERVER}{', '.join(servers)}")
    return lines


def _searched(entry: ClassEntry) -> str:
    """Return all that a search for a class looks at."""
    value = entry.service_class
    labels = (f"{name}={label}" for name, label in value.metadata.labels.items())
    words = [entry.name, value.spec.description, value.service_type, *labels, *value.servers()]
    return " ".join(words).lower()


def _class_line(item: JsonObject) -> str:
    description = str(item["description"]).strip().rstrip(".")
    end = "" if description.endswith("…") else "."
    line = f"{item['name']}: {description}{end}" if description else f"{item['name']}."
    if item["args"]:
        line += f" Args: {', '.join(_arg_words(name, summary) for name, summary in item['args'].items())}."
    if item.get("problems"):
        line += f" A check finds {item['problems']} in it."
    return line


def _arg_words(name: str, summary: str) -> str:
    words = "" if summary == "string" else summary.removeprefix("string, ")
    return f"{name} ({words})" if words else name


class ClassNameArgs(Args):
    """A class's name."""

    name: ClassName


async def serviceclass_get(app: ApplicationLike, args: ClassNameArgs, call: Call) -> Answer:
    """Show one class with its manifest."""
    del call
    try:
        entry = app.classes.get(args.name)
    except NotFoundError as error:
        raise if_service(app, error, "service_get {} shows it, and of which class it is") from error
    structured: JsonObject = {
        **class_shapes.class_details(entry, app.classes),
        "manifest": entry.text,
        **present({"translation": entry.translation}),
        "instances": app.manager.instances_of(args.name),
    }
    lines = [_class_line(class_shapes.listed_class(entry, app.classes))]
    lines += shapes.fact_lines(structured, without=("name", "description", "args", "manifest", "translation"))
    lines += [f"arg {name}: {shapes.value_text(schema)}" for name, schema in structured["args"].items()]
    lines += ["", entry.text.strip()]
    if entry.translation:
        lines += ["", "It is a manifest of muster, and is read as:", "", entry.translation.strip()]
    return Answer(structured, "\n".join(lines))


async def serviceclass_available(app: ApplicationLike, args: ClassNameArgs, call: Call) -> Answer:
    """Say whether the tools of a class are available."""
    from ostler.adapters.config.known_servers import entries_for, how_to_add

    del call
    found = app.classes.availability(args.name)
    structured: JsonObject = {
        "name": args.name,
        "available": found.available,
        "missingTools": list(found.missing_tools),
        **present(
            {
                "missingServers": list(found.missing_servers),
                "reason": found.reason,
                "addToMcpJson": entries_for(found.missing_servers),
                "findings": [finding_json(finding) for finding in found.findings],
            }
        ),
    }
    if found.available:
        note = ["; but a check finds:", *finding_lines(found.findings)] if found.findings else []
        return Answer(structured, f"ServiceClass {args.name} is available" + "\n".join(note))
    missing = f" (missing required tools: {', '.join(found.missing_tools)})" if found.missing_tools else ""
    text = f"ServiceClass {args.name} not available{missing}: {found.reason}"
    return Answer(structured, "\n".join(filter(None, (text, how_to_add(found.missing_servers)))))


ManifestText = Annotated[Manifest, Field(description="ServiceClass YAML")]


class _DefinitionArgs(Args):
    """A manifest; or muster's own arguments for one, which no schema shows."""

    manifest: ManifestText = ""
    description: SkipJsonSchema[str] = ""
    version: SkipJsonSchema[str] = ""
    args: SkipJsonSchema[JsonArgs] = Field(default_factory=dict)
    service_config: SkipJsonSchema[JsonArgs] = Field(default_factory=dict)

    def text_of(self, name: str, before: ClassEntry | None = None) -> str:
        """Return the manifest as text, of the class `name` where it is made of muster's arguments.

        Args:
            name: the class's name.
            before: the class as it is; what is not given stays as it stands in a manifest of muster.

        Raises:
            ArgumentError: there is neither a manifest nor what muster needs in its place.
        """
        if self.manifest:
            return self.manifest
        from ostler.rules.muster.create_arguments import manifest_of, written_spec  # most start without them

        values = {"description": self.description, "args": self.args, "serviceConfig": self.service_config}
        given = present(values)
        if before is not None and before.is_foreign and given:
            given = {**written_spec(before.text, name), **given}
        return manifest_of(name, given)


class ManifestArgs(_DefinitionArgs):
    """Arguments of serviceclass_create and serviceclass_validate."""

    model_config = ConfigDict(json_schema_extra={"required": ["manifest"]})

    name: SkipJsonSchema[str] = ""


async def load_definition(app: ApplicationLike, text: str, *, is_manifest: bool) -> Sequence[LoadedClass]:
    """Return the classes in the text of a manifest, or in the one that muster's own arguments make.

    A manifest of muster may have keys that mean nothing; in its arguments it refused them.

    Raises:
        ManifestError: they cannot be loaded.
        ArgumentError: muster's arguments have a key that is not known.
    """
    known = app.review.tool_names()
    loaded = await anyio.to_thread.run_sync(lambda: load_manifests(text, "manifest", known=known))
    unknown = [finding for item in loaded for finding in item.warnings if finding.rule == "unknown-key"]
    if unknown and not is_manifest:
        fields = [f'unknown field "{finding.path.rpartition(".")[2]}": {finding}' for finding in unknown]
        raise ArgumentError(fields, next_actions=("leave it out, or correct it",))
    return loaded


async def serviceclass_validate(app: ApplicationLike, args: ManifestArgs, call: Call) -> Answer:
    """Say whether a manifest can be loaded, and what its class would miss."""
    del call
    try:
        loaded = await load_definition(app, args.text_of(args.name), is_manifest=bool(args.manifest))
    except ManifestError as error:
        findings = [finding_json(finding) for finding in error.findings]
        count = len(error.findings)
        lines = [f"not valid: {f'{count} problems' if count > 1 else error.summary}", *finding_lines(error.findings)]
        return Answer({"valid": False, "findings": findings}, "\n".join(lines))
    names = [item.service_class.name for item in loaded]
    missing = sorted(
        {tool for item in loaded for tool in app.classes.availability_of(item.service_class).missing_tools}
    )
    warnings = [finding for item in loaded for finding in item.warnings]
    findings = [finding_json(finding) for finding in warnings]
    structured: JsonObject = {"valid": True, "names": names, "missingTools": missing, "findings": findings}
    text = f"valid: {', '.join(names) or 'no classes'}"
    if missing:
        text += f". Not available yet (missing required tools: {', '.join(missing)})"
    return Answer(structured, "\n".join([text, *finding_lines(warnings)]))


async def serviceclass_create(app: ApplicationLike, args: ManifestArgs, call: Call) -> Answer:
    """Add a class."""
    del call
    text = args.text_of(args.name)
    if not args.manifest:
        await load_definition(app, text, is_manifest=False)
    entry = await app.create_class(text)
    return await _written(app, entry.name, f"ServiceClass {entry.name} was created")


class ClassUpdateArgs(_DefinitionArgs):
    """Arguments of serviceclass_update."""

    model_config = ConfigDict(json_schema_extra={"required": ["name", "manifest"]})

    name: ClassName


async def serviceclass_update(app: ApplicationLike, args: ClassUpdateArgs, call: Call) -> Answer:
    """Replace a class."""
    del call
    before = None if args.manifest else app.classes.get(args.name)
    text = args.text_of(args.name, before)
    if not args.manifest:
        await load_definition(app, text, is_manifest=False)
    entry = await app.update_class(args.name, text)
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
        text += "\n" + "\n".join(["but a check finds:", *finding_lines(findings)])
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


_WRITTEN = answer("message name available:boolean missingTools:strings findings:objects")

CLASS_TOOLS = (
    ToolDefinition(
        "serviceclass_list",
        "List ServiceClasses",
        "What can be created, with arguments; then what cannot yet, and why. Start here.",
        ClassListArgs,
        answer("serviceClasses:objects total:integer findings:objects"),
        Effect.READS,
        serviceclass_list,
        core=True,
    ),
    ToolDefinition(
        "serviceclass_get",
        "Show a ServiceClass",
        "One class: arguments (JSON Schema), outputs, tools, YAML.",
        ClassNameArgs,
        answer(
            "name description serviceType available:boolean args:object outputs:strings lifecycleTools:object "
            "timeouts:object restartPolicy healthChecks:boolean origin digest path shadows:boolean labels:object "
            "dependencies:strings manifest translation instances:strings missingTools:strings missingServers:strings "
            "reason problems:integer",
        ),
        Effect.READS,
        serviceclass_get,
        core=True,
    ),
    ToolDefinition(
        "serviceclass_available",
        "Class availability",
        "Whether a class's tools exist; if not, the MCP server to add.",
        ClassNameArgs,
        answer(
            "name available:boolean missingTools:strings missingServers:strings reason addToMcpJson:object "
            "findings:objects"
        ),
        Effect.READS,
        serviceclass_available,
    ),
    ToolDefinition(
        "serviceclass_validate",
        "Check a manifest's form",
        "Whether an unsaved manifest is well-formed. serviceclass_check checks tools, too.",
        ManifestArgs,
        answer("valid:boolean findings:objects names:strings missingTools:strings"),
        Effect.READS,
        serviceclass_validate,
    ),
    ToolDefinition(
        "serviceclass_create",
        "Save a new ServiceClass",
        "Save a new class; services can be created from it at once.",
        ManifestArgs,
        _WRITTEN,
        Effect.WRITES,
        serviceclass_create,
    ),
    ToolDefinition(
        "serviceclass_update",
        "Replace a ServiceClass",
        "Replace a saved class. Running services keep theirs.",
        ClassUpdateArgs,
        _WRITTEN,
        Effect.REMOVES,
        serviceclass_update,
    ),
    ToolDefinition(
        "serviceclass_delete",
        "Delete a ServiceClass",
        "Remove a saved class. Refused while it has services.",
        ClassDeleteArgs,
        answer("message name"),
        Effect.REMOVES,
        serviceclass_delete,
    ),
)
