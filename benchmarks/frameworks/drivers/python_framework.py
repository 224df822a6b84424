# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
"""Runs in the environment of one framework: `python_framework.py FRAMEWORK TARGET URL` lets its agent run to the end.

TARGET is a URL, or a JSON list: the command of a stdio server. URL is the model's. Each framework is used as its
documentation says.
"""

import asyncio  # noqa: TID251 (it runs in environments of others, without anyio)
import json
import sys


def parameters(target):
    from mcp import StdioServerParameters

    return StdioServerParameters(command=target[0], args=target[1:])


async def agno(target, url):
    from agno.agent import Agent
    from agno.models.openai import OpenAIChat
    from agno.tools.mcp import MCPTools

    tools = (
        MCPTools(transport="streamable-http", url=target)
        if isinstance(target, str)
        else MCPTools(transport="stdio", server_params=parameters(target))
    )
    async with tools:
        model = OpenAIChat(id="gpt-4o", base_url=url, api_key="none")
        await Agent(model=model, tools=[tools], telemetry=False).arun("go")


async def strands(target, url):
    from mcp import stdio_client
    from mcp.client.streamable_http import streamable_http_client
    from strands import Agent
    from strands.models.openai import OpenAIModel
    from strands.tools.mcp import MCPClient

    def connect():
        return streamable_http_client(target) if isinstance(target, str) else stdio_client(parameters(target))

    model = OpenAIModel(client_args={"api_key": "none", "base_url": url}, model_id="gpt-4o")
    with MCPClient(connect) as client:
        await Agent(model=model, tools=client.list_tools_sync(), callback_handler=None).invoke_async("go")


async def agent_framework(target, url):
    from agent_framework import MCPStdioTool, MCPStreamableHTTPTool
    from agent_framework.openai import OpenAIChatCompletionClient

    tool = (
        MCPStreamableHTTPTool(name="ostler", url=target)
        if isinstance(target, str)
        else MCPStdioTool(name="ostler", command=target[0], args=target[1:])
    )
    client = OpenAIChatCompletionClient(
        model="gpt-4o",
        api_key="none",
        base_url=url,
        function_invocation_configuration={"include_detailed_errors": True},
    )
    async with tool:
        await client.as_agent(name="agent", instructions="go", tools=tool).run("go")


async def smolagents(target, url):
    from smolagents import MCPClient, OpenAIServerModel, ToolCallingAgent

    server = {"url": target, "transport": "streamable-http"} if isinstance(target, str) else parameters(target)

    def run():
        with MCPClient(server, structured_output=False) as tools:
            model = OpenAIServerModel(model_id="gpt-4o", api_base=url, api_key="none")
            ToolCallingAgent(tools=tools, model=model, max_steps=9, verbosity_level=0).run("go")

    await asyncio.to_thread(run)


async def mcp_use(target, url):
    from langchain_openai import ChatOpenAI
    from mcp_use import MCPAgent, MCPClient

    entry = {"url": target} if isinstance(target, str) else {"command": target[0], "args": target[1:]}
    client = MCPClient({"mcpServers": {"ostler": entry}})
    model = ChatOpenAI(model="gpt-4o", base_url=url, api_key="none")
    try:
        await MCPAgent(llm=model, client=client, max_steps=20).run("go")
    finally:
        await client.close_all_sessions()


asyncio.run(globals()[sys.argv[1]](json.loads(sys.argv[2]), sys.argv[3]))
