# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
"""Runs in the environment of one library: `python_client.py LIBRARY TARGET FOLDER` prints what happened as JSON.

TARGET is a URL, or a JSON list: the command of a stdio server. Each library is used as its documentation says.
"""

import asyncio  # noqa: TID251 (it runs in environments of others, without anyio)
import json
import sys
from contextlib import AsyncExitStack


class Tools:
    """What a library makes of the server's tools: `schemas` as it hands them to a model, and `call`.

    `handed` has all that it hands to a model of the tools, once for each form that it has, if it talks to models.
    """

    def __init__(self, schemas, call, note="", handed=None):
        self.schemas, self.call, self.note, self.handed = schemas, call, note, handed


async def mcp(stack, target):
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client
    from mcp.client.streamable_http import streamablehttp_client

    if isinstance(target, str):
        read, write, _ = await stack.enter_async_context(streamablehttp_client(target))
    else:
        read, write = await stack.enter_async_context(
            stdio_client(StdioServerParameters(command=target[0], args=target[1:]))
        )
    session = await stack.enter_async_context(ClientSession(read, write))
    await session.initialize()
    tools = (await session.list_tools()).tools

    async def call(name, args):
        result = await session.call_tool(name, args)
        return bool(result.isError), "".join(block.text for block in result.content)

    return Tools({tool.name: tool.inputSchema for tool in tools}, call)


async def fastmcp(stack, target):
    from fastmcp import Client

    config = {"url": target} if isinstance(target, str) else {"command": target[0], "args": target[1:]}
    client = await stack.enter_async_context(Client({"mcpServers": {"ostler": config}}))
    tools = await client.list_tools()

    async def call(name, args):
        result = await client.call_tool(name, args, raise_on_error=False)
        return result.is_error, "".join(block.text for block in result.content)

    def schema(tool):
        return getattr(tool, "inputSchema", None) or tool.input_schema

    return Tools({tool.name: schema(tool) for tool in tools}, call)


async def langchain(stack, target):
    from langchain_core.utils.function_calling import convert_to_openai_tool
    from langchain_mcp_adapters.client import MultiServerMCPClient
    from langchain_mcp_adapters.tools import load_mcp_tools

    config = (
        {"transport": "streamable_http", "url": target}
        if isinstance(target, str)
        else {"transport": "stdio", "command": target[0], "args": target[1:]}
    )
    session = await stack.enter_async_context(MultiServerMCPClient({"ostler": config}).session("ostler"))
    tools = {tool.name: tool for tool in await load_mcp_tools(session)}

    async def call(name, args):
        message = await tools[name].ainvoke({"type": "tool_call", "id": "1", "name": name, "args": args})
        text = "".join(part if isinstance(part, str) else part["text"] for part in message.content)
        return message.status == "error", text

    handed = [convert_to_openai_tool(tool)["function"] for tool in tools.values()]
    return Tools({tool["name"]: tool["parameters"] for tool in handed}, call, handed=[handed])


async def openai_agents(stack, target):
    from agents.mcp import MCPServerStdio, MCPServerStreamableHttp, MCPUtil
    from agents.models.openai_responses import Converter

    server = (
        MCPServerStreamableHttp(params={"url": target})
        if isinstance(target, str)
        else MCPServerStdio(params={"command": target[0], "args": target[1:]}, client_session_timeout_seconds=60)
    )
    await stack.enter_async_context(server)
    functions = [
        MCPUtil.to_function_tool(tool, server, convert_schemas_to_strict=True) for tool in await server.list_tools()
    ]

    async def call(name, args):
        result = await server.call_tool(name, args)
        failed = result.isError if hasattr(result, "isError") else result.is_error  # of MCP SDK 1, and of 2
        return bool(failed), "".join(block.text for block in result.content)

    strict = sum(function.strict_json_schema for function in functions)
    schemas = {function.name: function.params_json_schema for function in functions}
    handed = Converter.convert_tools(functions, []).tools
    return Tools(schemas, call, f"strict conversion on: {strict} of {len(functions)} tools become strict", [handed])


