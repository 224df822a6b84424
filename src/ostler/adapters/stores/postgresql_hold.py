"""Holding a PostgreSQL database: one server at a time, shown by a heartbeat and enforced by an epoch.

The holder's row has an epoch, which every commit names; a server that takes over raises it, so that no commit of the
earlier one can come through. It may take over when the holder has let go, was not heard from for some seconds by
the database's clock, or was an earlier process of the same node (whose state folder this one has locked). The holder
counts on its hold for less long than that, by its own clock from before each heartbeat was sent: when it was paused
or cut off, it knows that it may not act before another server can begin to.
"""

import os
import socket
from collections.abc import Callable, Sequence
from typing import Final

import anyio
from msgspec import Struct

from ostler.adapters.stores.postgresql_faults import Address, taken_over
from ostler.adapters.stores.postgresql_schema import Connection
from ostler.model.errors import StoreError, StoreHeldError


class Timings(Struct, frozen=True):
    """How long a server waits for its database, and other servers for it; all in seconds.

    Attributes:
        heartbeat: from one heartbeat to the next.
        taken_after: without a heartbeat, after which another server may take over.
        trusted: after a heartbeat was sent, for which the holder counts on its hold.
        connect: for one connection.
        answer: for one short statement; a database that is silent for longer counts as lost.
        batch: for one batch of commits.
        settle: to find out whether the batch during which the database was lost is durable.
        poll: from one look at the holder to the next while standing by.
    """

    heartbeat: float = 1.0
    taken_after: float = 7.0
    trusted: float = 5.0
    connect: float = 5.0
    answer: float = 4.0
    batch: float = 8.0
    settle: float = 5.0
    poll: float = 0.5


