"""The tools that muster publishes: to find tools, to call one, and the same for resources and prompts."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from mcp_types import CallToolResult
from msgspec import Struct

from ostler.adapters.serving.problems import near
from ostler.faces.muster import content_queries as content
from ostler.faces.muster import tool_queries as tools
from ostler.faces.muster.core_tool import ArgType, schema_of
from ostler.faces.muster.dispatch import failed
from ostler.faces.muster.meta_request import DEFAULT_LIMIT, Request
from ostler.model.errors import ArgumentError
from ostler.model.json import JsonObject

MetaHandler: TypeAlias = Callable[[Request, JsonObject], Awaitable[CallToolResult]]


class MetaTool(Struct, frozen=True):
    """One of the tools that tools/list shows."""

    name: str
    description: str
    handler: MetaHandler
    args: dict[str, tuple[ArgType, str]] = {}
    required: tuple[str, ...] = ()
    reads: bool = True

    def input_schema(self) -> JsonObject:
        """Return the JSON Schema of its arguments."""
        return schema_of(self.args, self.required)

    async def run(self, request: Request, args: JsonObject) -> CallToolResult:
        """Answer; an argument that is missing or unknown is an error result."""
        for name in self.required:
            if args.get(name) in (None, ""):
                return failed(f"{name} argument is required")
        unknown = [name for name in args if name not in self.args]
        if unknown:
            takes = f"it takes {', '.join(self.args)}" if self.args else "it takes none"
            hint = near(unknown[0], self.args)
            return failed(f"{self.name}: unknown argument {', '.join(map(repr, unknown))}{hint}; {takes}")
        try:
            return await self.handler(request, args)
        except ArgumentError as error:
            return failed("; ".join(error.problems))


_SCHEMA: tuple[ArgType, str] = ("boolean", "With the input schemas")
_PAGE: dict[str, tuple[ArgType, str]] = {
    "limit": ("number", f"At most this many (default: {DEFAULT_LIMIT})"),
    "offset": ("number", "How many to leave out before them (default: 0)"),
}
_CASE: tuple[ArgType, str] = ("boolean", "Tell upper and lower case apart")
_FIND: dict[str, tuple[ArgType, str]] = {
    "pattern": ("string", "Glob"),
    "server": ("string", "Only of this server"),
    "case_sensitive": _CASE,
    **_PAGE,
}
_SERVER: tuple[ArgType, str] = ("string", "Its server")

META_TOOLS = (
    MetaTool("list_tools", "List all tools that call_tool can call: core_… and x_<server>_…", tools.list_tools),
    MetaTool(
        "describe_tool",
        "Show a tool with its input schema",
        tools.describe_tool,
        {"name": ("string", "Name of the tool")},
        ("name",),
    ),
    MetaTool(
        "list_core_tools",
        "List the core_… tools: services, ServiceClasses and MCP servers",
        tools.list_core_tools,
        {"include_schema": ("boolean", "With the input schemas (default: true)")},
    ),
    MetaTool(
        "filter_tools",
        "Find tools by name, description or words",
        tools.filter_tools,
        {
            "pattern": ("string", "Glob for the name, such as x_docker_*"),
            "description_filter": ("string", "Text in the description"),
            "query": ("string", "Words; the best tools come first"),
            "labels": ("object", "Labels that it has to have; no tool has any here"),
            "case_sensitive": _CASE,
            "include_schema": _SCHEMA,
            **_PAGE,
            "limit": ("number", f"At most this many (default: {DEFAULT_LIMIT} with query, labels or offset, else all)"),
        },
    ),
    MetaTool(
        "call_tool",
        "Call a tool by its name. The text of the answer is the JSON of the tool's own result",
        tools.call_tool,
        {"name": ("string", "Name of the tool"), "arguments": ("object", "Its arguments; describe_tool shows them")},
        ("name",),
        reads=False,
    ),
    MetaTool("list_resources", "List all resources", content.list_resources),
    MetaTool("filter_resources", "Find resources by URI", content.filter_resources, _FIND),
    MetaTool(
        "describe_resource",
        "Show what is known about a resource",
        content.describe_resource,
        {"uri": ("string", "URI of the resource"), "server": _SERVER},
        ("uri",),
    ),
    MetaTool(
        "get_resource",
        "Read a resource",
        content.get_resource,
        {"uri": ("string", "URI of the resource"), "server": _SERVER},
        ("uri",),
    ),
    MetaTool("list_prompts", "List all prompts", content.list_the_prompts),
    MetaTool("filter_prompts", "Find prompts by name", content.filter_prompts, _FIND),
    MetaTool(
        "describe_prompt",
        "Show a prompt's arguments",
        content.describe_prompt,
        {"name": ("string", "Name of the prompt")},
        ("name",),
    ),
    MetaTool(
        "get_prompt",
        "Get a prompt's messages",
        content.get_a_prompt,
        {"name": ("string", "Name of the prompt"), "arguments": ("object", "Its arguments")},
        ("name",),
    ),
)
