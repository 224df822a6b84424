"""Why a connection attempt failed or a connection ended, in words for people."""

from collections.abc import Iterator
from typing import cast

import httpx2
import mcp_types as types
from mcp.shared import exceptions as sdk_errors
from msgspec import Struct
from pydantic import ValidationError

from ostler.adapters.downstream.authorization import Challenge
from ostler.adapters.downstream.fault_codes import OWN_FAULT, Fault, fault_of
from ostler.adapters.downstream.loss import ConnectFailedError, LossSignal
from ostler.model.states import ServiceState


class ConnectFailure(Struct, frozen=True):
    """What is to be said about it.

    Attributes:
        reason: one clause.
        state: unreachable, auth_required, or disconnected for a connection that was there.
        refused: no one listened on the server's port.
    """

    reason: str
    state: ServiceState = ServiceState.UNREACHABLE
    refused: bool = False


def failure_of(error: Exception, loss: LossSignal) -> ConnectFailure:
    """Return what `error`, or the group of errors that a transport ended with, amounts to."""
    for leaf in _leaves(error):
        if isinstance(leaf, ConnectFailedError):
            return ConnectFailure(leaf.reason, leaf.state)
        if isinstance(leaf, sdk_errors.MCPError) and (fault := fault_of(leaf)) is not None:
            return _of_fault(fault, leaf.message)
        if _is_of_http(leaf) and isinstance(leaf, httpx2.HTTPStatusError):
            own = leaf.response.extensions.get(OWN_FAULT)
            return _of_status(leaf.response.status_code) if own is None else _of_fault(*own)
    return ConnectFailure(loss.reason) if loss.is_lost else _of_other(next(_leaves(error)))


def _of_other(leaf: BaseException) -> ConnectFailure:
    match leaf:
        case sdk_errors.MCPError():
            closed = leaf.code == types.CONNECTION_CLOSED
            text = (
                "it closed the connection during the handshake"
                if closed
                else f"it refused: {leaf.message.strip() or 'an error without a message'}"
            )
            return ConnectFailure(text)
        case ValidationError():
            return ConnectFailure(f"its answer to the handshake does not follow the protocol: {first_problem(leaf)}")
        case _ if _is_of_http(leaf) and isinstance(leaf, httpx2.TransportError):
            refused = isinstance(leaf, httpx2.ConnectError)
            return ConnectFailure(f"the connection failed: {leaf or type(leaf).__name__}", refused=refused)
        case _:
            return ConnectFailure(f"{type(leaf).__name__}: {leaf}")


def first_problem(error: ValidationError) -> str:
    """Return where an answer breaks the protocol first, and how."""
    problems = error.errors(include_url=False, include_input=False)
    if not problems:
        return "it cannot be read"
    place = ".".join(str(part) for part in problems[0]["loc"])
    return f"{place}: {problems[0]['msg']}" if place else problems[0]["msg"]


def _of_fault(fault: Fault, text: str) -> ConnectFailure:
    if fault is Fault.AUTH_REQUIRED:
        return ConnectFailure(text, ServiceState.AUTH_REQUIRED)
    return ConnectFailure(text, refused=fault is Fault.NOT_SENT)


def _of_status(status: int) -> ConnectFailure:
    match status:
        case 401 | 403:
            return _of_fault(Fault.AUTH_REQUIRED, Challenge(status).reason)
        case _:
            return ConnectFailure(f"the server answered HTTP {status}")


def _is_of_http(error: BaseException) -> bool:
    """Whether the HTTP client raised it: comparing with its errors would load it, also for a program that failed."""
    return any(kind.__module__.partition(".")[0] == httpx2.__name__ for kind in type(error).__mro__)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _leaves(inner)
    else:
        yield error
