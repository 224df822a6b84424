"""The application as the server process sees it: the seam between the two."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import Struct

from ostler.model.access import LOCAL_PRINCIPAL, PrincipalSettings

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server
    from mcp.server.models import InitializationOptions

    from ostler.faces.daemon.forwarding import Feed
    from ostler.faces.daemon.http import HttpSettings
    from ostler.faces.daemon.http_pages import Page
    from ostler.faces.daemon.http_paths import MakeServer
    from ostler.faces.mcp.toolbox import Toolbox

SHUTDOWN_SLACK: Final = 10.0
"""Seconds beyond the application's own shutdown timeout after which a server ends whatever still holds it up."""


class Hosted(Struct, frozen=True):
    """An application that is open, as the process sees it.

    Attributes:
        server_for: returns the MCP server for a principal with a toolset; without a name, with the default one.
        has_work: whether something is to be supervised, so that the process must stay though no client is there;
            quick, called now and then.
        idle_exit: seconds without client and work until the process ends; None never ends it.
        shutdown_timeout: seconds that closing the application takes at most.
        joined: called with the environment of each client that comes (None: not known) before it is served.
        present: counts a client that works in a folder for as long as its connection, which stands for it, lasts.
        initialization_options: what `initialize` is answered with; None takes the server's own.
        toolsets: the names that can be asked for.
        pages: returns what answers at further paths over HTTP.
        calls: answers plain calls of a command line without such a server; None: that is to see all of them.
        prepare: makes `server_for` quick, for clients that are about to be served.
        policy: returns the policy in force of a principal, by name.
        announce: called with the URL at which clients are served over HTTP, for the servers that stand by.
        feed: opens what the servers that stand by follow, as HTTP is served; None if none do.
        warn: notes an event of the server itself, for people.
        session_key: what the ids of HTTP sessions are signed with; None: with a key of the state folder.
    """

    server_for: "MakeServer"
    has_work: Callable[[], bool]
    idle_exit: float | None
    shutdown_timeout: float
    joined: Callable[[Mapping[str, str] | None], Awaitable[None]] | None = None
    present: Callable[[str, object], AbstractContextManager[None]] | None = None
    initialization_options: "InitializationOptions | None" = None
    toolsets: Sequence[str] = ()
    pages: "Callable[[], Mapping[str, Page]]" = dict
    calls: "Toolbox | None" = None
    prepare: Callable[[], Awaitable[None]] | None = None
    policy: Callable[[str], PrincipalSettings | None] | None = None
    announce: Callable[[str], None] | None = None
    feed: "Callable[[HttpSettings], AbstractAsyncContextManager[Feed]] | None" = None
    session_key: bytes | None = None
    warn: Callable[[str], object] | None = None

    @property
    def ends_within(self) -> float:
        """Seconds after which a process that was asked to end is gone, whatever holds it up."""
        return self.shutdown_timeout + SHUTDOWN_SLACK

    def local_server(self, toolset: str = "") -> "Server[Any]":
        """Return the MCP server for the user of this machine, who owns the state folder."""
        return self.server_for(toolset, LOCAL_PRINCIPAL)


HostedSource: TypeAlias = Callable[[], AbstractAsyncContextManager[Hosted]]
"""Opens the application; leaving it shuts the application down within a bounded time."""
