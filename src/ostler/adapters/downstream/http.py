"""The HTTP transports: streamable HTTP and the older SSE, through a client that makes every fault say what it was.

Left alone, the SDK's transport turns a refused connect into an exception that takes the whole connection down, and a
401 or a 502 into "Server returned an error response". `GuardedClient` answers such requests with a JSON-RPC error
whose `data["ostler"]` names the fault, so that one bad request fails alone and with its reason.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
import httpx2
import mcp_types as types
from mcp.client._transport import ReadStream, TransportStreams, WriteStream
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import next_request_within_origin
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from ostler.adapters.downstream.authorization import challenge_of
from ostler.adapters.downstream.fault_codes import LOST_MARK, OWN_FAULT, TOO_LARGE_MARK, Fault
from ostler.adapters.downstream.framing import LineSplitter, OversizedLine, refused_for_size
from ostler.adapters.downstream.http_watch import HttpWatch
from ostler.adapters.downstream.loss import ConnectFailedError, LossSignal
from ostler.adapters.downstream.streams import Reads, Received
from ostler.adapters.tls_trust import trusted_authorities
from ostler.engine.call_context import before_sending
from ostler.model.errors import StoreError
from ostler.model.json import JsonObject, as_object
from ostler.model.servers import ServerEntry
from ostler.model.web_addresses import DIRECT, port_of

_CONNECT_TIMEOUT: Final = 10.0
_LARGE_LINE: Final = 512 * 1024
"""Bytes of a line beyond which the SDK's SSE transport, which ends for an event of 1 MiB, does not get it."""
_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream"
_PAGE: Final = "text/html"
_SHOWN_CHARS: Final = 200
_NOTIFICATION_TIMEOUT: Final = 5.0
"""Seconds for a notification's POST: the SDK sends nothing else meanwhile, so a hung one must not last."""


@asynccontextmanager
async def http_transport(
    entry: ServerEntry, watch: HttpWatch, loss: LossSignal, auth: httpx2.Auth | None
) -> AsyncGenerator[TransportStreams]:
    """Yield the streams of a streamable HTTP connection."""
    limit = entry.max_response_bytes
    async with (
        GuardedClient(watch, limit=limit, headers=entry.headers, auth=auth) as client,
        streamable_http_client(entry.url, http_client=client, max_sse_event_size=limit) as (read, write),
    ):
        yield Reads(read, on_end=_lost(loss)), write


