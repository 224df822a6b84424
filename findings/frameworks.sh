# Shared by scripts about agent frameworks: source it first, it sources agents.sh, of which it takes the MCP server "probe" and
# the model endpoint. It runs the frameworks' own agents for one conversation each, so no account is needed.
# shellcheck shell=bash
#
#   frameworks_install              openai-agents, google-adk, pydantic-ai, strands-agents and agno, versions below
#   ask_framework NAME CALLS        NAME is openai, adk, pydantic, strands or agno; CALLS as of ask_agent
#
# What it leaves, and how it is read, is as of ask_agent.

. "$(dirname "${BASH_SOURCE[0]}")/agents.sh"

frameworks_install() {
    venv_install "$WORK/frameworks" openai-agents==0.24.0 google-adk==2.13.0 "pydantic-ai-slim[mcp,openai]==2.68.0" \
        strands-agents==1.62.0 "agno[mcp]==3.1.10" openai==3.57.0 mcp==2.1.1
}

ask_framework() {
    local name=$1 calls=$2 folder="$WORK/$1-$2" port model
    mkdir -p "$folder"
    port=$(free_port)
    CALL=$calls python3 "$WORK/lib/model.py" "$port" "$folder/model.log" &
    model=$!
    wait_for 10 listens "$port" || unable "the model endpoint"
    # its own module "agents" is not ours
    PYTHONPATH="" bounded 120 "$WORK/frameworks/bin/python" "$WORK/framework.py" "$name" "http://127.0.0.1:$port" \
        "$WORK/lib/probe.py" "$folder/probe.log" >"$folder/out.txt" 2>"$folder/err.txt" || { tail -3 "$folder/err.txt" >&2; unable "$name"; }
    kill "$model" 2>/dev/null || true
}

cat >"$WORK/framework.py" <<'PYTHON'
import asyncio
import os
import sys

name, url, probe, log = sys.argv[1:]
SERVER = {"command": sys.executable, "args": [probe, log]}


async def openai():
    from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
    from agents.mcp import MCPServerStdio
    from openai import AsyncOpenAI

    set_tracing_disabled(True)
    model = OpenAIChatCompletionsModel(model="m", openai_client=AsyncOpenAI(base_url=url + "/v1", api_key="k"))
    async with MCPServerStdio(params=SERVER, client_session_timeout_seconds=60) as server:
        await Runner.run(Agent(name="a", mcp_servers=[server], model=model), "go")


async def adk():
    from google.adk.agents import LlmAgent
    from google.adk.runners import InMemoryRunner
    from google.adk.tools.mcp_tool import McpToolset, StdioConnectionParams
    from google.genai import types
    from mcp import StdioServerParameters

    os.environ.update(GOOGLE_API_KEY="k", GOOGLE_GEMINI_BASE_URL=url, GOOGLE_GENAI_USE_VERTEXAI="0")
    tools = McpToolset(connection_params=StdioConnectionParams(server_params=StdioServerParameters(**SERVER), timeout=60))
    runner = InMemoryRunner(LlmAgent(name="a", model="gemini-2.5-flash", tools=[tools]), app_name="a")
    session = await runner.session_service.create_session(app_name="a", user_id="u")
    message = types.Content(role="user", parts=[types.Part(text="go")])
    async for _ in runner.run_async(user_id="u", session_id=session.id, new_message=message):
        pass
    await tools.close()


async def pydantic():
    from fastmcp.client.transports import StdioTransport
    from pydantic_ai import Agent
    from pydantic_ai.mcp import MCPToolset
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel("m", provider=OpenAIProvider(base_url=url + "/v1", api_key="k"))
    agent = Agent(model, toolsets=[MCPToolset(StdioTransport(**SERVER))])
    async with agent:
        await agent.run("go")


async def strands():
    from mcp import StdioServerParameters, stdio_client
    from strands import Agent
    from strands.models.openai import OpenAIModel
    from strands.tools.mcp import MCPClient

    client = MCPClient(lambda: stdio_client(StdioServerParameters(**SERVER)))
    model = OpenAIModel(client_args={"base_url": url + "/v1", "api_key": "k"}, model_id="m")
    await Agent(model=model, tools=[client], callback_handler=None).invoke_async("go")


async def agno():
    from agno.agent import Agent
    from agno.models.openai import OpenAIChat
    from agno.tools.mcp import MCPTools
    from mcp import StdioServerParameters

    async with MCPTools(transport="stdio", server_params=StdioServerParameters(**SERVER), timeout_seconds=60) as tools:
        await Agent(model=OpenAIChat(id="m", base_url=url + "/v1", api_key="k"), tools=[tools], telemetry=False).arun("go")


asyncio.run(globals()[name]())
PYTHON
