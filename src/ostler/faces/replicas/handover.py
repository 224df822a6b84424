"""Requests that a standby server leaves to the holder: `leave_to_holder` ends one here, and it is forwarded."""

from abc import update_abstractmethods
from collections.abc import Callable
from contextvars import ContextVar
from typing import Never, ParamSpec, TypeVar, cast

from ostler.model.errors import OstlerError

_P = ParamSpec("_P")
_FaceT = TypeVar("_FaceT")


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


def leaves_the_rest(face: type[object]) -> Callable[[Callable[_P, _FaceT]], Callable[_P, _FaceT]]:
    """Have a class leave to the holder what it does not define of the interface `face`, an ABC or a protocol."""

    def completed(mirror: Callable[_P, _FaceT]) -> Callable[_P, _FaceT]:
        made = cast("type[object]", mirror)
        abstract: frozenset[str] = getattr(face, "__abstractmethods__", frozenset())
        for name in abstract or {name for name in dir(face) if not name.startswith("_")}:
            if name not in vars(made):
                setattr(made, name, _left(name, is_property=isinstance(getattr(face, name), property)))
        update_abstractmethods(made)
        return mirror

    return completed


def _left(name: str, *, is_property: bool) -> object:
    def leave(*_args: object, **_options: object) -> Never:
        leave_to_holder(f"answer {name}")

    return property(leave) if is_property else leave
