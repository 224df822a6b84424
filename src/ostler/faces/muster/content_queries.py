"""The meta-tools for resources and prompts, which are Ostler's own."""

from collections.abc import Sequence
from typing import cast

from mcp.shared.exceptions import MCPError
from mcp_types import (
    CallToolResult,
    GetPromptRequestParams,
    PaginatedRequestParams,
    Prompt,
    ReadResourceRequestParams,
    Resource,
    TextResourceContents,
)

from ostler.faces.mcp.prompts import ALL_PROMPTS
from ostler.faces.muster.core_tool import text_arg
from ostler.faces.muster.dispatch import failed, text_result
from ostler.faces.muster.meta_request import DEFAULT_LIMIT, Request, block_json, json_result, name_filter, number
from ostler.model.json import JsonObject, JsonValue, present
from ostler.model.tool_names import OWN_SERVER


async def _every_resource(request: Request) -> list[Resource]:
    found: list[Resource] = []
    cursor: str | None = None
    while True:
        page = await request.resources.list_resources(request.context, PaginatedRequestParams(cursor=cursor))
        found += page.resources
        if (cursor := page.next_cursor) is None:
            return found


async def list_resources(request: Request, args: JsonObject) -> CallToolResult:
    """List Ostler's resources."""
    del args
    return json_result([_resource(each) for each in await _every_resource(request)])


async def filter_resources(request: Request, args: JsonObject) -> CallToolResult:
    """Find resources by their address."""
    found = [each for each in await _every_resource(request) if _fits(str(each.uri), args)]
    return _page("resources", [_resource(each) for each in found], args)


async def describe_resource(request: Request, args: JsonObject) -> CallToolResult:
    """Show what is known about a resource."""
    uri = text_arg(args, "uri")
    found = next((each for each in await _every_resource(request) if str(each.uri) == uri), None)
    return failed(f"Resource not found: {uri}") if found is None else json_result(_resource(found))


async def get_resource(request: Request, args: JsonObject) -> CallToolResult:
    """Read a resource."""
    try:
        read = await request.resources.read(request.context, ReadResourceRequestParams(uri=text_arg(args, "uri")))
    except MCPError as error:
        return failed(f"Resource retrieval failed: {error.error.message}")
    return text_result("\n".join(each.text for each in read.contents if isinstance(each, TextResourceContents)))


def _resource(found: Resource) -> JsonObject:
    facts = {"description": found.description or found.name, "mimeType": found.mime_type}
    return {"uri": str(found.uri), "name": found.name, **present(facts), "server": OWN_SERVER}


async def _every_prompt(request: Request) -> Sequence[Prompt]:
    return (await ALL_PROMPTS.list_prompts(request.context, None)).prompts


async def list_the_prompts(request: Request, args: JsonObject) -> CallToolResult:
    """List Ostler's prompts."""
    del args
    return json_result([_prompt(each) for each in await _every_prompt(request)])


async def filter_prompts(request: Request, args: JsonObject) -> CallToolResult:
    """Find prompts by name."""
    found = [each for each in await _every_prompt(request) if _fits(each.name, args)]
    return _page("prompts", [_prompt(each) for each in found], args)


async def describe_prompt(request: Request, args: JsonObject) -> CallToolResult:
    """Show a prompt's arguments."""
    name = text_arg(args, "name")
    found = next((each for each in await _every_prompt(request) if each.name == name), None)
    if found is None:
        return failed(f"Prompt not found: {name}")
    takes = [each.model_dump(mode="json", exclude_none=True) for each in found.arguments or ()]
    return json_result({**_prompt(found), **present({"arguments": takes})})


async def get_a_prompt(request: Request, args: JsonObject) -> CallToolResult:
    """Return a prompt's messages."""
    given: JsonValue = args.get("arguments") or {}
    if not isinstance(given, dict):
        return failed("arguments must be a JSON object")
    values = {key: str(value) for key, value in cast("JsonObject", given).items()}
    try:
        found = await ALL_PROMPTS.get_prompt(
            request.context, GetPromptRequestParams(name=text_arg(args, "name"), arguments=values)
        )
    except MCPError as error:
        return failed(f"Prompt retrieval failed: {error.error.message}")
    return json_result([
        {"role": message.role, "content": block_json(message.content)} for message in found.messages
    ])  # fmt: skip


def _prompt(found: Prompt) -> JsonObject:
    return {"name": found.name, "description": found.description or "", "server": OWN_SERVER}


def _fits(name: str, args: JsonObject) -> bool:
    return text_arg(args, "server") in ("", OWN_SERVER) and name_filter(args)(name)


def _page(kind: str, found: Sequence[JsonObject], args: JsonObject) -> CallToolResult:
    limit, offset = number(args, "limit", DEFAULT_LIMIT, least=1), number(args, "offset", 0, least=0)
    shown = list(found[offset : offset + limit])
    return json_result({
        "filters": {**args, "limit": limit, "offset": offset},
        f"total_{kind}": len(found),
        "filtered_count": len(shown),
        "total": len(found),
        "truncated": offset + len(shown) < len(found),
        kind: shown,
    })  # fmt: skip
