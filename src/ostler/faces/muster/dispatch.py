"""Calls of the tools behind `call_tool`, with muster's phrases for what goes wrong."""

import json
from typing import cast

from mcp_types import CallToolResult, InputRequiredResult, TextContent

from ostler.adapters.serving.answers import clipped, internal_error_answer
from ostler.adapters.serving.asking import InputNeededError
from ostler.faces.mcp.confirmation import confirm_tool
from ostler.faces.mcp.definitions import Call
from ostler.faces.mcp.downstream_tools import answer_for_client, bounded_content
from ostler.faces.mcp.shapes import value_text
from ostler.faces.mcp.surface import ApplicationLike
from ostler.faces.mcp.toolbox import CONFIRMATIONS, refusal_of
from ostler.faces.muster.core_tool import OWN, CoreTool
from ostler.faces.muster.error_phrases import failure_text, with_core_names
from ostler.faces.muster.exposed_names import CORE, find_exposed, is_connected
from ostler.faces.muster.reachable_tools import CORE_TOOLS
from ostler.model.errors import OstlerError
from ostler.model.json import JsonObject


async def call_reachable(app: ApplicationLike, name: str, args: JsonObject, call: Call) -> CallToolResult | None:
    """Call the tool that muster calls `name`; None when there is none of the name."""
    if not name.startswith(CORE):
        return await _call_external(app, name, args, call)
    core = CORE_TOOLS.get(name.removeprefix(CORE))
    own = core.policy if core is not None and core.policy else name.removeprefix(CORE)
    if own not in OWN:
        return None
    if (refusal := await refusal_of(app, OWN[own])) is not None:
        return failed(str(refusal))
    try:
        await CONFIRMATIONS.confirm(app, OWN[own], args, call)
    except OstlerError as error:
        return failed(with_core_names(str(error)))
    if core is not None:
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
        return failed(failure_text(error, tool, args))
    except InputNeededError:
        raise
    except Exception as error:  # noqa: BLE001 (boundary: a bug in one tool is an answer, not the end)
        return internal_error_answer(f"{CORE}{tool.name}", error).result()
    if isinstance(answer, str):
        return text_result(answer)
    return text_result(json.dumps(answer, separators=(",", ":"), ensure_ascii=False, default=str))


async def _call_external(app: ApplicationLike, name: str, args: JsonObject, call: Call) -> CallToolResult | None:
    tool = find_exposed(app, name)
    if tool is None:
        return None
    if (refusal := await refusal_of(app, OWN["tool_call"])) is not None:  # it is the same call, by a shorter name
        return failed(str(refusal))
    gone = "" if is_connected(app, tool.server) else f"tool not found: {name}: "
    try:
        await confirm_tool(app, tool.qualified, args, call)
        response = await app.pool.call_tool(tool.qualified, args, progress=call.progress)
    except OstlerError as error:
        return failed(f"Tool execution failed: {gone}{with_core_names(str(error))}")
    response = await answer_for_client(app, tool.qualified, response)
    call.log.note(call.client, tool.qualified, args, response, app.manager.secrets())
    content, _ = bounded_content(response)
    if response.is_silent or not content:
        content = [TextContent(type="text", text=response.text or value_text(response.value))]
    structured = None if response.structured is None else cast("JsonObject", response.structured)
    return CallToolResult(content=list(content), structured_content=structured, is_error=response.is_error)


def failed(text: str) -> CallToolResult:
    """Return an error result."""
    return text_result(clipped(text)).model_copy(update={"is_error": True})


def text_result(text: str) -> CallToolResult:
    """Return a result that is a text."""
    return CallToolResult(content=[TextContent(type="text", text=text)])
