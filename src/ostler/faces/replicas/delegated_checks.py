"""Health checks that a standby server makes for the holder: it calls the tool, and the holder judges."""

import logging
import os
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, Protocol

import anyio
import anyio.to_thread
import httpx2
from anyio.abc import TaskGroup

from ostler.adapters.config.live_settings import LiveSettings
from ostler.adapters.config.paths import Paths
from ostler.adapters.replicas.check_form import MAX_LINE, AskedCall, GivenAnswer, Outbox, server_digest
from ostler.adapters.telemetry.instruments import STANDBY_CHECKS
from ostler.adapters.telemetry.standby_metrics import counter
from ostler.faces.replicas.feed_server import CHECKS
from ostler.model.errors import OstlerError
from ostler.model.servers import ServerEntry

if TYPE_CHECKING:
    from ostler.adapters.downstream.pool import DownstreamPool

REFRESH: Final = 10.0
"""Seconds for which what the files say of servers counts."""

UNUSED: Final = 120.0
"""Seconds after which a server that was not called is left."""

MAX_CALLS: Final = 512
"""Calls under way at once; the answer to one more is that there is none."""

_PAUSE: Final = 1.0
"""Seconds from one attempt to reach the holder to the next."""

logger = logging.getLogger(__name__)


class HolderLink(Protocol):
    """The connection to the holder."""

    client: httpx2.AsyncClient
    headers: dict[str, str]
    extensions: dict[str, str]
    key: bytes

    def url(self, path: str, more: dict[str, str]) -> str:
        """Return the URL of `path` with this follower's parameters and `more`."""
        ...


class DelegatedChecks:
    """Calls what the holder asks for, on servers of which this one has the same entry.

    Args:
        paths: the folders of this server.
        live: the settings in force.
    """

    def __init__(self, paths: Paths, live: LiveSettings) -> None:
        self._paths = paths
        self._live = live
        self._pool: DownstreamPool | None = None
        self._entries: dict[str, ServerEntry] = {}
        self._read_at = -REFRESH
        self._reading = anyio.Lock()
        self._used_at: dict[str, float] = {}
        self._counter = counter(STANDBY_CHECKS)

    def __repr__(self) -> str:
        return f"<DelegatedChecks {sorted(self._used_at)}>"

    async def run(self) -> None:
        """Keep the connections to downstream servers, which outlive a holder, until cancelled."""
        from ostler.adapters.downstream.pool import DownstreamPool  # what only passes requests on needs none
        from ostler.adapters.environments import Environments
        from ostler.engine.clock import SystemClock

        pool = DownstreamPool(
            {},
            log_dir=self._paths.logs_dir,
            environment=Environments(os.environ),
            clock=SystemClock(),
            children_dir=self._paths.state_dir / "none",  # it starts no processes
        )
        async with pool:
            self._pool = pool
            try:
                await anyio.sleep_forever()
            finally:
                self._pool = None

    async def serve(self, link: HolderLink) -> None:
        """Make checks for one holder, until cancelled; what goes wrong costs no more than the checks."""
        while True:
            try:
                if self._pool is not None:
                    async with anyio.create_task_group() as tasks:
                        await _Desk(self, self._pool, link, tasks).work()
                        tasks.cancel_scope.cancel()
            except* (httpx2.HTTPError, OSError) as group:
                logger.debug("no health checks are made for the holder: %r", group.exceptions[0])
            except* Exception as group:  # boundary: the holder makes its checks itself
                logger.warning("health checks for the holder failed: %r", group.exceptions[0], exc_info=True)
            await anyio.sleep(_PAUSE)

    async def answer(self, asked: AskedCall, pool: "DownstreamPool", key: bytes) -> GivenAnswer:
        """Make a call, and return what became of it."""
        given, outcome = GivenAnswer(asked.number, why="settings"), "refused"
        if await self._connect(asked.tool.partition("/")[0], asked.digest, pool, key):
            try:
                response = await pool.call_tool(asked.tool, asked.args, timeout=asked.timeout)
                given, outcome = GivenAnswer(asked.number, response), "answered"
            except OstlerError as error:
                given, outcome = GivenAnswer(asked.number, why=error.summary), "failed"
        self._counter.add(1, {"ostler.check.outcome": outcome})
        return given

    async def _connect(self, server: str, digest: str, pool: "DownstreamPool", key: bytes) -> bool:
        """Return whether this server has the same entry as the holder, which is then connected or about to be."""
        entry = await self._entry(server, pool)
        if entry is None or server_digest(entry, key) != digest:
            return False
        self._used_at[server] = anyio.current_time()
        if server not in pool.names():
            pool.add(entry)
            pool.connect(server)
        elif pool.entry(server) != entry:
            pool.update(entry)
        return True

    async def _entry(self, server: str, pool: "DownstreamPool") -> ServerEntry | None:
        """Return the entry of a server, as the files have it, or had it a moment ago."""
        async with self._reading:
            left = await self._read_again(pool)
        for name in left:  # each may take seconds, in which other calls go on
            if name not in self._used_at and name in pool.names():
                await pool.remove(name)
        return self._entries.get(server)

    async def _read_again(self, pool: "DownstreamPool") -> list[str]:
        """Read the files, if it is time for that; return the connected servers that are in no file, or not used."""
        now = anyio.current_time()
        if now - self._read_at < REFRESH:
            return []
        self._read_at = now
        self._entries = await anyio.to_thread.run_sync(self._read)
        left = [
            each for each in pool.names() if each not in self._entries or now - self._used_at.get(each, now) > UNUSED
        ]
        for name in left:
            self._used_at.pop(name, None)
        return left

    def _read(self) -> dict[str, ServerEntry]:
        from ostler.adapters.config.server_files import ServerFiles
        from ostler.adapters.environments import LiveEnvironment
        from ostler.faces.configuration import read_servers

        variables = LiveEnvironment(os.environ)
        entries, _ = read_servers(ServerFiles(self._paths, variables), self._live.current(), variables)
        return entries


