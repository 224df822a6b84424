"""One tool call over a link: sending it, and turning whatever comes back into an answer or an error of the one tree.

The answer is taken as the server wrote it, once it follows the protocol: a structured answer that does not fit the
tool's own outputSchema is passed on, not hidden, for expectations and outputs to judge.
"""

from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast

import anyio
import mcp_types as types
from mcp.shared import exceptions as sdk_errors
from msgspec.structs import replace
from pydantic import ValidationError

from ostler.adapters.caller_environment import META_KEY, SERVICE_META_KEY, environment_of_caller
from ostler.adapters.downstream.authorization import advice
from ostler.adapters.downstream.failure_texts import first_problem
from ostler.adapters.downstream.fault_codes import LOST_MARK, TOO_LARGE_MARK, Fault, fault_of
from ostler.adapters.downstream.links import Link
from ostler.adapters.downstream.slots import TimeLimit
from ostler.adapters.downstream.tool_lists import next_steps_of, structured_of
from ostler.engine.call_context import called_for
from ostler.engine.protocols import Progress
from ostler.model.downstream_errors import (
    CALLERS_LIMIT,
    BadResponseError,
    ConnectionLostError,
    Delivery,
    DownstreamError,
    ResponseTooLargeError,
    ServerUnavailableError,
    ToolRejectedError,
    ToolTimeoutError,
)
from ostler.model.json import JsonMapping, JsonObject, json_flaw
from ostler.model.responses import CHECK_FIRST, ToolResponse
from ostler.rules.answers.responses import normalise, without_reason

if TYPE_CHECKING:
    from pydantic import RootModel

_MAX_ROUNDS: Final = 20
_ROUND_PAUSE: Final = 0.1
_SHOWN_CHARS: Final = 500


@cache
def _raw_result() -> "type[RootModel[dict[str, Any]]]":
    """Return the model of a result as it came: the SDK has checked it, and no block of it is lost in a model."""
    from pydantic import RootModel  # noqa: PLC0415 (the calls of most servers go past the SDK)

    return RootModel[dict[str, Any]]


async def send_call(
    link: Link,
    qualified: str,
    args: JsonMapping,
    limit: TimeLimit,
    progress: Progress | None = None,
) -> ToolResponse:
    """Call `qualified` (`server/tool`) over `link` and return its answer.

    Args:
        link: the connection.
        qualified: the tool.
        args: its arguments.
        limit: how long it may take.
        progress: called for each progress notification.

    Raises:
        DownstreamError: there was no answer; see its `delivery`. Secrets of the server's entry are masked in it.
    """
    try:
        return await _answered(link, qualified, args, limit, progress)
    except DownstreamError as error:  # a server may have written its own key to stderr, or into its refusal
        error.summary = link.mask_text(error.summary)
        raise


async def _answered(
    link: Link, qualified: str, args: JsonMapping, limit: TimeLimit, progress: Progress | None
) -> ToolResponse:
    server, _, name = qualified.partition("/")
    started = anyio.current_time()
    scope = anyio.CancelScope(deadline=limit.deadline)
    link.scopes.add(scope)
    result: JsonObject | None = None
    try:
        with scope:
            result = await _result(link, name, args, progress)
    except sdk_errors.MCPError as error:
        if fault_of(error) is None and error.code != types.CONNECTION_CLOSED:  # the server's own
            link.active += 1
        raise _error(error, link, server, qualified) from error
    except ValidationError as error:
        link.active += 1
        raise BadResponseError(
            f"server {server!r} answered with something that is not a tool result: {first_problem(error)}",
            tool=qualified,
            next_actions=("report it to the server's author", CHECK_FIRST),
        ) from error
    finally:
        link.scopes.discard(scope)
    if result is None:
        if link.loss.is_lost:
            raise _lost(link.loss.reason, server, qualified)
        raise _timed_out(link, qualified, limit)
    link.active += 1
    if flaw := json_flaw(result):
        raise BadResponseError(
            f"server {server!r} answered with something that is not JSON: {flaw}",
            tool=qualified,
            next_actions=("report it to the server's author", CHECK_FIRST),
        )
    content = cast("list[JsonObject]", result.get("content") or [])
    response = without_reason(
        normalise(
            content,
            structured_of(result),
            is_error=bool(result.get("isError")),
            duration=anyio.current_time() - started,
        ),
        qualified,
    )
    if response.is_silent:
        link.doubt()
    steps = next_steps_of(result) if link.transport == "builtin" else ()  # no one else speaks for Ostler
    return replace(response, next_steps=steps) if steps else response


async def _result(link: Link, name: str, args: JsonMapping, report: Progress | None) -> JsonObject:
    if link.direct is not None:
        found = await link.direct(name, args, report)
        if found is not None:
            return found if link.transport == "builtin" else link.repair.checked_call_result(found)
    return await _result_through_the_sdk(link, name, args, report)


