"""Tools lists and answers that do not quite follow the protocol, made to: one odd tool must not cost its server.

The SDK checks a whole list at once and refuses all of it for one tool. So each tool is checked alone before the SDK
sees the list: what is wrong with it is left out or replaced, and said; a tool that has no usable name is left out.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeGuard, cast

import mcp_types as types
from mcp.shared import message as sdk_message
from pydantic import BaseModel, ValidationError

from ostler.adapters.downstream.streams import Reads, Writes
from ostler.engine.clock import in_turns
from ostler.model.json import JsonObject, JsonValue, finite_number
from ostler.model.responses import NEXT_MARK

if TYPE_CHECKING:
    from mcp.shared.message import SessionMessage

STRUCTURED_MARK: Final = "ostler/structuredContent"
"""Key in a tool result's `_meta`: a structured answer that the older protocol, which wants an object, forbids."""

_EMPTY_LIST: Final[JsonObject] = {"tools": [], "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
_ANY_OBJECT: Final[JsonObject] = {"type": "object"}
_MAX_REPAIRS: Final = 12
_SHOWN: Final = 80

_LATER: Final = ("resultType", "inputRequests", "requestState")
"""What a result of a call has only in later versions of the protocol: the SDK leaves it out, too."""


class ToolListRepair:
    """Repairs what one connection's server answers to tools/list and tools/call.

    Attributes:
        version: the protocol version in force, once the handshake is over.
        notes: what was odd, by the tool's name.
        left_out: what was wrong with the tools that could not be kept.
    """

    def __init__(self) -> None:
        self.version = "2025-11-25"
        self.notes: dict[str, str] = {}
        self.left_out: list[str] = []
        self._asked: dict[str | int, str] = {}

    @asynccontextmanager
    async def around(self, transport: AbstractAsyncContextManager[Any]) -> AsyncGenerator[tuple[Any, Any]]:
        """Yield the streams of `transport`, with this in between."""
        async with transport as (reads, writes):
            yield Reads(reads, change=self.received), Writes(writes, self.sent)

    def begin(self) -> None:
        """Forget what an earlier list had."""
        self.notes = {}
        self.left_out = []

    def sent(self, message: "SessionMessage") -> None:
        """Remember which request `message` is."""
        request = message.message
        if isinstance(request, types.JSONRPCRequest) and request.method in ("tools/list", "tools/call"):
            self._asked[request.id] = request.method

    async def received(self, message: "SessionMessage") -> "SessionMessage":
        """Return `message`, repaired when it answers such a request, or reports its progress."""
        answer = message.message
        if isinstance(answer, types.JSONRPCNotification) and answer.method == "notifications/progress":
            return _with_finite_progress(message, answer)
        if not isinstance(answer, types.JSONRPCResponse | types.JSONRPCError) or answer.id is None:
            return message
        method = self._asked.pop(answer.id, None)
        if method is None or isinstance(answer, types.JSONRPCError):
            return message
        result = await self._list(answer.result) if method == "tools/list" else self._call_result(answer.result)
        if result is answer.result:
            return message
        return sdk_message.SessionMessage(answer.model_copy(update={"result": result}), message.metadata)

    # -- lists -------------------------------------------------------------------------------------------------

    async def _list(self, result: JsonObject) -> JsonObject:
        tools = result.get("tools")
        listed = cast("list[JsonValue]", tools) if isinstance(tools, list) else []
        if _is_object(tools):  # by name, as some write them
            listed = [{"name": name, **tool} for name, tool in tools.items() if _is_object(tool)]
        repaired = await in_turns(self._tool(tool, index) for index, tool in enumerate(listed))
        kept: list[JsonValue] = [tool for tool in repaired if tool is not None]
        cursor = result.get("nextCursor")
        fine = {key: value for key, value in result.items() if key in ("ttlMs", "cacheScope", "resultType")}
        rest = _EMPTY_LIST | fine
        if _complaint(self.version, rest) is not None:
            rest = _EMPTY_LIST
        return rest | {"tools": kept} | ({"nextCursor": cursor} if isinstance(cursor, str) and cursor else {})

    def _tool(self, tool: JsonValue, index: int) -> JsonObject | None:
        if not _is_object(tool) or not isinstance(tool.get("name"), str) or not tool["name"]:
            self.left_out.append(f"tool {index + 1} of its list has no name and was left out")
            return None
        name = cast("str", tool["name"])
        repaired = dict(tool)
        notes = _plain_schemas(repaired)
        for _ in range(_MAX_REPAIRS):
            complaint = _complaint(self.version, _EMPTY_LIST | {"tools": [repaired]})
            if complaint is None:
                if notes:
                    self.notes[name] = "; ".join(notes)
                return repaired
            place, message = complaint
            if not place or place[0] == "name":
                break
            notes.append(_without(repaired, place, message))
        self.left_out.append(f"tool {name!r} was left out: it does not follow the protocol")
        return None

    # -- answers -----------------------------------------------------------------------------------------------

    def checked_call_result(self, result: JsonObject) -> JsonObject:
        """Return what a call in a protocol with a handshake has come to, repaired, and checked as the SDK checks it.

        Raises:
            ValidationError: it does not follow the protocol.
        """
        from mcp_types import methods  # noqa: PLC0415 (it is large, and only servers outside are checked)

        kept = {key: value for key, value in self._call_result(result).items() if key not in _LATER}
        cast("type[BaseModel]", methods.SERVER_RESULTS["tools/call", self.version]).model_validate(kept, by_name=False)
        return kept

    def _call_result(self, result: JsonObject) -> JsonObject:
        structured = result.get("structuredContent")
        changed = dict(result)
        if structured is not None and not _is_object(structured) and self.version < "2026":
            del changed["structuredContent"]
            meta = changed.get("_meta")
            changed["_meta"] = {**(meta if _is_object(meta) else {}), STRUCTURED_MARK: structured}
        if changed.get("content") is None and ("content" in changed or structured is not None):
            changed["content"] = []
        return changed if changed != result else result


def _with_finite_progress(message: "SessionMessage", notification: "types.JSONRPCNotification") -> "SessionMessage":
    """Leave out a number that no float can be: at such a one the SDK's session would end."""
    params = notification.params or {}
    odd = {key: None for key in ("progress", "total") if key in params and finite_number(params[key]) is None}
    if not odd:
        return message
    return sdk_message.SessionMessage(notification.model_copy(update={"params": params | odd}), message.metadata)


def structured_of(result: JsonObject) -> JsonValue:
    """Return the structured answer in `result`, as the server wrote it."""
    meta = result.get("_meta")
    if _is_object(meta) and STRUCTURED_MARK in meta:
        return meta[STRUCTURED_MARK]
    return result.get("structuredContent")


def next_steps_of(result: JsonObject) -> tuple[str, ...]:
    """Return the next steps that a failure of a built-in server lists under `NEXT_MARK`; none for a success."""
    meta = result.get("_meta")
    steps = meta.get(NEXT_MARK) if _is_object(meta) and result.get("isError") else None
    return tuple(map(str, cast("list[JsonValue]", steps))) if isinstance(steps, list) else ()


def _complaint(version: str, result: JsonObject) -> tuple[tuple[str, ...], str] | None:
    """Return where in its (first) tool `result` breaks the protocol, and how; None when it does not."""
    from mcp_types import methods  # noqa: PLC0415 (as above)

    try:
        methods.validate_server_result("tools/list", version, result)
        types.ListToolsResult.model_validate(result, by_name=False)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return tuple(str(part) for part in problem["loc"][2:]), problem["msg"]
    except (KeyError, ValueError):  # a version that the SDK negotiated and does not check
        return None
    return None


def _plain_schemas(tool: JsonObject) -> list[str]:
    """Take out of the schemas what every reader of a JSON Schema relies on and the newer protocol lets through."""
    notes: list[str] = []
    for field in ("inputSchema", "outputSchema"):
        schema = tool.get(field)
        if not _is_object(schema):
            continue
        properties, required = schema.get("properties"), schema.get("required")
        wrong = {
            "properties": properties is not None and not _is_object(properties),
            "required": required is not None
            and not (
                isinstance(required, list) and all(isinstance(one, str) for one in cast("list[JsonValue]", required))
            ),
        }
        for key in [key for key, is_wrong in wrong.items() if is_wrong]:
            schema = {name: value for name, value in schema.items() if name != key}
            notes.append(f"'{key}' of its {field} is {_kind(tool[field][key])} and is left out")
        tool[field] = schema
    return notes


def _without(tool: JsonObject, place: tuple[str, ...], message: str) -> str:
    """Take out of `tool` what is wrong at `place`; return what was done."""
    field = place[0]
    value = tool.get(field)
    if field != "inputSchema":
        del tool[field]
        return f"its {field} does not follow the protocol ({_words(place[1:], message)}) and is left out"
    if not _is_object(value):
        tool[field] = dict(_ANY_OBJECT)
        return f"its inputSchema is {_kind(value)}; any object is taken"
    if len(place) > 1 and place[1] == "type":
        kind = value.get("type")
        if not kind or (isinstance(kind, list) and "object" in cast("list[JsonValue]", kind)):
            tool[field] = {**value, "type": "object"}
            return 'its inputSchema has no "type": "object", which is assumed'
        tool[field] = dict(_ANY_OBJECT)
        return f"its inputSchema is of type {json.dumps(kind)[:_SHOWN]}, not object; any object is taken"
    if len(place) > 1 and place[1] in value:
        tool[field] = {key: item for key, item in value.items() if key != place[1]}
        return f"'{place[1]}' of its inputSchema is wrong ({_words(place[2:], message)}) and is left out"
    tool[field] = dict(_ANY_OBJECT)
    return "its inputSchema does not follow the protocol; any object is taken"


def _words(place: tuple[str, ...], message: str) -> str:
    at = ".".join(place)
    return f"{at}: {message}"[:_SHOWN] if at else message[:_SHOWN]


def _kind(value: JsonValue) -> str:
    match value:
        case None:
            return "missing"
        case bool():
            return str(value).lower()
        case list():
            return "a list"
        case dict():
            return "an object"
        case str():
            return "a text"
        case _:
            return "a number"


def _is_object(value: JsonValue) -> TypeGuard[JsonObject]:
    return isinstance(value, dict)
