"""Prompts: set up a service, write a ServiceClass for a server, find out what is wrong with a service."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

from mcp.server import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    PaginatedRequestParams,
    Prompt,
    PromptArgument,
    PromptMessage,
    TextContent,
)
from msgspec import Struct

from ostler.adapters.serving.problems import near
from ostler.adapters.serving.table import refuse_cursor
from ostler.faces.mcp.lifespan import Lifespan

_EXAMPLE = """\
apiVersion: ostler/v1
kind: ServiceClass
metadata:
  name: my-service
spec:
  description: What one instance is, in one sentence.
  args:
    folder: {type: string, required: true}
    port: {type: integer, default: 8080, minimum: 1, maximum: 65535}
  serviceConfig:
    lifecycleTools:
      start:
        tool: SERVER/TOOL
        args: {path: "{{ folder }}", port: "{{ port }}"}
        outputs: {id: id}            # JMESPath over the tool's answer
      stop:
        tool: SERVER/TOOL
        args: {id: "{{ start.id }}"}
      ready:                         # optional: repeated until it passes
        tool: SERVER/TOOL
        args: {id: "{{ start.id }}"}
        expect: {jsonPath: {state: running}}
      healthCheck:                   # optional
        tool: SERVER/TOOL
        args: {id: "{{ start.id }}"}
        expect: {jsonPath: {state: running}}
    healthCheck: {interval: 30s, failureThreshold: 3}
    timeout: {create: 1m, delete: 30s}
    outputs:
      url: "http://127.0.0.1:{{ port }}/"
"""


class PromptDefinition(Struct, frozen=True):
    """A prompt: its arguments are (name, description, required). Offered if there are the `tools` that it names."""

    name: str
    title: str
    description: str
    arguments: tuple[tuple[str, str, bool], ...]
    tools: frozenset[str]
    text: Callable[[Mapping[str, str]], str]


def _setup(given: Mapping[str, str]) -> str:
    goal = given.get("goal", "").strip()
    wanted = given.get("serviceClassName", "").strip()
    look = (
        f"Read the class {wanted!r} with serviceclass_get."
        if wanted
        else "Call serviceclass_list and choose the class that fits; say so if none does."
    )
    purpose = f"Set up this service with Ostler: {goal}" if goal else "Set up a service with Ostler."
    return (
        f"{purpose}\n\n"
        f"1. {look} If it is not available, tell me what it needs.\n"
        "2. Ask me for required arguments that you do not know; do not invent paths, ports or credentials.\n"
        "3. Call service_create; it lists every problem with the arguments at once.\n"
        "4. If the answer has finished=false, use service_wait until it is running or failed.\n"
        "5. Tell me its name, its outputs (such as the URL) and how to stop it (service_stop). If it failed, show the "
        "error and the end of service_logs."
    )


def _write(given: Mapping[str, str]) -> str:
    server = given["server"]
    goal = given.get("goal", "").strip()
    about = f" It is for: {goal}." if goal else ""
    return (
        f"Write an Ostler ServiceClass that drives services through the MCP server {server!r}.{about}\n\n"
        f"1. Call serviceclass_draft with server={server!r}: it drafts the class from the server's tools and asks what "
        "it could not know. tool_describe shows a tool; use only tools and arguments that exist.\n"
        "2. Answer its questions in the manifest. The form, of which you leave out what is not needed:\n\n"
        f"```yaml\n{_EXAMPLE}```\n\n"
        "Templates are Jinja2: args by name, {{ name }} is the service's name, {{ start.x }} an output of the start "
        "tool. If the server answers in prose, take outputs with {regex: 'pid (?P<pid>\\\\d+)'}.\n"
        "3. Check it with serviceclass_check and correct every finding.\n"
        "4. Show me the manifest; when I agree, save it with serviceclass_create and try it with one instance."
    )


def _diagnose(given: Mapping[str, str]) -> str:
    name = given["name"]
    return (
        f"Find out what is wrong with the service {name!r}.\n\n"
        f"1. service_explain {name}: the causes that are known, the last calls, and what to call next.\n"
        f"2. service_logs {name} with errorsOnly, then without: its own log.\n"
        f"3. service_events with name={name!r}: what happened before it went wrong.\n"
        "4. If its MCP server is unreachable, look at mcpserver_get for that server: the service itself may be well. "
        "If it waits for a dependency, explain that one.\n"
        "Then tell me the cause, what shows it, and one next step. Do not restart or delete anything before I agree."
    )


PROMPTS = (
    PromptDefinition(
        "setup_service",
        "Set up a service",
        "Choose a class, ask for what is missing, create the service and report.",
        (("goal", "What is wanted", False), ("serviceClassName", "The class to use", False)),
        frozenset({"serviceclass_list", "serviceclass_get", "service_create", "service_wait", "service_logs"}),
        _setup,
    ),
    PromptDefinition(
        "write_serviceclass",
        "Write a ServiceClass",
        "Write a ServiceClass for the tools of an MCP server.",
        (("server", "The MCP server", True), ("goal", "What its services are", False)),
        frozenset({"serviceclass_draft", "tool_describe", "serviceclass_check", "serviceclass_create"}),
        _write,
    ),
    PromptDefinition(
        "diagnose_service",
        "Diagnose a service",
        "Find out why a service is not well, without changing it.",
        (("name", "The service", True),),
        frozenset({"service_explain", "service_logs", "service_events", "mcpserver_get"}),
        _diagnose,
    ),
)


class Prompts:
    """Answers prompts/list and prompts/get for connections that have `tools`; None: all of Ostler's."""

    def __init__(self, tools: AbstractSet[str] | None = None) -> None:
        self._offered = [prompt for prompt in PROMPTS if tools is None or prompt.tools <= tools]

    async def list_prompts(
        self, context: ServerRequestContext[Lifespan], params: PaginatedRequestParams | None
    ) -> ListPromptsResult:
        """List the prompts."""
        del context
        refuse_cursor(params)
        return ListPromptsResult(
            prompts=[
                Prompt(
                    name=prompt.name,
                    title=prompt.title,
                    description=prompt.description,
                    arguments=[
                        PromptArgument(name=name, description=description, required=required)
                        for name, description, required in prompt.arguments
                    ],
                )
                for prompt in self._offered
            ]
        )

    async def get_prompt(
        self, context: ServerRequestContext[Lifespan], params: GetPromptRequestParams
    ) -> GetPromptResult:
        """Return one prompt's message.

        Raises:
            MCPError: there is no such prompt, or a required argument is missing.
        """
        del context
        prompt = next((item for item in self._offered if item.name == params.name), None)
        if prompt is None:
            hint = near(params.name, [item.name for item in self._offered])
            raise MCPError(INVALID_PARAMS, f"prompt {params.name!r} not found{hint}")
        given = dict(params.arguments or {})
        missing = [name for name, _, required in prompt.arguments if required and not given.get(name, "").strip()]
        if missing:
            raise MCPError(INVALID_PARAMS, f"prompt {prompt.name!r}: {', '.join(missing)} is required")
        message = PromptMessage(role="user", content=TextContent(type="text", text=prompt.text(given)))
        return GetPromptResult(description=prompt.description, messages=[message])


ALL_PROMPTS = Prompts()
"""All prompts, for connections that have all tools."""
