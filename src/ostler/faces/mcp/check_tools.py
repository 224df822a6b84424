"""The tool that checks a class against the tools it calls."""

from pydantic import Field

from ostler.faces.mcp.answers import Answer, finding_json
from ostler.faces.mcp.definitions import Call, Effect, ToolDefinition
from ostler.faces.mcp.schemas import FLAG, LIST, Args, Manifest, Name, answer
from ostler.faces.mcp.surface import ApplicationLike
from ostler.model.errors import ArgumentError

_SHOWN = 40
"""Findings that the text tells; the facts hold all of them."""


class ClassCheckArgs(Args):
    """Arguments of serviceclass_check."""

    name: Name | None = Field(default=None, description="a loaded class; or")
    manifest: Manifest | None = Field(default=None, description="YAML to check unsaved")


async def serviceclass_check(app: ApplicationLike, args: ClassCheckArgs, call: Call) -> Answer:
    """Check a class against its tools' schemas, without calling one."""
    del call
    if (args.name is None) is (args.manifest is None):
        raise ArgumentError(["one of 'name' and 'manifest' is required"])
    if args.name is not None:
        result = await app.review.check(args.name)
    else:
        result = await app.review.check_text(args.manifest or "")
    structured = {
        "clean": result.is_clean,
        "classes": list(result.classes),
        "findings": [finding_json(finding) for finding in result.findings],
    }
    if result.is_clean:
        return Answer(structured, f"nothing found: {', '.join(result.classes)}")
    lines = [f"{finding.severity}: {finding}" for finding in result.findings[:_SHOWN]]
    if len(result.findings) > _SHOWN:
        lines.append(f"and {len(result.findings) - _SHOWN} more")
    return Answer(structured, "\n".join(lines))


CHECK_TOOLS = (
    ToolDefinition(
        "serviceclass_check",
        "Check a ServiceClass",
        "Type-check a class against its tools' schemas; findings carry line, rule and fix.",
        ClassCheckArgs,
        answer({"clean": FLAG, "findings": LIST}, {"classes": LIST}),
        Effect.READS,
        serviceclass_check,
    ),
)
