"""Tools as a table: what each is called, takes, gives and may do, who answers it, and how a call finds its way."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Generic, TypeVar

import mcp_types as types
from mcp.shared import exceptions as sdk_errors
from msgspec import Struct
from msgspec.structs import replace
from pydantic import BaseModel

from ostler.adapters.serving.answers import Answer, error_answer, internal_error_answer
from ostler.adapters.serving.arguments import Args
from ostler.adapters.serving.asking import InputNeededError
from ostler.adapters.serving.problems import near, read_args
from ostler.adapters.serving.schemas import model_schema
from ostler.model.errors import OstlerError
from ostler.model.json import JsonObject
from ostler.model.responses import NEXT_MARK

AppT = TypeVar("AppT")
ArgsT = TypeVar("ArgsT", bound=Args)
CallT = TypeVar("CallT")


class Effect(Enum):
    """What a tool may do, in words, and as clients' hints: (words, read only, destructive, idempotent, open world)."""

    READS = ("reads only", True, False, True, False)
    WRITES = ("writes Ostler's own files", False, False, True, False)
    SHOWS_SECRETS = ("shows secrets", False, False, True, False)
    """Changes nothing, but must not be called without being asked for, as clients do with what only reads."""
    ADDS = ("makes something new", False, False, False, True)
    RUNS = ("starts something; again is harmless", False, False, True, True)
    STOPS = ("ends what runs; again is harmless", False, True, True, True)
    REMOVES = ("replaces or removes Ostler's own files", False, True, True, False)
    ANYTHING = ("does whatever the MCP server's tool does", False, True, False, True)

    @property
    def words(self) -> str:
        """What a tool does, for a table."""
        return self.value[0]

    def annotations(self) -> "types.ToolAnnotations":
        """Return the hints; those that mean nothing for a reading tool, or say what is assumed, are left out."""
        _, reads, destroys, idempotent, is_open = self.value
        if reads:
            return types.ToolAnnotations(read_only_hint=True)
        return types.ToolAnnotations(
            destructive_hint=destroys,
            idempotent_hint=idempotent,
            open_world_hint=None if is_open else False,
        )


class ToolDefinition(Struct, Generic[AppT, ArgsT, CallT], frozen=True):
    """A tool.

    Attributes:
        name: as clients call it.
        title: for people.
        description: one or two sentences to an agent.
        args: the arguments' model.
        output: the JSON Schema of the structured answer, or the model that it is made from when tools are listed.
        effect: what it may do.
        handler: answers a call; raises OstlerError.
        core: whether the small toolset has it.
        page: the `ui://` resource that clients with MCP Apps show with its answers.
        exact: `output` says exactly what a success holds, so a failure, which is none, has a text only.
    """

    name: str
    title: str
    description: str
    args: type[ArgsT]
    output: JsonObject | type[BaseModel]
    effect: Effect
    handler: Callable[[AppT, ArgsT, CallT], Awaitable[Answer]]
    core: bool = False
    exact: bool = False
    page: str = ""

    def tool(self, *, brief: bool = True) -> "types.Tool":
        """Return it as tools/list shows it; `brief` as for `model_schema`."""
        return types.Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=model_schema(self.args, brief=brief),
            output_schema=self.output if isinstance(self.output, dict) else model_schema(self.output, output=True),
            annotations=self.effect.annotations(),
            _meta={"ui": {"resourceUri": self.page}} if self.page else None,
        )

    async def answer(
        self, app: AppT, arguments: Mapping[str, Any] | None, call: CallT
    ) -> "Answer | types.InputRequiredResult":
        """Answer a call: whatever goes wrong is an answer with `is_error`, which an agent can read and act on.

        Raises:
            MCPError: the call is not to be answered.
        """
        try:
            args = read_args(self.name, self.args, arguments)
            return await self.handler(app, args, call)
        except InputNeededError as needed:
            return needed.result
        except OstlerError as error:
            failure = error_answer(error)
            if self.exact:
                return replace(failure, structured=None, meta={NEXT_MARK: list(error.next_actions)})
            return failure
        except sdk_errors.MCPError:
            raise
        except Exception as error:  # noqa: BLE001 (boundary: a bug in one tool is an answer, not the end)
            failure = internal_error_answer(self.name, error)
            return replace(failure, structured=None) if self.exact else failure

    async def run(
        self, app: AppT, arguments: Mapping[str, Any] | None, call: CallT
    ) -> "types.CallToolResult | types.InputRequiredResult":
        """Answer a call as `answer` does, with a result of the SDK."""
        found = await self.answer(app, arguments, call)
        return found.result() if isinstance(found, Answer) else found


class ToolTable(Generic[AppT, CallT]):
    """The tools of one server, by name."""

    def __init__(self, tools: Iterable[ToolDefinition[AppT, Any, CallT]], *, brief: bool = True) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._brief = brief
        self._listed: types.ListToolsResult | None = None

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __repr__(self) -> str:
        return f"ToolTable({len(self._tools)} tools)"

    @property
    def names(self) -> list[str]:
        """The tools' names, in the order of tools/list."""
        return list(self._tools)

    def page(self, params: "types.PaginatedRequestParams | None") -> "types.ListToolsResult":
        """Return what tools/list answers: always the same tools, on one page.

        Raises:
            MCPError: a cursor was sent, and there is no second page.
        """
        refuse_cursor(params)
        if self._listed is None:
            self._listed = types.ListToolsResult(tools=[tool.tool(brief=self._brief) for tool in self._tools.values()])
        return self._listed

    def get(self, name: str) -> ToolDefinition[AppT, Any, CallT]:
        """Return the tool `name`.

        Raises:
            MCPError: there is none.
        """
        tool = self._tools.get(name)
        if tool is None:
            raise sdk_errors.MCPError(
                types.INVALID_PARAMS,
                f"tool {name!r} not found{near(name, self._tools) or '; tools/list shows the tools'}",
            )
        return tool


def refuse_cursor(params: "types.PaginatedRequestParams | None") -> None:
    """Refuse the cursor of a list that has one page.

    Raises:
        MCPError: there is one.
    """
    if params is not None and params.cursor:
        raise sdk_errors.MCPError(
            types.INVALID_PARAMS, f"cursor {params.cursor[:80]!r} is not of this list, which has one page; leave it out"
        )
