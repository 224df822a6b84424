"""Calls of the tools behind `call_tool`, with muster's phrases for what goes wrong."""

import json
import re
from typing import cast

from mcp_types import CallToolResult, InputRequiredResult, TextContent

from ostler.adapters.serving.answers import clipped, internal_error_result
from ostler.adapters.serving.asking import InputNeededError
from ostler.faces.mcp.confirmation import confirm_tool
from ostler.faces.mcp.definitions import Call
from ostler.faces.mcp.downstream_tools import bounded_content
from ostler.faces.mcp.shapes import value_text
from ostler.faces.mcp.surface import ApplicationLike
from ostler.faces.mcp.toolbox import CONFIRMATIONS, denied
from ostler.faces.muster.core_tool import OWN, CoreTool
from ostler.faces.muster.exposed_names import CORE, find_exposed
from ostler.faces.muster.reachable_tools import CORE_TOOLS
from ostler.model.errors import ArgumentError, ClassUnavailableError, NotFoundError, OstlerError, TemplateError
from ostler.model.json import JsonObject

_ARGUMENT = re.compile(r"(missing required|unknown) argument '([^']*)'")
_META = {"tool_list": "list_tools", "tool_describe": "describe_tool", "tool_call": "call_tool"}
_OWN_NAME = re.compile(rf"(?<![\w/])(?:{'|'.join(sorted(OWN, key=len, reverse=True))})\b")


async def call_reachable(app: ApplicationLike, name: str, args: JsonObject, call: Call) -> CallToolResult | None:
    """Call the tool that muster calls `name`; None when there is none of the name."""
    if not name.startswith(CORE):
        return await _call_external(app, name, args, call)
    own = name.removeprefix(CORE)
    if own not in OWN:
        return None
    if app.denies(own):
        return failed(str(denied(own)))
    try:
        await CONFIRMATIONS.confirm(app, OWN[own], args, call)
    except OstlerError as error:
        return failed(with_core_names(_phrase(error)))
    if (core := CORE_TOOLS.get(own)) is not None:
        return await _call_core(app, core, args, call)
    found = await OWN[own].run(app, args, call)
    if isinstance(found, InputRequiredResult):
        raise InputNeededError(found)
    text = "\n".join(block.text for block in found.content if isinstance(block, TextContent))
    return failed(with_core_names(text)) if found.is_error else text_result(text)


async def _call_core(app: ApplicationLike, tool: CoreTool, args: JsonObject, call: Call) -> CallToolResult:
    try:
        answer = await tool.answer(app, args, call)
    except OstlerError as error:
        text = with_core_names(_phrase(error))
        return failed(f"{tool.failure}: {text}" if tool.failure else text)
    except InputNeededError:
        raise
    except Exception as error:  # noqa: BLE001 (boundary: a bug in one tool is an answer, not the end)
        return internal_error_result(f"{CORE}{tool.name}", error)
    if isinstance(answer, str):
        return text_result(answer)
    return text_result(json.dumps(answer, separators=(",", ":"), ensure_ascii=False, default=str))


async def _call_external(app: ApplicationLike, name: str, args: JsonObject, call: Call) -> CallToolResult | None:
    tool = find_exposed(app, name)
    if tool is None:
        return None
    if app.denies("tool_call"):  # it is the same call, by a shorter name
        return failed(str(denied("tool_call")))
    try:
        await confirm_tool(app, tool.qualified, args, call)
        response = await app.pool.call_tool(tool.qualified, args, progress=call.progress)
    except OstlerError as error:
        return failed(f"Tool execution failed: {with_core_names(str(error))}")
    call.log.note(call.client, tool.qualified, args, response, app.manager.secrets())
    content, _ = bounded_content(response)
    if response.is_silent or not content:
        content = [TextContent(type="text", text=response.text or value_text(response.value))]
    structured = None if response.structured is None else cast("JsonObject", response.structured)
    return CallToolResult(content=list(content), structured_content=structured, is_error=response.is_error)


def _phrase(error: OstlerError) -> str:
    """Return an error's text with muster's own words for what is missing, unknown or could not be started."""
    text = str(error)
    match error:
        case NotFoundError(kind=kind, name=name):
            return text.replace(f"{kind} {name!r} not found", f"{kind} {name} not found", 1)
        case ArgumentError():
            return _ARGUMENT.sub(r"\1 argument: \2", text)
        case ClassUnavailableError(class_name=name):
            said = f"ServiceClass {name!r} not available (missing required tools: "
            return text.replace(said, f"ServiceClass {name} is not available (missing required tools): (", 1)
        case TemplateError(missing=missing) if missing:
            step = f"failed to process {error.step or 'tool'} tool arguments"
            text = f"{step}: missing template variables: {', '.join(missing)}: {text}"
        case _:
            pass
    return f"failed to start ServiceClass instance: {text}" if error.step == "start" else text


def with_core_names(text: str) -> str:
    """Return a text in which Ostler's tools have the names by which these callers reach them."""
    return _OWN_NAME.sub(lambda found: _META.get(found[0], f"{CORE}{found[0]}"), text)


def failed(text: str) -> CallToolResult:
    """Return an error result."""
    return text_result(clipped(text)).model_copy(update={"is_error": True})


def text_result(text: str) -> CallToolResult:
    """Return a result that is a text."""
    return CallToolResult(content=[TextContent(type="text", text=text)])
