"""For which service a tool is called: callers that keep what they start apart by service may ask."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_service_id: ContextVar[str] = ContextVar("id of the service that a tool is called for", default="")


@contextmanager
def calling_for(service_id: str) -> Generator[None]:
    """Let the calls that are made inside be for the service with this id."""
    token = _service_id.set(service_id)
    try:
        yield
    finally:
        _service_id.reset(token)


def called_for() -> str:
    """Return the id of the service that the call under way is for; empty for a call that someone makes on their own."""
    return _service_id.get()
