"""A web application of a test on a real port, served from the test's own event loop."""

import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import uvicorn
from mcp.server.mcpserver import MCPServer
from starlette.types import ASGIApp, Receive, Scope, Send


class _Server(uvicorn.Server):
    """uvicorn with the signals left to pytest, telling when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = anyio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


class LateApp:
    """The application, made once its own address is known: it is part of what the server says."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@asynccontextmanager
async def serving(app: Any, *, port: int = 0, **options: Any) -> AsyncGenerator[int]:
    """Serve the ASGI application on loopback; gives the port. `options` are uvicorn's."""
    listener = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1, **options)
    server = _Server(config)
    with listener:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            await server.listening.wait()
            try:
                yield listener.getsockname()[1]
            finally:
                server.should_exit = True
                server.force_exit = True


@asynccontextmanager
async def echoing(late: LateApp, server: MCPServer) -> AsyncGenerator[None]:
    """Serve `server` at `/mcp` of `late`, with the tool `echo`."""

    @server.tool()
    def echo(text: str) -> str:
        return text

    late.app = server.streamable_http_app()
    async with server.session_manager.run():
        yield
