"""Where the call under way comes from, for the audit log."""

from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Final

from msgspec import Struct

from ostler.engine.call_context import Bound


class CallFacts(Struct, frozen=True):
    """One call of a tool.

    Attributes:
        tool: the tool, as the client called it.
        client: the name that the client gives itself.
        address: where it is, `192.0.2.7:51234`; empty over the local socket.
    """

    tool: str = ""
    client: str = ""
    address: str = ""


_facts: Final[ContextVar[CallFacts]] = ContextVar("facts of the call", default=CallFacts())  # noqa: B039 (frozen)


def current_call() -> CallFacts:
    """Return the facts of the call under way; empty ones outside of a call."""
    return _facts.get()


def call_of(facts: CallFacts) -> AbstractContextManager[None]:
    """Attribute what happens inside to this call."""
    return Bound(_facts, facts)
