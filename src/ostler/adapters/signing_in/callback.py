"""The local address that the browser comes back to when a person has decided."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import parse_qs, urlsplit

import anyio
from anyio.abc import SocketAttribute, SocketStream
from mcp.shared.auth import AuthorizationCodeResult
from msgspec import Struct, field

from ostler.adapters.accepting import serve_connections
from ostler.model.errors import OperationError

PATH: Final = "/callback"
_HEAD_BYTES: Final = 32 * 1024
_HEAD_SECONDS: Final = 10.0
_DONE: Final = "You are signed in. You can close this page and go back to the terminal."
_DENIED: Final = "The sign-in did not succeed; the terminal says why. You can close this page."


class Callback(Struct):
    """Where the browser comes back to.

    Attributes:
        port: the port on this machine.
    """

    port: int
    _answer: AuthorizationCodeResult | OperationError | None = None
    _answered: anyio.Event = field(default_factory=anyio.Event)

    @property
    def url(self) -> str:
        """The address, as the authorization server gets it."""
        return f"http://localhost:{self.port}{PATH}"

    async def wait(self) -> AuthorizationCodeResult:
        """Return what the browser brought.

        Raises:
            OperationError: the person or the authorization server said no.
        """
        await self._answered.wait()
        if isinstance(self._answer, OperationError):
            raise self._answer
        assert self._answer is not None, "it is set before the event"
        return self._answer

    def take(self, address: str) -> bool:
        """Take the address (or only its path and query) that the browser was sent to; return whether it says yes.

        Raises:
            ValueError: it is not the end of a sign-in.
        """
        answer = read_answer(address)
        if self._answer is None:
            self._answer = answer
            self._answered.set()
        return isinstance(answer, AuthorizationCodeResult)

    async def serve(self, stream: SocketStream) -> None:
        """Answer one request of a browser."""
        async with stream:
            with suppress(anyio.BrokenResourceError, anyio.EndOfStream, TimeoutError), anyio.fail_after(_HEAD_SECONDS):
                head = b""
                while b"\r\n\r\n" not in head and len(head) < _HEAD_BYTES:
                    head += await stream.receive()
                words = head.split(b"\r\n", 1)[0].decode("latin-1").split()
                target = words[1] if len(words) > 1 else ""
                try:
                    text, status = (_DONE if self.take(target) else _DENIED), "200 OK"
                except ValueError:
                    text, status = "There is nothing here.", "404 Not Found"
                body = f"<!doctype html><meta charset=utf-8><title>Ostler</title><p>{text}</p>".encode()
                lines = f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}"
                await stream.send(f"{lines}\r\nConnection: close\r\n\r\n".encode() + body)


def read_answer(address: str) -> AuthorizationCodeResult | OperationError:
    """Return what the address says that a sign-in ended at.

    Raises:
        ValueError: it is no such address.
    """
    parts = urlsplit(address.strip())
    fields = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if parts.path != PATH or not ({"code", "error"} & fields.keys()):
        raise ValueError("this is not the address that a sign-in ends at")
    if "error" in fields:
        why = ": ".join(fields[name] for name in ("error", "error_description") if fields.get(name))
        return OperationError(f"the sign-in was refused: {why}", next_actions=("try again, and allow it",))
    return AuthorizationCodeResult(code=fields["code"], state=fields.get("state"), iss=fields.get("iss"))


@asynccontextmanager
async def open_callback(port: int = 0) -> AsyncGenerator[Callback]:
    """Listen for the browser on loopback, on `port` if given, else on any.

    Raises:
        OperationError: the port is taken.
    """
    try:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    except OSError as error:
        raise OperationError(
            f"port {port}, to which the browser returns, cannot be used: {error.strerror or error}",
            next_actions=("stop what holds it", "or change 'callbackPort' under 'oauth' of the entry"),
        ) from None
    raised: Exception | None = None
    callback = Callback(listener.extra(SocketAttribute.local_port))  # noqa: S610 (anyio's, not Django's)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve_connections, listener, callback.serve)
        with suppress(OSError):  # browsers may try IPv6 first; they go on to IPv4 where it is refused
            also = await anyio.create_tcp_listener(local_host="::1", local_port=callback.port)
            tasks.start_soon(serve_connections, also, callback.serve)
        try:
            yield callback
        except Exception as error:  # noqa: BLE001 (raised below, as it is rather than in the group's wrapping)
            raised = error
        tasks.cancel_scope.cancel()
    if raised is not None:
        raise raised
