"""The life of a server process: open the application, serve, and end in order and in bounded time."""

import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import KW_ONLY, dataclass, replace  # noqa: TID251 (a dataclass)
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn, cast

import anyio
import anyio.to_thread
from anyio.abc import Listener, SocketStream, TaskGroup, TaskStatus

from ostler.adapters.process.inheritance import take_ignored_signals
from ostler.faces.bridge.greeting import Refusal
from ostler.faces.bridge.holder import Holder
from ostler.faces.bridge.lines import LineTooLongError
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.bridge.version import VERSION
from ostler.faces.daemon.dashboard_link import DashboardLink
from ostler.faces.daemon.hosting import Hosted, HostedSource
from ostler.faces.daemon.http_faults import HttpSettingsError
from ostler.faces.daemon.local_socket import accept_clients, listening
from ostler.faces.daemon.lock import StateLock
from ostler.faces.daemon.reception import Reception
from ostler.model.errors import OstlerError

if TYPE_CHECKING:
    from ostler.faces.daemon.forwarding import Forwarder
    from ostler.faces.daemon.http import HttpSettings
    from ostler.model.access import Principal

_IDLE_POLL: Final = 5.0

_FOLDER_POLL: Final = 2.0
"""Seconds between two looks whether the state folder is still the one that this server owns."""

_HAS_TAKEN_OVER: Final = Refusal("this server has just taken over: connect again", is_final=False)
"""What those are told that came in before it did, and said then what they want."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What a server process serves, and how it ends.

    Attributes:
        place: where it lives.
        lock: held by the caller; released when the application is closed.
        source: opens the application.
        background: ends when idle, and hands over to newer versions.
        version: shown to clients.
        idle_exit: seconds, instead of the application's own.
        http: serve streamable HTTP there as well.
        stdio: serve a client on this process's stdio as well, and end with it.
        announce: called when the server is ready, for people.
        ready: called when it serves, for the process that started it.
        forwarder: answers over HTTP until the application is open.
        advertise: the URL at which other servers of its database reach this one; empty finds it out.
    """

    place: ServerPlace
    lock: StateLock
    source: HostedSource
    _: KW_ONLY
    background: bool
    version: str = VERSION
    idle_exit: float | None = None
    http: "HttpSettings | None" = None
    stdio: bool = False
    announce: Callable[[str], None] = logger.info
    ready: Callable[[], None] | None = None
    forwarder: "Forwarder | None" = None
    advertise: str = ""


