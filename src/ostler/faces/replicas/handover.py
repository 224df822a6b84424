"""Requests that a standby server leaves to the holder: `leave_to_holder` ends one here, and it is forwarded."""

from contextvars import ContextVar
from typing import Never

from ostler.model.errors import OstlerError


class Handover:
    """Whether a request that is being answered here has to be answered by the holder after all."""

    __slots__ = ("is_due",)

    def __init__(self) -> None:
        self.is_due = False


handover: ContextVar[Handover | None] = ContextVar("handover", default=None)
"""That of the request under way."""


class NotHereError(OstlerError):
    """Only the holder of the database can answer this. No client sees it: the request is passed on."""

    code = "not_here"


def leave_to_holder(what: str) -> Never:
    """Have the request under way passed on.

    Raises:
        NotHereError: always.
    """
    if (due := handover.get()) is not None:
        due.is_due = True
    raise NotHereError(f"this server stands by, and cannot {what}")
