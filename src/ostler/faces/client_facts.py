"""What the process at the other end of a local connection says of itself, for the calls that come over it.

A bridge or a command line names its folder with its hello, and sends its environment; what it says is in force for
every call of its connection. Calls over HTTP come without it.
"""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple, cast

from ostler.adapters.caller_environment import called_with, sendable, without_own

PROJECT_VARIABLE = "CLAUDE_PROJECT_DIR"
"""Where a client says which folder its user works in; else it is the folder that the process was started in."""


class ClientFacts(NamedTuple):
    """One local client.

    Attributes:
        directory: the folder that its user works in, absolute; empty when it is not known.
        is_named: its environment names that folder; else its process was started there, for whatever reason.
        environment: its environment, without Ostler's own variables; None if it is not known.
        toolset: which of Ostler's tools it wants to see; empty takes the server's own choice.
        channel: it wants notices pushed to it.
        connection: stands for its connection, equal to itself alone; None over HTTP.
    """

    directory: str = ""
    is_named: bool = False
    environment: Mapping[str, str] | None = None
    toolset: str = ""
    channel: bool = False
    connection: object = None

    def __repr__(self) -> str:
        """Show all but the environment, which may hold secrets."""
        return f"ClientFacts(directory={self.directory!r}, toolset={self.toolset!r}, channel={self.channel})"


_facts: ContextVar[ClientFacts] = ContextVar("facts of the connection", default=ClientFacts())  # noqa: B039 (frozen)


def current_client() -> ClientFacts:
    """Return what the client of the call under way says of itself; nothing for one over HTTP."""
    return _facts.get()


@contextmanager
def client_of(hello: Mapping[str, Any]) -> Generator[ClientFacts]:
    """Let calls of tasks that are begun inside see what `hello` says."""
    directory = hello.get("directory")
    known = isinstance(directory, str) and Path(directory).is_absolute()
    facts = ClientFacts(
        str(directory) if known else "",
        known and hello.get("named") is True,
        _environment_in(hello),
        str(hello.get("toolset", "")),
        hello.get("channel") is True,
        object(),
    )
    token = _facts.set(facts)
    try:
        with called_with(facts.environment):
            yield facts
    finally:
        _facts.reset(token)


@contextmanager
def working_in(directory: str) -> Generator[None]:
    """Let calls that are made inside see `directory` as the folder of their client."""
    token = _facts.set(current_client()._replace(directory=directory))
    try:
        yield
    finally:
        _facts.reset(token)


def own_facts(toolset: str = "", *, channel: bool = False) -> dict[str, object]:
    """Return the facts in this process's hello; `toolset` and `channel` are its client's choice."""
    facts: dict[str, object] = {"environment": sendable(without_own(os.environ))}
    if toolset:
        facts["toolset"] = toolset
    if channel:
        facts["channel"] = True
    named = os.environ.get(PROJECT_VARIABLE)
    try:
        directory = str(Path(named or "").resolve())
    except OSError:  # the folder was removed under it; which one it was says what is left of it
        directory = _removed_folder()
    return facts | ({"directory": directory, "named": bool(named)} if directory else {})


def _removed_folder() -> str:
    """Return the folder that this process works in, which does not exist any more; empty if that is unknown."""
    with suppress(OSError):
        return os.readlink("/proc/self/cwd").removesuffix(" (deleted)")  # noqa: PTH115 (the suffix is no path's)
    return os.environ.get("PWD", "")


def _environment_in(hello: Mapping[str, Any]) -> Mapping[str, str] | None:
    found: object = hello.get("environment")
    if not isinstance(found, dict):
        return None
    pairs = cast("dict[str, object]", found).items()
    return {name: value for name, value in pairs if isinstance(value, str) and "\0" not in value and "=" not in name}
