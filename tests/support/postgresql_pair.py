"""A PostgreSQL server and a standby that streams from it, synchronously: one fails over to the other and back."""

import contextlib
from collections.abc import Generator

from tests.support.postgresql import Postgresql, running

_WAIT = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'"


class PostgresqlPair:
    """Two servers at ports of their own.

    Attributes:
        primary: the one that takes changes.
        standby: the other one.
    """

    def __init__(self, primary: Postgresql, standby: Postgresql) -> None:
        self.primary = primary
        self.standby = standby
        self.ports = (primary.port, standby.port)

    def fail_over(self) -> None:
        """Let the primary crash, and promote the standby."""
        self.primary.stop()
        self.primary, self.standby = self.standby, self.primary
        self.primary.promote()

    def join(self) -> None:
        """Make the one that does not run a standby of the other, and let commits wait for it."""
        self.standby.follow(self.primary)
        self.standby.start()
        while not self.primary.execute(_WAIT):
            pass
        self.primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.primary.execute("SELECT pg_reload_conf()")


@contextlib.contextmanager
def running_pair() -> Generator[PostgresqlPair]:
    """Give a running pair."""
    with running() as primary, running(start=False) as standby:
        pair = PostgresqlPair(primary, standby)
        pair.join()
        yield pair
