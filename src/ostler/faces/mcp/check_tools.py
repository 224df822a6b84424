"""The tool that checks a class against the tools it calls."""

from pydantic import Field

from ostler.adapters.serving.answers import Answer, finding_json, finding_lines
from ostler.adapters.serving.arguments import Args, Manifest
from ostler.adapters.serving.schemas import answer
from ostler.adapters.serving.table import Effect, ToolDefinition
from ostler.faces.mcp.definitions import Call
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.errors import ArgumentError


class ClassCheckArgs(Args):
    """Arguments of serviceclass_check."""

    name: str = Field(default="", description="a loaded class; or give manifest")
    manifest: Manifest = Field(default="", description="ServiceClass YAML, unsaved")


async def serviceclass_check(app: ApplicationLike, args: ClassCheckArgs, call: Call) -> Answer:
    """Check a class against its tools' schemas, without calling one."""
    del call
    if bool(args.name) is bool(args.manifest):
        raise ArgumentError(["exactly one of 'name' and 'manifest' is required"])
    if args.name:
        result = await app.review.check(args.name)
    else:
        result = await app.review.check_text(args.manifest)
    structured = {
        "clean": result.is_clean,
        "classes": list(result.classes),
        "findings": [finding_json(finding) for finding in result.findings],
    }
    if result.is_clean:
        return Answer(structured, f"no problems in {', '.join(result.classes)}")
    head = f"{len(result.findings)} in {', '.join(result.classes) or 'the manifest'}:"
    return Answer(structured, "\n".join([head, *finding_lines(result.findings)]))


CHECK_TOOLS = (
    ToolDefinition(
        "serviceclass_check",
        "Check a class",
        "All faults of a class: its form, each call against its tool's schema. Calls nothing.",
        ClassCheckArgs,
        answer("clean:boolean findings:objects classes:strings"),
        Effect.READS,
        serviceclass_check,
    ),
)