async def pydantic_ai(stack, target):
    import openai
    from fastmcp import Client
    from pydantic_ai import Agent
    from pydantic_ai.mcp import MCPToolset
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    config = {"url": target} if isinstance(target, str) else {"command": target[0], "args": target[1:]}
    server = MCPToolset(Client({"mcpServers": {"ostler": config}}))
    await stack.enter_async_context(server)
    bodies = []

    def answer(request):
        bodies.append(json.loads(request.content))
        message = {"role": "assistant", "content": "done"}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return http.Response(
            200, json={"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}
        )

    # The HTTP library that the installed openai is built on: httpx, or httpx2 since 3.0.
    http = sys.modules[openai.DefaultAsyncHttpxClient.__mro__[1].__module__.partition(".")[0]]
    web = http.AsyncClient(transport=http.MockTransport(answer))
    provider = OpenAIProvider(openai_client=openai.AsyncOpenAI(api_key="none", http_client=web))
    await Agent(OpenAIChatModel("gpt-4o", provider=provider), toolsets=[server]).run("hello")

    async def call(name, args):
        try:
            result = await server.direct_call_tool(name, args)
        except Exception as error:  # noqa: BLE001 (its ModelRetry is how it hands a failure to the model)
            return True, str(error)
        return False, json.dumps(result)

    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in bodies[0]["tools"]}
    return Tools(schemas, call, "the request body to OpenAI was captured", [bodies[0]["tools"]])


async def google_adk(stack, target):
    from google.adk.agents import LlmAgent
    from google.adk.agents.invocation_context import InvocationContext
    from google.adk.sessions import InMemorySessionService
    from google.adk.tools.mcp_tool.mcp_session_manager import StdioConnectionParams, StreamableHTTPConnectionParams
    from google.adk.tools.mcp_tool.mcp_toolset import McpToolset
    from google.adk.tools.tool_context import ToolContext
    from mcp import StdioServerParameters

    params = (
        StreamableHTTPConnectionParams(url=target)
        if isinstance(target, str)
        else StdioConnectionParams(server_params=StdioServerParameters(command=target[0], args=target[1:]), timeout=60)
    )
    toolset = McpToolset(connection_params=params)
    stack.push_async_callback(toolset.close)
    tools = {tool.name: tool for tool in await toolset.get_tools()}
    sessions = InMemorySessionService()
    session = await sessions.create_session(app_name="ostler", user_id="user")
    agent = LlmAgent(name="agent")
    turn = InvocationContext(invocation_id="1", agent=agent, session=session, session_service=sessions)

    async def call(name, args):
        # tools with a page show it through their context
        result = await tools[name].run_async(args=args, tool_context=ToolContext(turn, function_call_id=name))
        return bool(result.get("isError") or result.get("error")), json.dumps(result, default=str)

    schemas, handed = {}, []
    for name, tool in tools.items():
        declared = tool._get_declaration()  # noqa: SLF001 (what it hands to the model)
        handed.append(json.loads(declared.model_dump_json(exclude_none=True)))
        schema = declared.parameters_json_schema or declared.parameters
        schemas[name] = schema if isinstance(schema, dict) else json.loads(schema.model_dump_json(exclude_none=True))
    return Tools(schemas, call, handed=[handed])


async def main(library, target, folder):
    steps, note, name = [], "", "shop"
    async with AsyncExitStack() as stack:
        tools = await globals()[library](stack, target)
        steps.append("list")
        args = {"directory": folder}
        for step, tool, arguments in (
            ("create", "service_create", {"serviceClassName": "static-web-server", "name": name, "args": args}),
            ("status", "service_status", {"name": name}),
            ("wait", "service_wait", {"name": name, "state": ["running"]}),
            ("stop", "service_stop", {"name": name}),
            ("delete", "service_delete", {"name": name}),
        ):
            failed, text = await tools.call(tool, arguments)
            if failed:
                raise SystemExit(json.dumps({"steps": steps, "fault": f"{step}: {text[:300]}"}))
            if name not in text:
                raise SystemExit(json.dumps({"steps": steps, "fault": f"{step} says nothing of it: {text[:300]}"}))
            steps.append(step)
        failed, text = await tools.call("service_create", {"serviceClassName": "nothing"})
        if not failed or ("Next:" not in text and "nextActions" not in text):
            raise SystemExit(json.dumps({"steps": steps, "fault": f"the failure is not seen: {text[:300]}"}))
        steps.append("failure")
        note = tools.note
        schema = tools.schemas["service_create"]
    print(json.dumps({"steps": steps, "note": note, "args": schema["properties"]["args"], "handed": tools.handed}))


asyncio.run(main(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]))