_SHOWN: Final = """
SELECT run, node, label, extract(epoch FROM clock_timestamp() - heard_at)::float8,
    released OR node = %s OR heard_at < clock_timestamp() - make_interval(secs => %s)
FROM heartbeat
"""
_TAKE: Final = "UPDATE holder SET epoch = epoch + 1, batch = 0 RETURNING epoch"
_SHOW: Final = """
UPDATE heartbeat SET epoch = %s, run = %s, node = %s, label = %s, heard_at = clock_timestamp(), released = false
"""
_DRIVERS: Final = """
WITH RECURSIVE found AS (
    (SELECT drivers FROM services WHERE drivers <> '' ORDER BY drivers LIMIT 1)
    UNION ALL
    SELECT (SELECT drivers FROM services WHERE drivers <> '' AND drivers > found.drivers ORDER BY drivers LIMIT 1)
    FROM found WHERE found.drivers IS NOT NULL
)
SELECT drivers FROM found WHERE drivers IS NOT NULL
"""
"""Each once, by as many steps through the index."""
_DRIVEN: Final = "SELECT name FROM services WHERE drivers <> '' AND drivers = ANY(%s) ORDER BY name COLLATE \"C\""
_ANNOUNCE: Final = "UPDATE address SET epoch = %s, url = %s WHERE epoch <= %s"
_END_CONNECTIONS: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = %s AND pid <> ALL(%s)
"""


class Holder(Struct, frozen=True):
    """Who is to hold a database.

    Attributes:
        node: the state folder's own id, which outlives its processes.
        run: this process's id.
        label: for people.
    """

    node: str
    run: str
    label: str

    @classmethod
    def of_this_process(cls, node: str, what: str = "server") -> "Holder":
        """Return this process as a holder."""
        label = f"{what} on {socket.gethostname()}, pid {os.getpid()}"
        return cls(node, os.urandom(8).hex(), label)


def application_name(run: str) -> str:
    """Return what the connections of the process `run` are called in PostgreSQL."""
    return f"ostler {run}"


class Hold:
    """The hold of this process on a database."""

    def __init__(
        self,
        address: Address,
        holder: Holder,
        timings: Timings | None = None,
        is_local: Callable[[str], bool] | None = None,
    ) -> None:
        """Make it; `is_local` says of a downstream server's name that what it started is on its own machine alone."""
        self._is_local = is_local
        self._address = address
        self.timings = timings or Timings()
        self.holder = holder
        self.epoch = 0
        self.url = ""
        """Where this process serves clients over HTTP; empty: nowhere yet. The next heartbeat says so."""
        self._announced = ""
        self._trusted_until = 0.0

    def __repr__(self) -> str:
        return f"<Hold {self._address} epoch={self.epoch}>"

    async def take(self, connection: Connection, *, spare: Sequence[int]) -> None:
        """Take the hold, and end the connections of its earlier holder, but for the backends `spare`.

        Raises:
            StoreHeldError: another server has it.
            StoreError: another node had it last, and local processes of that one are still stored.
            psycopg.Error: the database cannot be written.
        """
        node = ""
        while not await self._take_from(connection, node, spare):  # checking takes long where much is stored
            _, node = await self.look(connection)
            if self._is_local is not None:
                await self._refuse_processes_of_others(connection, self._is_local)

    async def _take_from(self, connection: Connection, checked: str, spare: Sequence[int]) -> bool:
        """Take the hold if this node or `checked` had it last, or if that does not matter; return whether it did."""
        asked_at = anyio.current_time()
        holder = self.holder
        async with connection.transaction():
            run, node = await self.look(connection, lock=True)
            if self._is_local is not None and node not in ("", holder.node, checked):
                return False
            if run:  # it may be in the middle of a commit
                await connection.execute(_END_CONNECTIONS, (application_name(run), list(spare)))
            taken = await (await connection.execute(_TAKE)).fetchone()
            assert taken is not None
            self.epoch = taken[0]
            await connection.execute(_SHOW, (self.epoch, holder.run, holder.node, holder.label))
        self._trusted_until = asked_at + self.timings.trusted
        return True

    async def look(self, connection: Connection, *, lock: bool = False) -> tuple[str, str]:
        """Return which process held the database last, and of which node it was.

        Raises:
            StoreHeldError: another server still does.
            psycopg.Error: the database cannot be read.
        """
        found = await connection.execute(
            f"{_SHOWN} {'FOR UPDATE' if lock else ''}", (self.holder.node, self.timings.taken_after)
        )
        shown = await found.fetchone()
        assert shown is not None
        run, node, label, age, is_free = shown
        if not is_free:
            raise StoreHeldError(
                f"the database {str(self._address)!r} is held by another Ostler ({label}), heard from {age:.0f} s ago",
                next_actions=(f"stop that one; if it crashed, wait {self.timings.taken_after:.0f} s",),
            )
        return run, node

    async def _refuse_processes_of_others(self, connection: Connection, is_local: Callable[[str], bool]) -> None:
        every = [text for (text,) in await (await connection.execute(_DRIVERS)).fetchall()]
        drivers = [text for text in every if any(map(is_local, text.split()))]
        local = [name for (name,) in await (await connection.execute(_DRIVEN, (drivers,))).fetchall()]
        if local:
            last = await (await connection.execute("SELECT label FROM heartbeat")).fetchone()
            names = ", ".join(local[:10]) + (f" and {len(local) - 10} more" if len(local) > 10 else "")
            raise StoreError(
                f"the database {str(self._address)!r} was last used by another machine or state folder "
                f"({last[0] if last else 'unknown'}), which has local processes that cannot be seen from here: {names}",
                next_actions=(
                    "start the server there again, and stop or delete them there",
                    "or, if that machine is gone for good: ostler store take",
                    "or, if their downstream servers are reached over HTTP: give this server the same mcp.json",
                ),
            )

    async def hand_over(self, connection: Connection) -> None:
        """Let this node take over a database that no server holds, whichever node had it last.

        Raises:
            StoreHeldError: a server holds it.
            psycopg.Error: the database cannot be written.
        """
        async with connection.transaction():
            await self.look(connection, lock=True)
            await connection.execute("UPDATE heartbeat SET node = %s", (self.holder.node,))

    async def beat(self, connection: Connection) -> None:
        """Show that this process is alive and still holds the database.

        Raises:
            StoreHeldError: another server has taken over.
            psycopg.Error: the database cannot be written.
        """
        asked_at = anyio.current_time()
        done = await connection.execute(
            "UPDATE heartbeat SET heard_at = clock_timestamp() WHERE epoch = %s", (self.epoch,)
        )
        if done.rowcount == 0:
            self._trusted_until = 0.0
            raise taken_over(self._address)
        self._trusted_until = asked_at + self.timings.trusted
        if self.url != self._announced:
            await connection.execute(_ANNOUNCE, (self.epoch, self.url, self.epoch))
            self._announced = self.url

    async def last_batch(self, connection: Connection, *, spare: Sequence[int]) -> int:
        """Return the number of the last batch of this process that is durable, and see to it that no other comes.

        Args:
            connection: a new one.
            spare: the backends of the new connections; those of earlier ones, which may be in the middle of a commit,
                are ended.

        Raises:
            StoreHeldError: another server has taken over.
            psycopg.Error: the database cannot be read.
        """
        await connection.execute(_END_CONNECTIONS, (application_name(self.holder.run), list(spare)))
        async with connection.transaction():
            found = await connection.execute("SELECT batch FROM holder WHERE epoch = %s FOR UPDATE", (self.epoch,))
            row = await found.fetchone()
        if row is None:
            raise taken_over(self._address)
        return row[0]

    async def release(self, connection: Connection) -> None:
        """Let go, so that another server need not wait."""
        self._trusted_until = 0.0
        await connection.execute("UPDATE heartbeat SET released = true WHERE epoch = %s", (self.epoch,))

    def confirm(self) -> None:
        """Raise StoreError unless this process is certain to hold the database for a moment more. Never blocks."""
        if anyio.current_time() >= self._trusted_until:
            raise StoreError(
                f"it is not certain that this server still holds the database {str(self._address)!r}: it was paused, "
                "or the database did not answer; nothing was sent",
                next_actions=("ask again when the database answers",),
            )
