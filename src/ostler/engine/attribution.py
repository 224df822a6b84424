"""The service that a tool is called for, for callers that track what they start by service."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_service_id: ContextVar[str] = ContextVar("id of the service that a tool is called for", default="")


@contextmanager
def calling_for(service_id: str) -> Generator[None]:
    """Attribute the calls that are made inside to the service with this id."""
    token = _service_id.set(service_id)
    try:
        yield
    finally:
        _service_id.reset(token)


def called_for() -> str:
    """Return the id of the service that the current call is for; empty for a call that is for no service."""
    return _service_id.get()
