"""Which store is in force: the file in the state folder, or a PostgreSQL database. Its library is an extra."""

import secrets
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from ostler.adapters.atomic_files import replace_private
from ostler.adapters.config.paths import Paths
from ostler.adapters.stores.retention import Retention
from ostler.adapters.stores.sqlite import SqliteStore
from ostler.adapters.stores.standing_by import Standby
from ostler.engine.protocols import Store
from ostler.model.errors import StoreError
from ostler.model.servers import OVER_HTTP, ServerEntry
from ostler.model.settings import Settings, shown_store

if TYPE_CHECKING:
    from ostler.adapters.stores.postgresql import PostgresqlStore

_NODE_FILE: Final = "node"


class StorePlace(Struct, frozen=True):
    """Where the store is: a URL of PostgreSQL, or without one the file."""

    path: Path
    url: str = ""

    @classmethod
    def of(cls, path: Path, settings: Settings) -> "StorePlace":
        """Return the store that `settings` name; `path` is the file."""
        return cls(path, settings.store_url)

    def __str__(self) -> str:
        return shown_store(self.url) if self.url else str(self.path)


class WatchedStore(Store, Protocol):
    """A store that others may hold too, over a connection that may be lost."""

    @property
    def trouble(self) -> StoreError | None:
        """Why the database cannot be used now; None when it can."""
        ...

    def on_trouble(self, callback: Callable[[StoreError | None], None]) -> None:
        """Call `callback(why)` when the database is lost, and `callback(None)` when it is back."""
        ...

    async def wait_taken_over(self) -> StoreError:
        """Wait until this server will never use the database again, and return why."""
        ...

    def confirm(self) -> None:
        """Raise StoreError unless this server is certain to hold the database for a moment more. Never blocks."""
        ...

    def announce(self, url: str) -> None:
        """Let the servers that stand by know that clients are served at `url`; a host `*` is this machine's address."""
        ...

    async def shared_key(self) -> bytes:
        """Return what the ids of HTTP sessions are signed with by all servers of the database; raises StoreError."""
        ...


@asynccontextmanager
async def open_store(
    paths: Paths, settings: Settings, entries: Mapping[str, ServerEntry], *, standby: Standby | None = None
) -> AsyncGenerator[tuple[Store, WatchedStore | None]]:
    """Open the store in force for the server of its state folder; the second is the same one if it is watched.

    Args:
        paths: the state folder, with the file.
        settings: where the store is, and how much history to keep.
        entries: the downstream servers; what one that is not reached over HTTP starts is on this machine alone.
        standby: wait while another server holds the database, and until it can be reached; it sees who does. Of
            PostgreSQL only.

    Raises:
        StoreError: it cannot be opened, or another server holds it.
    """
    place, retention = StorePlace.of(paths.database, settings), Retention.of(settings.limits)
    if not place.url:
        async with SqliteStore.open(place.path, retention=retention) as file:
            yield file, None
        return
    store = postgresql_store()
    from ostler.adapters.stores.postgresql_hold import Holder  # noqa: PLC0415 (an extra)

    def is_local(server: str) -> bool:
        entry = entries.get(server)
        return entry.transport not in OVER_HTTP if entry is not None else server != "ostler"

    holder = Holder.of_this_process(node_of(paths.state_dir))
    async with store.open(place.url, holder, retention=retention, standby=standby, is_local=is_local) as database:
        yield database, database


def postgresql_store() -> "type[PostgresqlStore]":
    """Return the store's class.

    Raises:
        StoreError: the extra is not installed.
    """
    try:
        from ostler.adapters.stores.postgresql import PostgresqlStore  # noqa: PLC0415 (an extra)
    except ImportError as exc:
        from ostler.adapters.extras import how_to_install  # noqa: PLC0415 (only wanted when something went wrong)

        raise StoreError(
            f"a store on PostgreSQL needs a library that is not installed ({exc})",
            next_actions=(how_to_install("postgresql"),),
        ) from exc
    return PostgresqlStore


def node_of(state_dir: Path) -> str:
    """Return the id of the state folder on this machine, which outlives its servers; a copied folder is another one."""
    path = state_dir / _NODE_FILE
    known = ""
    with suppress(OSError, UnicodeDecodeError):
        known = path.read_text(encoding="ascii").strip()
    if not known:
        known = secrets.token_hex(8)
        replace_private(path, f"{known}\n")
    return f"{socket.gethostname()}/{known}"