async def _result_through_the_sdk(link: Link, name: str, args: JsonMapping, report: Progress | None) -> JsonObject:
    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        if report is not None:
            await report(progress, total, message)

    async def send(request: "types.CallToolRequest") -> JsonObject:
        callback = on_progress if report is not None else None
        return (await link.session.send_request(request, _raw_result(), progress_callback=callback)).root

    state: str | None = None
    for _ in range(_MAX_ROUNDS):
        request = types.CallToolRequest(
            params=types.CallToolRequestParams(name=name, arguments=dict(args), request_state=state, _meta=_meta(link))
        )
        try:
            result = await send(request)
        except sdk_errors.MCPError as error:
            # The server wants arguments mirrored in headers, and what it lists changed: read the list, send again.
            if error.code != types.HEADER_MISMATCH or not link.modern:
                raise
            await link.read_tools()
            result = await send(request)
        if result.get("resultType") != "input_required":
            return result
        if result.get("inputRequests"):
            asked = cast("dict[str, JsonObject]", result["inputRequests"])
            kinds = ", ".join(sorted({str(one.get("method", "input")) for one in asked.values()}))
            raise sdk_errors.MCPError(
                types.INVALID_REQUEST,
                f"the tool asks its client for more ({kinds}), which Ostler declines: no one is there to answer",
                {"ostler": Fault.INPUT_REQUIRED.value},
            )
        state = result.get("requestState")
        await anyio.sleep(_ROUND_PAUSE)
    raise sdk_errors.MCPError(types.INTERNAL_ERROR, f"the tool postponed its answer more than {_MAX_ROUNDS} times")


def _meta(link: Link) -> "types.RequestParamsMeta | None":
    """Return what a server inside this process gets besides the arguments: whose environment, and for which service."""
    if link.transport != "builtin":
        return None
    environment, service = environment_of_caller(), called_for()
    meta: JsonObject = {} if environment is None else {META_KEY: dict(environment)}
    if service:
        meta[SERVICE_META_KEY] = service
    return cast("types.RequestParamsMeta", meta) if meta else None


def _timed_out(link: Link, tool: str, limit: TimeLimit) -> ToolTimeoutError:
    """Return the error of a call that got no answer in time."""
    noise = link.noise.describe()
    seconds = f"{round(limit.seconds, 2):g} s"
    allowed = limit.entry.setting("timeout", seconds) if limit.entry else f"{CALLERS_LIMIT} ({seconds})"
    return ToolTimeoutError(
        f"no answer from {tool!r} within {seconds}; the call was cancelled" + (f"; {noise}" if noise else ""),
        tool=tool,
        next_actions=(CHECK_FIRST, f"if it needs longer, raise {allowed}"),
    )


def _lost(reason: str, server: str, tool: str) -> ConnectionLostError:
    return ConnectionLostError(
        f"the connection to server {server!r} was lost while {tool!r} was under way: {reason}",
        tool=tool,
        next_actions=(CHECK_FIRST, "Ostler reconnects automatically"),
    )


def _error(error: "sdk_errors.MCPError", link: Link, server: str, tool: str) -> DownstreamError:
    text = error.message.strip()[:_SHOWN_CHARS] or "it gave no reason"
    match fault_of(error):
        case Fault.TOO_LARGE:
            return _too_large(text, link, tool)
        case Fault.NOT_SENT | Fault.SESSION_GONE | Fault.AUTH_REQUIRED as fault:
            actions = advice(server) if fault is Fault.AUTH_REQUIRED else ("try again in a few seconds",)
            return ServerUnavailableError(
                f"server {server!r} did not take the call: {text}", tool=tool, next_actions=actions
            )
        case Fault.LOST:
            return _lost(text, server, tool)
        case Fault.INPUT_REQUIRED | Fault.HTTP_FAULT:
            return _rejected(text, server, tool, Delivery.AMBIGUOUS)
        case None:
            return _foreign_error(error, text, link, server, tool)


def _foreign_error(error: "sdk_errors.MCPError", text: str, link: Link, server: str, tool: str) -> DownstreamError:
    text = text.removeprefix("Failed to parse JSON response: ")  # the SDK's words around ours
    if TOO_LARGE_MARK in text or ("exceeded the" in text and "byte limit" in text):
        return _too_large(text, link, tool)
    if link.loss.is_lost:
        return _lost(link.loss.reason, server, tool)
    if error.code == types.CONNECTION_CLOSED and (text == "Connection closed" or text.startswith("SSE stream")):
        link.suspect.give()
        return _lost(text, server, tool)
    if LOST_MARK in text:
        return _lost(text, server, tool)
    if error.code == types.PARSE_ERROR:
        return BadResponseError(
            f"server {server!r} answered with something that is not MCP: {text}",
            tool=tool,
            next_actions=("report it to the server's author", CHECK_FIRST),
        )
    refusals = (types.INVALID_PARAMS, types.METHOD_NOT_FOUND, types.INVALID_REQUEST)
    delivery = Delivery.REJECTED if error.code in refusals else Delivery.AMBIGUOUS
    return _rejected(text, server, tool, delivery, code=error.code)


def _rejected(text: str, server: str, tool: str, delivery: Delivery, *, code: int | None = None) -> ToolRejectedError:
    number = f" (JSON-RPC error {code})" if code is not None else ""
    if delivery is Delivery.REJECTED:
        action = f"compare the arguments with the schema of {tool!r} (tool_describe)"
    else:
        action = CHECK_FIRST
    error = ToolRejectedError(f"server {server!r} refused {tool!r}{number}: {text}", tool=tool, next_actions=(action,))
    error.delivery = delivery
    return error


def _too_large(text: str, link: Link, tool: str) -> ResponseTooLargeError:
    entry = link.entry
    own, cap = entry.options.max_response_bytes, entry.response_cap
    limits = [f"limits.maxResponseBytes in ostler.toml ({cap} bytes)"] if cap is not None and cap <= own else []
    if cap is None or own <= cap:
        limits.append(entry.setting("maxResponseBytes", f"{own} bytes"))
    return ResponseTooLargeError(
        f"the answer of {tool!r} was dropped: {text}",
        tool=tool,
        next_actions=("ask for less (a filter, a page, a range)", f"raise {' and '.join(limits)}"),
    )
