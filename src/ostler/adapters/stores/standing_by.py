"""What a server that stands by sees of the one that holds the database."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ostler.adapters.telemetry.silent import Scrape


@dataclass(frozen=True, slots=True)
class SeenHolder:
    """The server that holds a database.

    Attributes:
        epoch: a number that grows with each server that takes the database over.
        url: where it serves clients over HTTP; empty while it does not.
        label: for people.
        key: what the servers of the database prove to each other with that they are.
    """

    epoch: int
    url: str
    label: str
    key: bytes = field(repr=False)


class Standby(Protocol):
    """A server that waits until it can hold the database."""

    def saw(self, holder: SeenHolder | None, trouble: str = "") -> None:
        """Note who holds the database; None: no one, or that is unknown because of `trouble`. Quick, raises nothing."""
        ...

    def measured_by(self, scrape: Callable[[], Scrape] | None) -> None:
        """Note what returns the metrics of this process; None: none are kept."""
        ...


class Waiting:
    """A server that serves no one while it waits."""

    def saw(self, holder: SeenHolder | None, trouble: str = "") -> None:
        """Do nothing."""

    def measured_by(self, scrape: Callable[[], Scrape] | None) -> None:
        """Do nothing."""