@asynccontextmanager
async def sse_transport(
    entry: ServerEntry, watch: HttpWatch, loss: LossSignal, auth: httpx2.Auth | None
) -> AsyncGenerator[TransportStreams]:
    """Yield the streams of an HTTP+SSE connection (protocol version 2024-11-05).

    The SDK's transport stops writing when one POST is refused. So a refused request is answered here, by its fault. Its
    limit of 1 MiB for an event cannot be changed. So larger ones pass it by.
    """
    answers, received = anyio.create_memory_object_stream[Received]()

    def client(
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,  # noqa: ARG001 (the guarded client has its own)
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        limit = entry.max_response_bytes
        return _PostingClient(watch, answers.send, limit=limit, headers=headers or {}, auth=auth)

    async def forward(read: ReadStream[Received]) -> None:
        async with answers:
            async for message in read:
                watch.taken = ""
                await answers.send(message)

    headers = dict(entry.headers)
    async with (
        answers,
        received,
        sse_client(entry.url, headers=headers, auth=auth, httpx_client_factory=client) as (read, write),
        anyio.create_task_group() as tasks,
    ):
        writes: WriteStream[SessionMessage] = write
        tasks.start_soon(forward, read)
        yield Reads(received, on_end=_lost(loss)), writes
        tasks.cancel_scope.cancel()


class RenewedHeaders(httpx2.Auth):
    """Sends headers that are looked up when a server is connected, such as a token that does not last.

    They are looked up again when the server refuses a request for them: then it has not acted, and gets it once more.
    """

    def __init__(self, entry: ServerEntry, renew: Callable[[], Awaitable[ServerEntry]]) -> None:
        """Send the headers of `entry`; `renew` returns it with new ones, and raises ConnectFailedError."""
        self._entry = entry
        self._renew = renew
        self._were_taken = False
        self._renewing = anyio.Lock()

    def secrets(self) -> tuple[str, ...]:
        """Return what must not be shown of the headers."""
        return self._entry.secret_strings()

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Send the request, and again with new headers if it is refused."""
        used = self._entry.headers
        request.headers.update(used)
        response = yield request
        if response.status_code != 401:
            self._were_taken = True
            return
        async with self._renewing:
            if self._entry.headers is used and self._were_taken:
                with suppress(ConnectFailedError):  # the next connection says why
                    self._entry = await self._renew()
                    self._were_taken = self._entry.headers == used  # new ones that are refused are not made again
        if self._entry.headers != used:
            request.headers.update(self._entry.headers)
            again = yield request
            self._were_taken = again.status_code != 401


class GuardedClient(httpx2.AsyncClient):
    """An HTTP client for MCP that answers faults itself and limits the size of answers."""

    def __init__(
        self, watch: HttpWatch, *, limit: int, headers: Mapping[str, str], auth: httpx2.Auth | None = None
    ) -> None:
        # Answers are read until the caller's own deadline, and uncompressed so that the limit means what it says.
        super().__init__(
            headers={"accept-encoding": "identity", **headers},
            auth=auth,
            timeout=httpx2.Timeout(_CONNECT_TIMEOUT, read=None),
            mounts=DIRECT,
            verify=trusted_authorities(),
        )
        self._watch = watch
        self._limit = limit

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send `request`; a fault becomes an answer that reports it."""
        is_request = _holds_request(request)
        if is_request and (may_send := before_sending.get()) is not None:
            request.extensions = {**request.extensions, "trace": _checking(may_send)}
        try:
            # GET streams and requests wait for their answer as long as their caller does.
            bound = None if is_request or request.method == "GET" else _NOTIFICATION_TIMEOUT
            with anyio.fail_after(bound):
                response = await super().send(request, **options)
        except TimeoutError:
            return self._fault(request, 504, Fault.LOST, "the server did not take the message in time")
        except httpx2.TransportError as error:
            return self._transport_fault(request, error)
        except StoreError as error:
            return self._fault(request, 503, Fault.NOT_SENT, str(error))
        return await self._examined(request, response, is_request=is_request)

    def _transport_fault(self, request: httpx2.Request, error: httpx2.TransportError) -> httpx2.Response:
        self._watch.on_trouble()
        unsent = isinstance(
            error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout | httpx2.UnsupportedProtocol
        )
        place = f"{request.url.host}:{port_of(urlsplit(str(request.url)))}"
        if not unsent:
            return self._fault(request, 502, Fault.LOST, f"the connection to {place} broke: {_words(error)}")
        return self._fault(request, 503, Fault.NOT_SENT, f"cannot connect to {place}: {_words(error)}")

    async def _examined(
        self, request: httpx2.Request, response: httpx2.Response, *, is_request: bool
    ) -> httpx2.Response:
        status = response.status_code
        if request.method == "POST" and status >= 400:
            self._watch.rejected = status
        if status in (401, 403):
            self._watch.challenge = challenge_of(response)
            self._watch.on_trouble()  # was it this one request, or is the whole connection refused by now?
            if request.method == "POST":
                await response.aclose()
                return self._fault(request, status, Fault.AUTH_REQUIRED, self._watch.challenge.reason)
        if status == 404 and request.method == "POST" and "mcp-session-id" in request.headers:
            await response.aclose()
            self._watch.on_trouble()
            return self._fault(request, status, Fault.SESSION_GONE, "the server has forgotten this session")
        is_json = _media_type(response) == _JSON
        if isinstance(response.stream, httpx2.AsyncByteStream):
            limit = self._limit if is_json else None  # an event stream's limit holds for each event, in the SDK
            response.stream = _GuardedStream(response.stream, limit, self._watch)
        if status >= 400 and request.method == "POST":
            reason = await _reason_of(response) if is_json else ""
            if reason is not None:
                await response.aclose()
                return self._refused(request, response, reason)
        elif is_request and not self._may_answer(response):
            await response.aclose()
            return self._refused(request, response, _oddity(response))
        return response

    def _may_answer(self, response: httpx2.Response) -> bool:
        """Whether it can be an MCP server's answer to a request, or leads to one: the SDK follows such redirects."""
        if response.is_success:
            return response.status_code != 202 and _media_type(response) in (_JSON, _EVENTS)
        return not response.is_redirect or next_request_within_origin(response) is not None

    def _refused(self, request: httpx2.Request, response: httpx2.Response, why: str = "") -> httpx2.Response:
        """Return the fault of an answer that no MCP server gave, or that says nothing in JSON-RPC.

        A proxy may have given it, to this request or to all from now on. The latter is found out, unless the client is
        only to wait a moment (429 and the like): it would lose its session by asking more.
        """
        status = response.status_code
        if status >= 500 or status < 400:
            self._watch.on_trouble()
        words = f"HTTP {status} {response.reason_phrase}".rstrip() + (f": {why}" if why else "")
        return self._fault(request, status if status >= 400 else 502, Fault.HTTP_FAULT, words)

    def _fault(self, request: httpx2.Request, status: int, kind: Fault, text: str) -> httpx2.Response:
        if request.method == "DELETE":  # the end of a session that is gone anyway
            status = 405
        answer = _error(None, text, {"ostler": kind.value, "status": status}).model_dump(mode="json")
        return httpx2.Response(status, json=answer, request=request, extensions={OWN_FAULT: (kind, text)})


class _PostingClient(GuardedClient):
    """The client of an SSE connection, on which the answer to a POST says no more than that it was taken."""

    def __init__(self, watch: HttpWatch, answer: Callable[[Received], Awaitable[None]], **options: Any) -> None:
        super().__init__(watch, **options)
        self._answer = answer

    def _may_answer(self, response: httpx2.Response) -> bool:
        """Whether the message was taken: the answer comes otherwise. A page for people is no sign of that."""
        if response.is_success:
            return _media_type(response) != _PAGE
        return super()._may_answer(response)

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send `request`; the fault of a message that is refused answers it."""
        response = await super().send(request, **options)
        is_stream = request.method == "GET" and response.is_success
        if is_stream and _media_type(response) != _EVENTS:  # else the SDK logs a traceback of each attempt
            await response.aclose()
            return self._refused(request, response, _oddity(response))
        if is_stream and isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _LargeEventsAside(response.stream, self._limit, self._reply)
        if request.method != "POST":
            return response
        is_request = _holds_request(request)
        if is_request and response.is_success:
            response = await self._taken(request, response)
        if response.status_code < 400:
            return response
        if is_request:
            answer = {**json.loads(response.content), "id": json.loads(request.content)["id"]}
            await self._reply(types.jsonrpc_message_adapter.validate_python(answer, by_name=False))
        return httpx2.Response(202, request=request)

    async def _taken(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        """Return the answer to a request that was taken, or the fault if its body refuses it after all."""
        body = await response.aread()
        if _media_type(response) == _JSON and (why := _refusal_in(body)) is not None:
            return self._refused(request, response, why)
        shown = repr(body[:_SHOWN_CHARS].decode(errors="replace")) if body.strip() else "an empty body"
        self._watch.taken = (
            f"POST {request.url.path} was answered with HTTP {response.status_code} and {shown}, "
            "and no event on the stream has answered it"
        )
        self._watch.on_taken(self._watch.taken)
        return response

    async def _reply(self, message: types.JSONRPCMessage) -> None:
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):  # no one waits for it any more
            await self._answer(SessionMessage(message))


class _LargeEventsAside(httpx2.AsyncByteStream):
    """A stream of events without the large ones, whose messages go to `reply`; so do errors for those above `limit`."""

    def __init__(
        self, inner: httpx2.AsyncByteStream, limit: int, reply: Callable[[types.JSONRPCMessage], Awaitable[None]]
    ) -> None:
        self._inner = inner
        self._limit = limit
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        splitter = LineSplitter(self._limit, with_empty=True)  # an empty line ends an event
        async for chunk in self._inner:
            passed: list[bytes] = []
            for line in splitter.feed(chunk):
                if isinstance(line, OversizedLine):
                    refused = refused_for_size(line, self._limit)
                    message = refused and _error(*refused, {"ostler": Fault.TOO_LARGE.value})
                else:
                    message = _large_message(line)
                    if message is None:
                        passed += (line, b"\n")
                if message is not None:
                    await self._reply(message)
            if passed:
                yield b"".join(passed)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _GuardedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, limit: int | None, watch: HttpWatch) -> None:
        self._inner = inner
        self._limit = limit
        self._watch = watch

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        try:
            async for chunk in self._inner:
                size += len(chunk)
                if self._limit is not None and size > self._limit:
                    raise httpx2.StreamError(f"the answer {TOO_LARGE_MARK} {self._limit} bytes")
                yield chunk
        except httpx2.TransportError as error:
            self._watch.on_trouble()
            # A StreamError, because the SDK turns that (and no TransportError) into the one request's failure.
            raise httpx2.StreamError(f"{LOST_MARK}: {_words(error)}") from error

    async def aclose(self) -> None:
        await self._inner.aclose()


def _checking(may_send: Callable[[], None]) -> Callable[[str, object], Awaitable[None]]:
    """Return what the HTTP client notifies of its steps, which raises what `may_send` does before it sends.

    A process may be paused between the headers and the body, without which the server does nothing.
    """

    async def trace(step: str, _facts: object) -> None:
        if step.endswith(("send_request_headers.started", "send_request_body.started")):
            may_send()

    return trace


def _error(request_id: types.RequestId | None, text: str, data: JsonObject) -> types.JSONRPCError:
    error = types.ErrorData(code=types.INTERNAL_ERROR, message=text, data=data)
    return types.JSONRPCError(jsonrpc="2.0", id=request_id, error=error)


def _large_message(line: bytes) -> types.JSONRPCMessage | None:
    """Return the message in a line of an event that is too large for the SDK; None for any other line."""
    if len(line) < _LARGE_LINE or not line.startswith(b"data:"):
        return None
    with suppress(ValidationError, ValueError):
        return types.jsonrpc_message_adapter.validate_json(line.removeprefix(b"data:"), by_name=False)
    return None


def _lost(loss: LossSignal) -> Callable[[], None]:
    """Return what reports the end of a transport's read stream as the loss of the connection."""
    return lambda: loss.report("the server ended the connection")


def _holds_request(request: httpx2.Request) -> bool:
    if request.method != "POST":
        return False
    try:
        message = json.loads(request.content)
    except (ValueError, httpx2.RequestNotRead):
        return True
    return isinstance(message, dict) and "id" in message and "method" in message


def _media_type(response: httpx2.Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _reason_of(response: httpx2.Response) -> str | None:
    """Return what a refusal in JSON says, maybe nothing; None for an error of JSON-RPC, which the SDK passes on."""
    try:
        said = as_object(json.loads(await response.aread()))
    except (ValueError, httpx2.StreamError):
        return ""
    if said.get("jsonrpc") == "2.0" and isinstance(said.get("error"), dict):
        return None
    texts = (said.get(key) for key in ("message", "detail", "error_description", "error"))
    return next((text.strip()[:_SHOWN_CHARS] for text in texts if isinstance(text, str)), "")


def _refusal_in(body: bytes) -> str | None:
    """Return what a JSON body with a status of success says if it reports a failure all the same; None if not."""
    try:
        said = as_object(json.loads(body))
    except ValueError:
        return None
    error = said.get("error")
    if not (error or said.get("success") is False or said.get("ok") is False or said.get("status") == "error"):
        return None
    texts = (as_object(error).get("message"), error, said.get("message"), said.get("detail"))
    return next((text.strip()[:_SHOWN_CHARS] for text in texts if isinstance(text, str)), "it reports an error")


def _oddity(response: httpx2.Response) -> str:
    """Return what is wrong with an answer that is no error, and that no MCP server gives to a request."""
    if response.is_redirect:
        place = response.headers.get("location", "")
        return f"it redirects to {place}, which is not followed; if that is the server, it is the url for mcp.json"
    kind = _media_type(response)
    if response.status_code == 202 or not kind:
        return "it has no answer to the request"
    return f"{kind} is no answer of an MCP server; a login page or another program may be at this address"


def _words(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return "connection refused" if "All connection attempts failed" in text or "Errno 111" in text else text