class ServerProcess:
    """One server, from the taken lock to its release."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._ending = anyio.Event()
        self._reason = ""
        self._serving = False
        self._whole = anyio.CancelScope()
        self._watchdog: threading.Timer | None = None

    def __repr__(self) -> str:
        return f"<ServerProcess of {self._settings.place.state_dir}, {self._reason or 'serving'}>"

    async def run(self) -> str:
        """Serve until something ends the server; return the reason.

        It is one of `stop`, `handover`, `idle`, `signal`, `client` and `folder`.

        The process is expected to end then: whoever asked for the end waits for that.
        """
        try:
            async with anyio.create_task_group() as guard:
                await guard.start(self._watch_signals)
                with self._whole:
                    async with AsyncExitStack() as stack:
                        await self._serve(stack)
                guard.cancel_scope.cancel()
        finally:
            if self._watchdog is not None:
                self._watchdog.cancel()
            self._settings.lock.release()
        return self._reason

    async def _serve(self, stack: AsyncExitStack) -> None:
        """Open everything in `stack`, and serve until the end is requested."""
        settings = self._settings
        if settings.http is not None and settings.forwarder is not None:
            from ostler.faces.daemon.http import forwarding_http

            self._announce(await stack.enter_async_context(forwarding_http(settings.forwarder, settings.http)))
        if settings.forwarder is None:
            hosted = await stack.enter_async_context(settings.source())
            listener, secret = await stack.enter_async_context(listening(settings.place))
        else:
            listener, secret = await stack.enter_async_context(listening(settings.place))
            hosted = await self._stand_by(stack, settings.forwarder, listener, secret)
        settings.lock.serve()
        from ostler.faces.daemon.steady_loop import watch_pauses  # asyncio: loaded with the first event loop

        gc.freeze()  # what was restored lives long, too: to look through 10,000 services takes half a second
        if settings.http is not None:
            await self._open_http(stack, settings.http, hosted)
        async with anyio.create_task_group() as tasks:
            dashboard = DashboardLink(hosted, settings.version, tasks)
            reception = Reception(
                hosted,
                version=settings.version,
                secret=secret,
                may_hand_over=settings.background,
                end=self.end,
                dashboard=dashboard.make,
            )
            self._start_companions(tasks, hosted, reception, dashboard)
            watch_pauses(hosted)
            if hosted.warn is not None and settings.lock.left_by is not None:
                hosted.warn(await anyio.to_thread.run_sync(_how_it_ended, settings.lock.left_by))
            tasks.start_soon(accept_clients, listener, reception.receive, tasks)
            self._serving = True
            place = settings.place.state_dir
            logger.info("server %s, pid %d, serves the state folder %s", settings.version, os.getpid(), place)
            if settings.ready is not None:
                settings.ready()
            await self._ending.wait()
            self._watchdog = _watchdog(hosted.ends_within)
            logger.info("the server ends (%s)", self._reason)
            reception.close(self._reason)
            await reception.dismiss()
            tasks.cancel_scope.cancel()

    async def _stand_by(
        self, stack: AsyncExitStack, forwarder: "Forwarder", listener: Listener[SocketStream], secret: str
    ) -> Hosted:
        """Open the application, which waits while another server holds the database; say so to who asks meanwhile."""
        from ostler.faces.daemon.http_faults import HttpSettingsError

        async def dashboard() -> str:
            raise HttpSettingsError("this server stands by")

        def server_for(toolset: str, principal: "Principal") -> NoReturn:
            raise AssertionError(f"no one is served by a server that stands by: {toolset}, {principal}")

        meanwhile = anyio.CancelScope()
        reception = Reception(
            Hosted(server_for, has_work=lambda: False, idle_exit=None, shutdown_timeout=0.0),
            version=self._settings.version,
            secret=secret,
            may_hand_over=False,
            end=self.end,
            dashboard=dashboard,
            refusal=lambda: _HAS_TAKEN_OVER if meanwhile.cancel_called else forwarder.refusal,
        )

        tasks = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(tasks.cancel_scope.cancel)  # those who said nothing yet end with the server

        async def accept() -> None:
            with meanwhile:
                await accept_clients(listener, reception.receive, tasks)

        tasks.start_soon(accept)
        hosted = await stack.enter_async_context(self._settings.source())
        meanwhile.cancel()
        return hosted

    def end(self, reason: str) -> None:
        """Begin to end the server; only the first reason counts."""
        if self._ending.is_set():
            return
        self._reason = reason
        self._ending.set()
        if not self._serving:
            self._whole.cancel()

    async def _open_http(self, stack: AsyncExitStack, http: "HttpSettings", hosted: Hosted) -> None:
        from ostler.faces.daemon.http import serving_http  # the servers that clients start serve no HTTP
        from ostler.faces.daemon.http_sessions import session_key

        settings = self._settings
        http = replace(http, session_key=hosted.session_key or session_key(settings.place.paths.state_dir))
        feed = None
        if settings.forwarder is not None and hosted.feed is not None:
            feed = await stack.enter_async_context(hosted.feed(http))
        url = await stack.enter_async_context(
            serving_http(
                hosted.server_for,
                http,
                version=settings.version,
                toolsets=hosted.toolsets,
                pages=hosted.pages(),
                policy=hosted.policy,
                forwarder=settings.forwarder,
                feed=feed,
            )
        )
        if settings.forwarder is None:
            self._announce(url)
        if hosted.announce is not None:
            hosted.announce(settings.advertise or http.seen_from_elsewhere(url))

    def _announce(self, url: str) -> None:
        self._settings.announce(f"Ostler {self._settings.version} serves MCP at {url}")

    def _start_companions(
        self, tasks: TaskGroup, hosted: Hosted, reception: Reception, dashboard: DashboardLink
    ) -> None:
        if self._settings.stdio:
            tasks.start_soon(self._serve_stdio, hosted)
        tasks.start_soon(self._watch_folder)
        if self._settings.background:
            given = self._settings.idle_exit
            limit = given if given is not None else hosted.idle_exit
            if limit is not None:
                tasks.start_soon(self._watch_idle, hosted, reception, dashboard, limit)

    async def _serve_stdio(self, hosted: Hosted) -> None:
        from ostler.faces.daemon.standard_streams import standard_streams
        from ostler.faces.daemon.streams import SlowClientError, message_streams

        server = hosted.local_server()
        options = hosted.initialization_options or server.create_initialization_options()
        serve = partial(server.run, initialization_options=options)
        try:
            with standard_streams() as (receiver, sender):
                async with message_streams(receiver, sender, serve_second=serve) as (incoming, outgoing):
                    await serve(incoming, outgoing)
        except* (SlowClientError, LineTooLongError) as group:
            for error in _causes(group):
                logger.warning("the client on stdio was dropped: %s", error)
        self.end("client")

    async def _watch_folder(self) -> None:
        """End when the state folder is deleted: no one finds this server any more, and nothing can be recorded."""
        while self._settings.lock.is_of_folder:  # noqa: ASYNC110 (nothing announces it)
            await anyio.sleep(_FOLDER_POLL)
        logger.critical(
            "the state folder %s was deleted or replaced under the running server, which ends: its services go on, "
            "and the next server knows only what is in the folder then",
            self._settings.place.state_dir,
        )
        self.end("folder")

    async def _watch_idle(self, hosted: Hosted, reception: Reception, dashboard: DashboardLink, limit: float) -> None:
        idle_since: float | None = None
        while True:
            now = anyio.current_time()
            if reception.clients or dashboard.viewers or hosted.has_work():
                idle_since = None
            elif idle_since is None:
                idle_since = now
            elif now - max(idle_since, reception.last_left) >= limit:
                self.end("idle")
                return
            await anyio.sleep(min(_IDLE_POLL, limit / 4))

    async def _watch_signals(self, *, task_status: TaskStatus[None]) -> None:
        if sys.platform == "win32":
            task_status.started()  # the event loop there cannot wait for signals; Ctrl-C raises KeyboardInterrupt
            return
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for number in signals:
                if self._ending.is_set():
                    _abandon("a second signal came before the shutdown had finished")
                logger.info("%s: ending", number.name)
                self.end("signal")


def run_server(settings: ServerSettings) -> int:
    """Run a server in its own event loop; return the exit status.

    What keeps the server from running is logged as one message; a bug is logged with its traceback.
    """

    async def serve() -> str:
        return await ServerProcess(settings).run()

    take_ignored_signals()
    status = 1
    calm_collector()
    try:
        from ostler.faces.daemon.steady_loop import SteadyLoop

        anyio.run(serve, backend_options={"loop_factory": SteadyLoop})
        status = 0
    except* (OstlerError, HttpSettingsError, OSError) as group:
        for error in _causes(group):
            logger.critical("%s", error)
    except* Exception:  # the process ends here, and only its log says why
        logger.critical("the server failed", exc_info=True)
    finally:
        settings.lock.release()
    return status


def _how_it_ended(before: Holder) -> str:
    """Return in words that the server before this one did not shut down, and why, if the system says so."""
    from ostler.adapters.process.memory_kills import killed_for_memory

    why: str | None = ""
    with suppress(ValueError):
        since = datetime.fromisoformat(before.started)
        why = killed_for_memory([before.pid], datetime.now(UTC), since=since)
    end = "ended before a shutdown was over: it was killed or too slow, or the machine stopped"
    if why:
        end = f"was killed for memory: {why}"
    return f"the server before this one ({before}) {end}"


def calm_collector() -> None:
    """Make the garbage collector ignore what the imports created, and examine old objects rarely.

    A server holds much that lives long: with Python's defaults a start over 1,000 services spends half its time in
    collections that find nothing. Young objects are examined in portions of 6,000 and 12,000, since nothing else
    runs meanwhile (20,000 objects take 35 ms on a busy machine). Portions of 2,000 found what 32 clients were still
    using: they took 0.1 ms of each create and delete, and these take 0.025 ms.
    """
    gc.freeze()
    gc.set_threshold(6_000, 1, 160)  # 2 million objects, which may be 200 MiB of circles that no one needs
    gc.enable()  # the start turned it off while it imported


def _causes(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _causes(inner)
    else:
        yield error


def _watchdog(limit: float) -> threading.Timer:
    """Return a running timer that ends the process after `limit` seconds; a thread, for the event loop may hang."""
    timer = threading.Timer(limit, _abandon, (f"the shutdown did not finish within {limit:.0f} s",))
    timer.daemon = True
    timer.start()
    return timer


def _abandon(why: str) -> None:
    """End the process now; the kernel releases the lock, and the journal shows the next server what was under way."""
    logger.error("%s: the process ends now", why)
    logging.shutdown()
    os._exit(70)
