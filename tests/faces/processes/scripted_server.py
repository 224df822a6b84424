"""A server process with a small MCP server in it: `scripted_server.py --state DIR [--version V] [...]`.

Started as `scripted_server.py bridge …` it is a bridge that starts such servers.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from ostler.adapters.config.paths import Paths
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.bridge.version import VERSION


def options_of(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["bridge", "server"])
    parser.add_argument("--state", required=True)
    parser.add_argument("--python", help="what a bridge starts servers with, as JSON")
    parser.add_argument("--version", default=VERSION)
    parser.add_argument("--idle-exit", type=float)
    parser.add_argument("--foreground", action="store_true")
    parser.add_argument("--http")
    parser.add_argument("--token", default="")
    parser.add_argument("--fail", help="the application cannot be opened, for this reason")
    parser.add_argument("--stands-by", help="until there is a file with this path, another server holds the database")
    parser.add_argument("--leaves-after", help="it has not ended before there is a file with this path")
    parser.add_argument("--busy", action="store_true", help="there is something to supervise")
    return parser.parse_args(arguments)


def server_main(options: argparse.Namespace) -> int:
    from ostler.faces.bridge.launcher import EXIT_LOCK_HELD
    from ostler.faces.daemon.lean_imports import import_lean
    from ostler.faces.daemon.lock import StateLock
    from ostler.faces.daemon.logs import set_up_logging
    from ostler.model.errors import StateLockedError

    place = ServerPlace(Paths.resolve(options.state, options.state))
    lock = StateLock(place, version=options.version, stands_by=bool(options.stands_by))
    try:
        lock.acquire()
    except StateLockedError as error:
        print(error, file=sys.stderr)
        return EXIT_LOCK_HELD
    set_up_logging("info")
    import_lean()  # as `ostler.faces.daemon` does
    from ostler.faces.daemon.http import HttpSettings, parse_address
    from ostler.faces.daemon.process import ServerSettings, run_server

    http = None
    if options.http:
        host, port = parse_address(options.http)
        http = HttpSettings(host, port, token=options.token)
    forwarder = None
    if options.stands_by:
        from ostler.adapters.stores.standing_by import SeenHolder
        from ostler.faces.daemon.forwarding import Forwarder

        forwarder = Forwarder(options.version)
        forwarder.saw(SeenHolder(1, "http://there:1", "server there", b"key"))
    settings = ServerSettings(
        place,
        lock,
        scripted_source(options),
        background=not options.foreground and http is None,
        version=options.version,
        idle_exit=options.idle_exit,
        http=http,
        stdio=options.foreground,
        announce=lambda text: print(text, file=sys.stderr, flush=True),
        forwarder=forwarder,
    )
    return run_server(settings)


def scripted_source(options: argparse.Namespace) -> Any:
    import anyio
    import mcp_types as types
    from mcp.server.lowlevel import Server
    from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler

    from ostler.faces.daemon.hosting import Hosted
    from ostler.model.errors import StoreCorruptError

    async def list_tools(_context: Any, _params: Any) -> types.ListToolsResult:
        names = ("pid", "hang", "echo", "crash")
        return types.ListToolsResult(tools=[types.Tool(name=name, input_schema={"type": "object"}) for name in names])

    async def call_tool(_context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        text = ""
        match params.name:
            case "hang":
                await anyio.sleep_forever()
            case "crash":
                os.kill(os.getpid(), signal.SIGKILL)
            case "echo":
                text = str((params.arguments or {})["text"])
            case _:
                text = str(os.getpid())
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)])

    async def subscribe(_context: Any, params: types.SubscribeRequestParams) -> types.EmptyResult:
        print(f"subscribed {params.uri}", file=sys.stderr, flush=True)
        return types.EmptyResult()

    async def list_resources(_context: Any, _params: Any) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=[])

    @asynccontextmanager
    async def source() -> AsyncGenerator[Hosted]:
        if options.fail:
            raise StoreCorruptError(options.fail)
        while options.stands_by and not await anyio.Path(options.stands_by).exists():
            await anyio.sleep(0.02)
        server: Server[Any] = Server(
            "scripted",
            version=options.version,
            on_list_tools=list_tools,
            on_call_tool=call_tool,
            on_list_resources=list_resources,
            on_subscribe_resource=subscribe,
            on_subscriptions_listen=ListenHandler(InMemorySubscriptionBus()),
        )
        yield Hosted(
            lambda _toolset, _principal: server,
            has_work=lambda: options.busy,
            idle_exit=600.0,
            shutdown_timeout=20.0,
            warn=lambda text: print(text, file=sys.stderr, flush=True),
        )
        with anyio.CancelScope(shield=True):
            while options.leaves_after and not await anyio.Path(options.leaves_after).exists():
                await anyio.sleep(0.02)

    return source


def bridge_main(options: argparse.Namespace, arguments: list[str]) -> int:
    from ostler.faces.bridge.program import run_bridge

    place = ServerPlace(Paths.resolve(options.state, options.state))
    command = [*json.loads(options.python), "-P", __file__, "server", *arguments[1:]]
    return run_bridge(place, version=options.version, command=command)


if __name__ == "__main__":
    given = sys.argv[1:]
    parsed = options_of(given)
    sys.exit(bridge_main(parsed, given) if parsed.role == "bridge" else server_main(parsed))