class _Desk:
    """The two streams to one holder, and the calls between them."""

    def __init__(self, checking: DelegatedChecks, pool: "DownstreamPool", link: HolderLink, tasks: TaskGroup) -> None:
        self._checking = checking
        self._pool = pool
        self._link = link
        self._tasks = tasks
        self._answers = Outbox()
        self._under_way = 0

    async def work(self) -> None:
        """Take calls until the holder sends no more.

        Raises:
            HTTPError, OSError: the holder cannot be reached, or is lost.
            ValueError, TypeError: it sent something else.
        """
        link = self._link
        address = link.url(CHECKS, {})
        self._tasks.start_soon(self._send, address)
        async with link.client.stream(
            "GET", address, timeout=None, headers=link.headers, extensions=link.extensions
        ) as answer:
            if answer.status_code != 200:
                return
            rest = b""
            async with aclosing(answer.aiter_raw()) as parts:
                async for part in parts:
                    *lines, rest = (rest + part).split(b"\n")
                    for line in lines:
                        self._begin(AskedCall.read(line))
                    if len(rest) > MAX_LINE:
                        raise ValueError("a call that is too long")

    def _begin(self, asked: AskedCall) -> None:
        if self._under_way >= MAX_CALLS:
            self._answers.put(GivenAnswer(asked.number, why="busy").line())
            return
        self._under_way += 1
        self._tasks.start_soon(self._make, asked)

    async def _make(self, asked: AskedCall) -> None:
        given = GivenAnswer(asked.number, why="a bug")
        try:
            given = await self._checking.answer(asked, self._pool, self._link.key)
        except Exception:  # boundary: one call costs no other
            logger.exception("a health check for the holder failed")
        finally:
            self._under_way -= 1
            self._answers.put(given.line())

    async def _send(self, address: str) -> None:
        """Send answers as they come; several at once if they do."""
        link = self._link
        await link.client.post(
            address, content=self._answers.parts(), timeout=None, headers=link.headers, extensions=link.extensions
        )
        raise httpx2.ReadError("the holder takes no more answers")
