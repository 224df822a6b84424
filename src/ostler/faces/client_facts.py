"""What the process at the other end of a local connection says of itself, for the calls that come over it.

A bridge or a command line names its folder with its hello; what it says is in force for every call of its connection.
Calls over HTTP come without it.
"""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT_VARIABLE = "CLAUDE_PROJECT_DIR"
"""Where a client says which folder its user works in; else it is the folder that the process was started in."""


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """One local client.

    Attributes:
        directory: the folder that its user works in, absolute; empty when it is not known.
    """

    directory: str = ""


_facts: ContextVar[ClientFacts] = ContextVar("facts of the connection", default=ClientFacts())  # noqa: B039 (frozen)


def current_client() -> ClientFacts:
    """Return what the client of the call under way says of itself; nothing for one over HTTP."""
    return _facts.get()


@contextmanager
def client_of(hello: Mapping[str, Any]) -> Generator[None]:
    """Let calls of tasks that are begun inside see what `hello` says."""
    directory = hello.get("directory")
    known = isinstance(directory, str) and Path(directory).is_absolute()
    token = _facts.set(ClientFacts(directory=str(directory) if known else ""))
    try:
        yield
    finally:
        _facts.reset(token)


def own_facts() -> dict[str, str]:
    """Return what this process says of itself in its hello."""
    try:
        return {"directory": os.environ.get(PROJECT_VARIABLE) or str(Path.cwd())}
    except OSError:  # the folder was removed under it
        return {}
