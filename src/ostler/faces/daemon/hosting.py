"""What a server process serves: the seam between the process and the application in it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from mcp.server.lowlevel import Server
from mcp.server.models import InitializationOptions

from ostler.faces.daemon.http_pages import Page
from ostler.model.access import Principal, PrincipalSettings

if TYPE_CHECKING:
    from ostler.faces.daemon.forwarding import Feed
    from ostler.faces.daemon.http import HttpSettings

SHUTDOWN_SLACK: Final = 10.0
"""Seconds beyond the application's own shutdown timeout after which a server ends whatever still holds it up."""


@dataclass(frozen=True, slots=True)
class Hosted:
    """An application that is open, as the process sees it.

    Attributes:
        server: serves every connection that asks for no toolset of its own.
        has_work: whether something is to be supervised, so that the process must stay though no client is there;
            quick, called now and then.
        idle_exit: seconds without client and work until the process ends; None never ends it.
        shutdown_timeout: seconds that closing the application takes at most.
        joined: called with the environment of each client that comes (None: not known) before it is served.
        present: counts a client that works in a folder for as long as its connection, which stands for it, lasts.
        initialization_options: what `initialize` is answered with; None takes the server's own.
        by_toolset: returns what serves the connections that ask for a toolset by name; None serves all alike.
        toolset_names: what can be asked for.
        pages: what answers at further paths over HTTP.
        by_principal: returns what serves one principal with a toolset (empty: the server's own choice); None where
            all are served alike.
        policy: returns the policy in force of a principal, by name.
        announce: called with the URL at which clients are served over HTTP, for the servers that stand by.
        feed: opens what the servers that stand by follow, as HTTP is served; None where none do.
        session_key: what the ids of HTTP sessions are signed with; None: with a key of the state folder.
    """

    server: Server[Any]
    has_work: Callable[[], bool]
    idle_exit: float | None
    shutdown_timeout: float
    joined: Callable[[Mapping[str, str] | None], Awaitable[None]] | None = None
    present: Callable[[str, object], AbstractContextManager[None]] | None = None
    initialization_options: InitializationOptions | None = None
    by_toolset: Callable[[str], Server[Any]] | None = None
    toolset_names: Sequence[str] = ()
    pages: Mapping[str, Page] = field(default_factory=dict[str, Page])
    by_principal: Callable[[str, Principal], Server[Any]] | None = None
    policy: Callable[[str], PrincipalSettings | None] | None = None
    announce: Callable[[str], None] | None = None
    feed: "Callable[[HttpSettings], AbstractAsyncContextManager[Feed]] | None" = None
    session_key: bytes | None = None

    @property
    def ends_within(self) -> float:
        """Seconds after which a process that was asked to end is gone, whatever holds it up."""
        return self.shutdown_timeout + SHUTDOWN_SLACK

    def server_of(self, toolset: str, principal: Principal) -> Server[Any]:
        """Return what serves `principal`."""
        return self.server_for(toolset) if self.by_principal is None else self.by_principal(toolset, principal)

    def toolsets(self) -> dict[str, Callable[[], Server[Any]]]:
        """Return what makes the server of each toolset, by name."""
        return {name: partial(self.server_for, name) for name in self.toolset_names}

    def server_for(self, toolset: str) -> Server[Any]:
        """Return what serves a connection that asks for `toolset`; empty: for none."""
        return self.server if self.by_toolset is None or not toolset else self.by_toolset(toolset)


HostedSource: TypeAlias = Callable[[], AbstractAsyncContextManager[Hosted]]
"""Opens the application; leaving it shuts the application down within a bounded time."""
