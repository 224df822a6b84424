"""The operations of services, as a server reads them that does not hold the database."""

from collections.abc import Sequence
from typing import Any, Final

import anyio
import psycopg
from psycopg import AsyncConnection

from ostler.adapters.stores.postgresql_faults import Address, translate
from ostler.adapters.stores.postgresql_link import close, connect
from ostler.adapters.stores.records_json import OPERATION
from ostler.adapters.stores.rows import column
from ostler.model.errors import StoreError
from ostler.model.records import OperationRecord

NEWEST_OPERATIONS: Final = "SELECT record FROM operations WHERE service_id = %s ORDER BY seq DESC LIMIT %s"
"""Of a service, by its id and their number; newest first."""

_SECONDS: Final = 2.0
"""For one answer: then the holder is asked."""


class OperationHistory:
    """Reads over one connection, which is made when it is needed.

    Args:
        url: of the database.
    """

    def __init__(self, url: str) -> None:
        self._address = Address(url)
        self._connection: AsyncConnection[Any] | None = None
        self._turn = anyio.Lock()

    def __repr__(self) -> str:
        return f"<OperationHistory of {self._address}>"

    async def newest(self, service_id: str, limit: int) -> Sequence[OperationRecord]:
        """Return the newest operations of a service, newest first.

        Raises:
            StoreError: they cannot be read now.
        """
        try:
            with anyio.fail_after(_SECONDS):
                async with self._turn:
                    return await self._read(service_id, limit)
        except (psycopg.Error, TimeoutError) as exc:
            await self.close()
            raise translate(exc, self._address, "read") from exc
        except StoreError:
            await self.close()
            raise

    async def _read(self, service_id: str, limit: int) -> Sequence[OperationRecord]:
        if self._connection is None or self._connection.closed:
            self._connection = await connect(self._address, "ostler standby", _SECONDS)
        rows = await (await self._connection.execute(NEWEST_OPERATIONS, (column(service_id), limit))).fetchall()
        return [OPERATION.read(text) for (text,) in rows]

    async def close(self) -> None:
        """Let the connection go."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await close(connection)
