"""What a ToolCaller may know of the call that it makes: its service, whether it may still be sent, its time limits."""

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from contextvars import ContextVar, Token
from typing import Any, Generic, TypeVar, TypeVarTuple

import anyio
from anyio.abc import TaskGroup
from msgspec import Struct

_Args = TypeVarTuple("_Args")
_T = TypeVar("_T")

_service_id: ContextVar[str] = ContextVar("id of the service that a tool is called for", default="")

before_sending: ContextVar[Callable[[], None] | None] = ContextVar("before_sending", default=None)
"""What a ToolCaller calls directly before it sends, if it can: it raises StoreError if nothing may be sent any more.

A call may wait long until it is sent, for its server or for its turn, and its process may be paused meanwhile.
"""

_limits: ContextVar[tuple[anyio.CancelScope, ...]] = ContextVar("time limits", default=())
_turn: ContextVar["Turn | None"] = ContextVar("turn", default=None)

_NOTICEABLE_WAIT = 1.0
"""Seconds of waiting from which on a call counts as sent later than it was intended."""


class Turn(Struct):
    """The turn of a call that may have to wait for others to end.

    Attributes:
        taken: awaited after a wait, before the call is sent.
        is_awaited: the call still waits: it was not sent.
    """

    taken: Callable[[], Awaitable[None]]
    is_awaited: bool = False


class EngineTasks:
    """The tasks of the engine, which belong to no call: the limits in force where one is begun are not its own."""

    def __init__(self, group: TaskGroup) -> None:
        self._group = group

    def start_soon(
        self, act: Callable[[*_Args], Coroutine[Any, Any, object]], *args: *_Args, name: str | None = None
    ) -> None:
        """Begin a task that awaits `act(*args)`."""
        limits, turns = _limits.set(()), _turn.set(None)
        try:
            self._group.start_soon(act, *args, name=name)
        finally:
            _limits.reset(limits)
            _turn.reset(turns)

    def cancel(self) -> None:
        """Cancel all of them."""
        self._group.cancel_scope.cancel()


class Bound(Generic[_T]):
    """Gives a context variable a value for a block. A generator for that makes four times the function calls."""

    __slots__ = ("_token", "_value", "_variable")

    def __init__(self, variable: ContextVar[_T], value: _T) -> None:
        self._variable = variable
        self._value = value

    def __enter__(self) -> None:
        self._token: Token[_T] = self._variable.set(self._value)

    def __exit__(self, *_: object) -> None:
        self._variable.reset(self._token)


def calling_for(service_id: str) -> AbstractContextManager[None]:
    """Attribute the calls that are made inside to the service with this id."""
    return Bound(_service_id, service_id)


def called_for() -> str:
    """Return the id of the service that the current call is for; empty for a call that is for no service."""
    return _service_id.get()


class _Limited:
    __slots__ = ("_limits", "_scope", "_turn", "_turns")

    def __init__(self, scope: anyio.CancelScope, turn: Turn | None) -> None:
        self._scope = scope
        self._turn = turn

    def __enter__(self) -> None:
        self._limits = _limits.set((*_limits.get(), self._scope))
        self._turns = _turn.set(self._turn)

    def __exit__(self, *_: object) -> None:
        _limits.reset(self._limits)
        _turn.reset(self._turns)


_UNLIMITED: AbstractContextManager[None] = nullcontext()


def limited_by(scope: anyio.CancelScope, turn: Turn | None = None) -> AbstractContextManager[None]:
    """Let the deadline of `scope`, an operation's, stand still while a call made in the block waits for its turn.

    Args:
        scope: the limit.
        turn: that of the call.
    """
    return _Limited(scope, turn)


def also_limited_by(scope: anyio.CancelScope, turn: Turn | None = None) -> AbstractContextManager[None]:
    """As `limited_by`, for the limit of one call; without an operation's, the wait counts: someone waits for it."""
    return _Limited(scope, turn) if has_patience() else _UNLIMITED


def has_patience() -> bool:
    """Whether the limits of the call under way do not count the time in `waiting_for_turn`."""
    return bool(_limits.get())


@asynccontextmanager
async def waiting_for_turn() -> AsyncGenerator[None]:
    """Let the limits of the call under way stand still; a ToolCaller enters it to wait for the end of other calls."""
    began = anyio.current_time()
    limits = [(scope, scope.deadline) for scope in _limits.get()]
    for scope, _ in limits:
        scope.deadline = math.inf
    turn = _turn.get()
    if turn is not None:
        turn.is_awaited = True
    try:
        yield
    finally:
        waited = anyio.current_time() - began
        for scope, deadline in limits:
            scope.deadline = min(scope.deadline, deadline + waited)
    if turn is not None:
        if waited >= _NOTICEABLE_WAIT:
            await turn.taken()
        turn.is_awaited = False
