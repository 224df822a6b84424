"""What a tool answers, and the one place where errors become tool results."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_types import CallToolResult, ContentBlock, TextContent

import ostler
from ostler.model.errors import (
    ArgumentError,
    ClassUnavailableError,
    Finding,
    ManifestError,
    OstlerError,
    TemplateError,
)
from ostler.model.json import JsonObject, JsonValue, sendable

logger = logging.getLogger(__name__)

_STARTED = time.time() - 1
"""When this process began, with room for the clock of files, which may be behind this one."""

_PACKAGE = Path(ostler.__file__)
_INODE = _PACKAGE.stat().st_ino

MAX_ERROR_TEXT = 8_000
"""Characters of an error's text that are sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A tool's answer.

    Attributes:
        structured: the facts, by the tool's output schema.
        text: the same for people and for clients that show text only; short.
        content: content blocks to send instead of `text` (a downstream tool's own answer).
        is_error: a downstream tool's own failure, passed on as it came.
    """

    structured: JsonObject
    text: str
    content: Sequence[ContentBlock] = ()
    is_error: bool = False

    def result(self) -> CallToolResult:
        """Return it as the SDK sends it."""
        content = list(self.content) or [TextContent(type="text", text=sendable(self.text))]
        return CallToolResult(content=content, structured_content=sendable(self.structured), is_error=self.is_error)


def finding_json(finding: Finding) -> JsonObject:
    """Return a finding with the keys that say something."""
    names = ("message", "file", "line", "column", "rule", "path", "fix", "severity")
    values = {name: getattr(finding, name) for name in names}
    return {name: value for name, value in values.items() if value}


MAX_FINDING_LINES = 40
"""Findings that a text lists; the structured content has all of them."""


def finding_lines(findings: Sequence[Finding]) -> list[str]:
    """Return a line for each finding, and one that says how many more there are."""
    lines = [
        f"{finding.severity}: {finding}" + (f" (at {finding.path})" if finding.path not in str(finding) else "")
        for finding in findings[:MAX_FINDING_LINES]
    ]
    if len(findings) > MAX_FINDING_LINES:
        lines.append(f"and {len(findings) - MAX_FINDING_LINES} more")
    return lines


def error_json(error: OstlerError) -> JsonObject:
    """Return what is known about `error`: code, message, where, what to do next, every problem."""
    facts: JsonObject = {"code": error.code, "message": clipped(error.summary)}
    for name in ("service", "step", "tool"):
        value = getattr(error, name)
        if value:
            facts[name] = value
    facts["nextActions"] = list(error.next_actions)
    facts["retryable"] = error.retryable
    match error:
        case ArgumentError():
            facts["problems"] = list(error.problems)
        case ManifestError():
            facts["findings"] = [finding_json(finding) for finding in error.findings]
        case TemplateError() | ClassUnavailableError():
            facts["missing"] = list(error.missing)
        case _:
            pass
    return facts


def error_result(error: OstlerError) -> CallToolResult:
    """Return the tool result that reports `error` to a client."""
    return _failed(str(error), error_json(error))


def internal_error_result(tool: str, error: Exception) -> CallToolResult:
    """Log an exception that no one foresaw, and return a result that names the tool and the log, not the inside."""
    logger.error("tool %s failed", tool, exc_info=error)
    where = f"the server's log for 'tool {tool} failed'"
    text = f"internal error in {tool} ({type(error).__name__}). Next: look at {where}; other tools keep working"
    if _was_replaced():
        text = (
            f"internal error in {tool} ({type(error).__name__}): Ostler's own files changed after this server started. "
            f"Next: ostler stop-server, and call again; services run on. If that does not help, look at {where}"
        )
    return _failed(text, {"code": "internal", "message": text, "tool": tool, "nextActions": [], "retryable": False})


def plain_result(result: CallToolResult) -> JsonObject | None:
    """Return a result as the SDK sends it; None if it holds anything but texts and facts."""
    content: list[JsonValue] = []
    for block in result.content:
        if not isinstance(block, TextContent) or block.annotations is not None or block.meta is not None:
            return None
        content.append({"text": block.text, "type": "text"})
    structured = {} if result.structured_content is None else {"structuredContent": result.structured_content}
    return {"content": content, "isError": result.is_error, "resultType": "complete", **structured}


def _was_replaced() -> bool:
    """Whether the package was updated or edited since this process loaded it: modules of both may not fit together."""
    try:
        if _PACKAGE.stat().st_ino != _INODE:
            return True
        return any(path.stat().st_mtime > _STARTED for path in _PACKAGE.parent.rglob("*.py"))
    except OSError:  # it is being replaced
        return True


def _failed(text: str, facts: JsonValue) -> CallToolResult:
    content = TextContent(type="text", text=sendable(clipped(text)))
    return CallToolResult(content=[content], structured_content={"error": sendable(facts)}, is_error=True)


def clipped(text: str, limit: int = MAX_ERROR_TEXT) -> str:
    """Return `text`, shortened to `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
