"""Waiting for a PostgreSQL database that another server holds, and seeing who that is meanwhile."""

import logging
from typing import Final

import anyio
import psycopg

from ostler.adapters.stores.postgresql_faults import Address, translate
from ostler.adapters.stores.postgresql_hold import Hold
from ostler.adapters.stores.postgresql_link import close, connect
from ostler.adapters.stores.postgresql_schema import Connection, schema_version
from ostler.adapters.stores.standing_by import SeenHolder, Standby
from ostler.model.errors import StoreError, StoreHeldError

logger = logging.getLogger(__name__)

_HOLDER: Final = """
SELECT heartbeat.epoch, coalesce(address.url, ''), heartbeat.label,
    (SELECT value FROM secrets WHERE name = 'http-sessions')
FROM heartbeat LEFT JOIN address ON address.epoch = heartbeat.epoch
"""


class Waiter:
    """Looks at a database until no other server holds it. `standby` is kept informed."""

    def __init__(self, address: Address, hold: Hold, standby: Standby) -> None:
        self._address = address
        self._hold = hold
        self._standby = standby
        self._said = ""

    async def wait(self) -> None:
        """Return when no other server holds the database."""
        while not await self._look_until_lost():  # noqa: ASYNC110 (nothing announces that the database is free)
            await anyio.sleep(self._hold.timings.poll)

    async def _look_until_lost(self) -> bool:
        """Look over one connection; return whether the database is free, or False when the connection is of no use."""
        timings = self._hold.timings
        try:
            connection = await connect(self._address, self._hold.holder.label, timings.connect)
        except StoreError as error:
            self._note(str(error))
            return False
        try:
            if await schema_version(connection, self._address):
                while not await self._is_free(connection):  # noqa: ASYNC110 (as above)
                    await anyio.sleep(timings.poll)
        except (StoreError, psycopg.Error, TimeoutError) as exc:
            self._note(str(exc if isinstance(exc, StoreError) else translate(exc, self._address, "read")))
            return False
        finally:
            await close(connection)
        self._standby.saw(None)
        return True

    async def _is_free(self, connection: Connection) -> bool:
        with anyio.fail_after(self._hold.timings.answer):
            try:
                await self._hold.look(connection)
            except StoreHeldError:
                self._say("standing by: another server holds it")
                found = await (await connection.execute(_HOLDER)).fetchone()
                assert found is not None
                epoch, url, label, key = found
                self._standby.saw(SeenHolder(epoch, url, label, bytes.fromhex(key)))
                return False
        return True

    def _note(self, trouble: str) -> None:
        self._standby.saw(None, trouble)
        self._say(trouble)

    def _say(self, what: str) -> None:
        if what != self._said:
            logger.info("%s: %s", self._address, what)
            self._said = what
