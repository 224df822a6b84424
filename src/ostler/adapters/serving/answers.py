"""What a tool answers, and the one place where errors become tool results."""

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

import mcp_types as types
from msgspec import Struct

import ostler
from ostler.model.errors import (
    ArgumentError,
    ClassUnavailableError,
    Finding,
    ManifestError,
    OstlerError,
    TemplateError,
)
from ostler.model.json import JsonObject, as_object, sendable

logger = logging.getLogger(__name__)

_STARTED = time.time() - 1
"""When this process began, with room for the clock of files, which may be behind this one."""

_PACKAGE = Path(ostler.__file__)


def _identity_of(file: os.stat_result) -> tuple[int, int]:
    """Return what one file has and no other: installers set times, and the number of an inode is used again."""
    return file.st_ino, file.st_ctime_ns


_IDENTITY = _identity_of(_PACKAGE.stat())

MAX_ERROR_TEXT = 8_000
"""Characters of an error's text that are sent."""


class Answer(Struct, frozen=True):
    """A tool's answer.

    Attributes:
        structured: the facts, by the tool's output schema; None: there are none.
        text: the same for people and for clients that show text only; short.
        content: content blocks to send instead of `text` (a downstream tool's own answer).
        is_error: the tool failed; a downstream tool's own failure is passed on as it came.
        meta: the result's `_meta`.
    """

    structured: JsonObject | None
    text: str
    content: "Sequence[types.ContentBlock]" = ()
    is_error: bool = False
    meta: JsonObject = {}

    def result(self) -> "types.CallToolResult":
        """Return it as a result of the SDK."""
        return types.CallToolResult(
            content=list(self.content) or [types.TextContent(type="text", text=sendable(self.text))],
            structured_content=sendable(self.structured),
            is_error=self.is_error,
            _meta=self.meta or None,
        )

    def plain(self) -> JsonObject:
        """Return it as the SDK sends `result`; to define its types takes longer than the start of a program."""
        return as_object(sendable(self.unchecked()))

    def unchecked(self) -> JsonObject:
        """Return `plain` as it is before halves of surrogate pairs are replaced: for `encoded_to_send`."""
        blocks = [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in self.content]
        content = blocks or [{"text": self.text, "type": "text"}]
        structured = {} if self.structured is None else {"structuredContent": self.structured}
        meta = {"_meta": self.meta} if self.meta else {}
        return {"content": content, "isError": self.is_error, "resultType": "complete", **structured, **meta}


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


def error_answer(error: OstlerError) -> Answer:
    """Return the answer that reports `error` to a client."""
    return _failed(str(error), error_json(error))


def error_result(error: OstlerError) -> "types.CallToolResult":
    """Return `error_answer` as a result of the SDK."""
    return error_answer(error).result()


def internal_error_answer(tool: str, error: Exception) -> Answer:
    """Log an exception that no one foresaw, and return an answer that names the tool and the log, not the inside."""
    logger.error("tool %s failed", tool, exc_info=error)
    where = f"the server's log for 'tool {tool} failed'"
    text = f"internal error in {tool} ({type(error).__name__}). Next: look at {where}; other tools keep working"
    if _was_replaced():
        text = (
            f"internal error in {tool} ({type(error).__name__}): Ostler's own files changed after this server started. "
            f"Next: ostler stop-server, and call again; services run on. If that does not help, look at {where}"
        )
    return _failed(text, {"code": "internal", "message": text, "tool": tool, "nextActions": [], "retryable": False})


def _was_replaced() -> bool:
    """Whether the package was updated or edited since this process loaded it: modules of both may not fit together."""
    try:
        if _identity_of(_PACKAGE.stat()) != _IDENTITY:
            return True
        return any(path.stat().st_mtime > _STARTED for path in _PACKAGE.parent.rglob("*.py"))
    except OSError:  # it is being replaced
        return True


def _failed(text: str, facts: JsonObject) -> Answer:
    return Answer({"error": facts}, clipped(text), is_error=True)


def clipped(text: str, limit: int = MAX_ERROR_TEXT) -> str:
    """Return `text`, shortened to `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
