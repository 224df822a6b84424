"""A small client of the server's socket, so that a verb takes a tenth of a second: the SDK's own takes one to import.

It speaks the stateless protocol era: each request carries its envelope, and no handshake is needed.
"""

import itertools
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self, cast

from msgspec import Struct

from ostler.faces.bridge.dialer import Dialer, Link, OstlerUnavailableError
from ostler.faces.bridge.greeting import PREFIX
from ostler.faces.bridge.launcher import LaunchedServer
from ostler.faces.bridge.lines import LineTooLongError
from ostler.faces.bridge.version import VERSION
from ostler.model.json import JsonObject, JsonValue

PROTOCOL_VERSION: Final = "2026-07-28"
CALL_TIMEOUT: Final = 120.0
"""Seconds for one answer; the tools themselves answer within 50, whatever goes on behind them."""

WAIT_SECONDS: Final = 45.0
"""For how long one call waits for services."""

MAX_ROUNDS: Final = 10
"""How often one call may ask the person something."""

_CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"

_FORMS: Final[JsonObject] = {"elicitation": {"form": {}}}

_META: Final[JsonObject] = {
    "io.modelcontextprotocol/protocolVersion": PROTOCOL_VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "ostler-cli", "version": VERSION},
    _CAPABILITIES: {},
}

ShowProgress = Callable[[str], None]
"""Takes the message of a progress notification."""

AskPerson = Callable[[str, JsonObject], JsonObject]
"""Shows a message and a form's JSON Schema to the person, and returns the protocol's reply to an elicitation."""


_AGAIN: Final = "run the command again: it starts the server, which recovers what was interrupted"


class LateAnswerError(OstlerUnavailableError):
    """The server did not answer in time; what was asked of it goes on."""


class RequestFailedError(Exception):
    """The server refused a request itself (a JSON-RPC error)."""

    def __init__(self, method: str, code: int, message: str) -> None:
        self.method = method
        self.code = code
        super().__init__(f"{method} failed: {message} ({code})")


class ToolAnswer(Struct, frozen=True):
    """What a tool answered.

    Attributes:
        structured: the facts; empty when the tool gave none.
        text: the same in words.
        is_error: the tool failed.
    """

    structured: JsonObject
    text: str
    is_error: bool

    @property
    def error_code(self) -> str:
        """The kind of error (`not_found`, `arguments` …), or an empty string."""
        error = self.structured.get("error")
        return str(cast("JsonObject", error).get("code", "")) if isinstance(error, dict) else ""


class Early(Struct):
    """What was begun before the command line was loaded, which takes longer than many an answer.

    Attributes:
        launched: a server that is being started for it.
        client: a connection on which the call is under way; the first one who needs one takes it.
    """

    launched: LaunchedServer | None = None
    client: "ServerClient | None" = None

    def taken_client(self) -> "ServerClient | None":
        """Return the connection, once."""
        client, self.client = self.client, None
        return client


