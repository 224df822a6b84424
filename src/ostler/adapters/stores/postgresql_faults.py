"""PostgreSQL's faults as StoreErrors that name the database (never its password), the cause and what to do next."""

import re
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ostler.model.errors import StoreError, StoreHeldError
from ostler.model.settings import MISREAD, is_misread

FENCED: Final = "OS001"
"""SQLSTATE with which the database refuses a batch of a server that does not hold it any more."""

_ADDRESS: Final = "check the URL (store in ostler.toml, or OSTLER_STORE) and that PostgreSQL runs there"
_RIGHTS: Final = "let its role create: GRANT CREATE ON DATABASE {database} TO {user}"
_FOREIGN: Final = "use the role that made the tables, or give its rights to this one: GRANT THAT_ROLE TO {user}"
_GONE: Final = "restore a backup of the schema 'ostler', or start this server again: it makes new, empty ones"
POOLER: Final = "connect to PostgreSQL itself, or let the pooler keep sessions: pool_mode = session"
_CONNECTIONS: Final = "raise max_connections, or close other connections; Ostler needs two"

_CAUSES: Final = {
    "42501": ("the role {user!r} lacks a right", _RIGHTS),
    "25006": ("it is read-only, as a standby is", "use the primary, or add target_session_attrs=read-write to the URL"),
    "53100": ("its disk is full", "free space there, then ask again"),
    "53300": ("it has too many connections", _CONNECTIONS),
    "42P01": ("Ostler's tables are gone", _GONE),
    "42883": ("Ostler's tables are gone", _GONE),
    "57P01": ("it is being shut down", "wait until PostgreSQL is back: Ostler connects automatically"),
    "57P02": ("it crashed", "wait until PostgreSQL is back: Ostler connects automatically"),
    "57P03": ("it is starting", "wait until PostgreSQL is back: Ostler connects automatically"),
    "57014": ("it did not answer in time", "check the load and the locks of that database"),
    "55P03": ("it did not answer in time", "check the load and the locks of that database"),
}

_REFUSALS: Final = {
    "password authentication failed": "correct the user and the password in the URL, or give them in ~/.pgpass",
    "no password supplied": "give the password in the URL, in ~/.pgpass or as PGPASSWORD",
    "no pg_hba.conf entry": "allow this connection in pg_hba.conf",
    "too many clients": _CONNECTIONS,
    "too many connections": _CONNECTIONS,
    "connection slots are reserved": _CONNECTIONS,
    "statement pooling mode": POOLER,
    "does not support ssl": "correct sslmode in the URL, or turn on ssl in PostgreSQL",
    "is not permitted to log in": "let the role log in: ALTER ROLE {user} LOGIN",
    "session is read-only": "let one of its hosts be the primary: Ostler connects automatically when one is",
    "is starting up": "wait until PostgreSQL is back: Ostler connects automatically",
    "is shutting down": "wait until PostgreSQL is back: Ostler connects automatically",
    "does not exist": "create what is missing (createuser, createdb), or correct the URL",
    "could not translate host name": "correct the host in the URL",
    "name or service not known": "correct the host in the URL",
    "connection refused": _ADDRESS,
}


_QUOTED: Final = re.compile(r'(?: in)?:? "')
"""What goes before a part of the URL in an error of libpq: it may be of the password."""


class Address:
    """Where a database is: its URL, and what may be shown of it."""

    def __init__(self, url: str) -> None:
        """Take `url`, such as `postgresql://user:password@host:5432/name`.

        Raises:
            StoreError: it is not a URL of PostgreSQL.
        """
        self.url = url
        form = "write it as postgresql://USER:PASSWORD@HOST:5432/DATABASE; escape other characters as %XX"
        if is_misread(url):
            raise StoreError(f"the store's URL {MISREAD}", next_actions=(form,))
        try:
            self._parts = conninfo_to_dict(url)
        except psycopg.Error as exc:
            raise StoreError(
                f"the store's URL cannot be read: {_QUOTED.split(_first_line(exc))[0]}", next_actions=(form,)
            ) from None

    @property
    def user(self) -> str:
        """The role that is logged in as; empty for the default."""
        return str(self._parts.get("user") or "")

    @property
    def database(self) -> str:
        """The database's name; empty for the default."""
        return str(self._parts.get("dbname") or "")

    def __repr__(self) -> str:
        return f"<Address {self}>"

    def __str__(self) -> str:
        who = f"{self.user}@" if self.user else ""
        port = self._parts.get("port")
        where = str(self._parts.get("host") or self._parts.get("hostaddr") or "")
        if where.startswith("/"):
            where = f"[{where}]"
        return f"postgresql://{who}{where}{f':{port}' if port else ''}/{self.database}"


def translate(exc: BaseException, address: Address, done: str) -> StoreError:
    """Return the StoreError for `exc`.

    Args:
        exc: what psycopg raised, or a TimeoutError.
        address: the database.
        done: what could not be done to it, as a participle: `opened`, `written`, `read`.
    """
    where = f"the database {str(address)!r} could not be {done}"
    if isinstance(exc, TimeoutError):
        return StoreError(f"{where}: it did not answer in time", next_actions=(_ADDRESS,))
    state = exc.sqlstate if isinstance(exc, psycopg.Error) else None
    if state == FENCED:
        return taken_over(address)
    names = {"user": address.user or "of this connection", "database": address.database or "NAME"}
    text = _first_line(exc)
    if state in _CAUSES:
        cause, action = _CAUSES[state]
        said = cause.format(**names)
        actions = _rights(text) if action is _RIGHTS else (action,)
        return StoreError(f"{where}: {said} ({text})", next_actions=tuple(each.format(**names) for each in actions))
    action = next((fix for part, fix in _REFUSALS.items() if part in text.lower()), _ADDRESS)
    return StoreError(f"{where}: {text}", next_actions=(action.format(**names),))


def _rights(said: str) -> tuple[str, ...]:
    """Return what to do about a missing right; PostgreSQL names in its own language what it is a right of."""
    if "permission denied for database" in said:
        return (_RIGHTS,)
    return (_FOREIGN,) if "permission denied for" in said else (_RIGHTS, _FOREIGN)


def taken_over(address: Address) -> StoreHeldError:
    """Return the error for a server that does not hold the database any more."""
    return StoreHeldError(
        f"another server has taken over the database {str(address)!r}; this one does nothing any more",
        next_actions=("stop this server; it can be started again as the one that stands by",),
    )


def is_loss(exc: BaseException, connection: psycopg.AsyncConnection[object]) -> bool:
    """Whether the connection is lost, so that it is unknown whether its last commit came through."""
    return isinstance(exc, TimeoutError) or connection.closed or connection.broken


def _first_line(exc: BaseException) -> str:
    return str(exc).strip().partition("\n")[0] or type(exc).__name__
