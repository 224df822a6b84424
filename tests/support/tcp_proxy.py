"""A TCP proxy that can be cut, made to lose or hold back what goes one way, to refuse connections, or to answer."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import anyio
from anyio.abc import SocketStream, TaskGroup


class TcpProxy:
    """Passes connections on to a port of this machine.

    Attributes:
        swallows_requests: what clients send gets lost.
        swallows_answers: what the server sends gets lost.
        refuses: new connections are closed at once.
        answer: if not empty, what new connections get for their first bytes, such as a login page over HTTP.
        flows: while it is not set, what is sent either way is held back, and comes late, as after a network's fault.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._streams: set[SocketStream] = set()
        self.port = 0
        self.swallows_requests = False
        self.swallows_answers = False
        self.refuses = False
        self.answer = b""
        self.flows = anyio.Event()
        self.flows.set()

    async def hold_back(self) -> None:
        """Hold back what is sent from here on."""
        self.flows = anyio.Event()

    async def let_go(self) -> None:
        """Let go what was held back, and all that comes."""
        self.flows.set()

    async def cut(self) -> None:
        """Close every connection."""
        for stream in list(self._streams):
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await stream.aclose()

    async def serve(self, client: SocketStream) -> None:
        """Pass one connection on until one of its ends closes."""
        if self.refuses:
            await client.aclose()
            return
        if self.answer:
            async with client:
                with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                    await client.receive()
                    await client.send(self.answer)
            return
        async with client, AsyncExitStack() as ending:
            try:
                server = await ending.enter_async_context(await anyio.connect_tcp("127.0.0.1", self._target))
            except OSError:  # there is no server
                return
            self._streams |= {client, server}
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._pass, client, server, True, tasks)
                    tasks.start_soon(self._pass, server, client, False, tasks)
            finally:
                self._streams -= {client, server}

    async def _pass(self, source: SocketStream, sink: SocketStream, is_request: bool, tasks: TaskGroup) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            while True:
                data = await source.receive()
                await self.flows.wait()
                if not (self.swallows_requests if is_request else self.swallows_answers):
                    await sink.send(data)
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def tcp_proxy(target: int) -> AsyncGenerator[TcpProxy]:
    """Run a proxy to the port `target`."""
    proxy = TcpProxy(target)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        proxy.port = listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.start_soon(listener.serve, proxy.serve)
        yield proxy
        tasks.cancel_scope.cancel()