class ServerClient:
    """One connection to the server, opened by entering it."""

    def __init__(self, dialer: Dialer, ask: AskPerson | None = None, deadline: float = math.inf) -> None:
        """Prepare a connection.

        Args:
            dialer: reaches the server, and starts it.
            ask: puts the server's questions to a person, where there is one.
            deadline: when to give up reaching it on the monotonic clock, if that is earlier than the dialer would.
        """
        self._dialer = dialer
        self._deadline = deadline
        self._ask = ask
        self._meta: JsonObject = _META if ask is None else {**_META, _CAPABILITIES: _FORMS}
        self._link: Link | None = None
        self._keys = itertools.count(1)
        self._ahead: tuple[int, JsonObject] | None = None
        """A call whose answer no one has read yet: its key and what it asks."""

    def __repr__(self) -> str:
        return f"<ServerClient {self._link!r}>"

    def __enter__(self) -> Self:
        self._link = self._link or self._dialer.connect(deadline=self._deadline)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection, also for a thread that waits in it."""
        if (link := self._link) is not None:
            self._link = None
            link.close()

    def read_resource(self, address: str) -> JsonObject:
        """Return what a resource of JSON holds.

        Raises:
            OstlerUnavailableError: the server ended, or did not answer in time.
            RequestFailedError: there is no such resource.
        """
        result = self._request("resources/read", {"uri": address}, None)
        contents: list[JsonObject] = result.get("contents") or [{}]
        found: JsonObject = json.loads(contents[0].get("text") or "{}")
        return found

    def send_ahead(self, tool: str, args: Mapping[str, JsonValue]) -> None:
        """Send a call now; `call_tool` with the same arguments then only waits for its answer.

        Raises:
            OstlerUnavailableError: there is no server, or it ended.
        """
        params: JsonObject = {"name": tool, "arguments": dict(args)}
        self._link = self._dialer.connect(deadline=self._deadline)
        try:
            self._ahead = self._send("tools/call", params, has_progress=True), params
        except OSError as error:
            self.close()
            raise OstlerUnavailableError(f"the connection to the Ostler server broke: {error}; {_AGAIN}") from error

    def call_tool(
        self,
        tool: str,
        args: Mapping[str, JsonValue],
        *,
        progress: ShowProgress | None = None,
        timeout: float = CALL_TIMEOUT,
    ) -> ToolAnswer:
        """Call one of the server's tools.

        Args:
            tool: its name, such as `service_list`.
            args: its arguments.
            progress: shown the messages of a long call.
            timeout: seconds to wait for the answer.

        Raises:
            OstlerUnavailableError: the server ended, or did not answer in time (LateAnswerError).
            RequestFailedError: the server does not know the tool, or refused the request.
        """
        params: JsonObject = {"name": tool, "arguments": dict(args)}
        result = self._request("tools/call", params, progress, timeout)
        for _ in range(MAX_ROUNDS):
            if self._ask is None or result.get("resultType") != "input_required":
                break
            result = self._request("tools/call", {**params, **_replies(result, self._ask)}, progress, timeout)
        blocks: list[JsonObject] = result.get("content") or []
        text = "\n".join(str(block["text"]) for block in blocks if block.get("type") == "text")
        return ToolAnswer(result.get("structuredContent") or {}, text, bool(result.get("isError")))

    def wait(self, names: Sequence[str], wanted: Mapping[str, JsonValue], ends: float) -> ToolAnswer:
        """Return what `service_wait` answers in the end, which waits less long in one call.

        Args:
            names: the services.
            wanted: what is waited for: its states and healths.
            ends: until when on the monotonic clock.

        Raises:
            OstlerUnavailableError, RequestFailedError: as for `call_tool`.
        """
        while True:
            seconds = max(0.0, min(WAIT_SECONDS, ends - time.monotonic()))
            answer = self.call_tool("service_wait", {"name": [*names], **wanted, "timeout": f"{seconds * 1000:.0f}ms"})
            if answer.is_error or not answer.structured["late"] or time.monotonic() >= ends:
                return answer

    def _request(
        self, method: str, params: JsonObject, progress: ShowProgress | None, timeout: float = CALL_TIMEOUT
    ) -> JsonObject:
        link = self._link
        assert link is not None, "enter the client before calling"
        deadline = time.monotonic() + timeout
        ahead, self._ahead = self._ahead, None
        try:
            is_sent = ahead is not None and ahead[1] == params
            key = ahead[0] if ahead is not None and is_sent else self._send(method, params, has_progress=bool(progress))
            for line in link.lines(deadline):
                if line.startswith(PREFIX):
                    continue
                message: JsonObject = json.loads(line)
                if "method" in message:
                    if progress and message["method"] == "notifications/progress":
                        progress(str(message["params"].get("message") or ""))
                    continue
                if message.get("id") == key:
                    return _result_of(message, method)
        except TimeoutError:
            raise self._late(method, timeout) from None
        except (OSError, LineTooLongError) as error:
            raise OstlerUnavailableError(f"the connection to the Ostler server broke: {error}; {_AGAIN}") from error
        raise OstlerUnavailableError(f"the Ostler server (pid {link.pid}) ended while {method} was under way; {_AGAIN}")

    def _send(self, method: str, params: JsonObject, *, has_progress: bool) -> int:
        assert self._link is not None, "enter the client before calling"
        key = next(self._keys)
        meta = {**self._meta, "progressToken": key} if has_progress else self._meta
        request = {"jsonrpc": "2.0", "id": key, "method": method, "params": {**params, "_meta": meta}}
        self._link.settle(CALL_TIMEOUT)
        self._link.send(json.dumps(request).encode() + b"\n")
        return key

    def _late(self, method: str, timeout: float) -> LateAnswerError:
        return LateAnswerError(f"the Ostler server ({self._link!r}) did not answer {method} within {timeout:.0f} s")


def _result_of(message: JsonObject, method: str) -> JsonObject:
    error: JsonObject | None = message.get("error")
    if error is not None:
        raise RequestFailedError(method, int(error.get("code", 0)), str(error.get("message", "")))
    result: JsonObject = message.get("result") or {}
    return result


def _replies(result: JsonObject, ask: AskPerson) -> JsonObject:
    """Return what the repeated call carries: the person's replies, and the server's state as it came."""
    replies: JsonObject = {}
    for key, request in cast("JsonObject", result.get("inputRequests") or {}).items():
        asked = cast("JsonObject", request)["params"]
        replies[key] = ask(str(asked["message"]), asked["requestedSchema"])
    state = {"requestState": result["requestState"]} if "requestState" in result else {}
    return {"inputResponses": replies, **state}
