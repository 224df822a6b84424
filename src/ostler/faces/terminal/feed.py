"""The view's connection: one that follows what changes, and one for each call of a tool."""

import threading
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from ostler.faces.bridge.dialer import OstlerUnavailableError
from ostler.faces.bridge.greeting import RefusedError
from ostler.faces.cli.rpc import RequestFailedError, ServerClient, ToolAnswer
from ostler.faces.cli.session import Session
from ostler.faces.terminal.board import Board, utc_now
from ostler.model.json import JsonValue

LOOK_AGAIN: Final = "2s"
"""How long to wait for an event until checks and use of the processor are read without one."""

_RETRY: Final = 1.0
"""Seconds until a lost server is looked for again."""


class Feed(Protocol):
    """What the view needs of a server."""

    def follow(self, board: Board, changed: Callable[[str], None]) -> None:
        """Keep `board` up until `close`, in the calling thread.

        `changed(trouble)` is called after every change; `trouble` says why there is no connection, if there is none.
        """
        ...

    def call(self, tool: str, args: Mapping[str, JsonValue]) -> ToolAnswer:
        """Call one of the server's tools; what goes wrong on the way is an answer, too."""
        ...

    def close(self) -> None:
        """End `follow`, from any thread."""
        ...


class ServerFeed:
    """The background server of a session. A server that was stopped on purpose is not started again."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._ended = threading.Event()
        self._client: ServerClient | None = None

    def __repr__(self) -> str:
        return f"ServerFeed({self._session.paths.state_dir})"

    def follow(self, board: Board, changed: Callable[[str], None]) -> None:
        """Keep `board` up; see `Feed`."""
        is_known = False
        while not self._ended.is_set():
            try:
                if is_known:
                    self._session.dialer().request("status")  # only a server that runs
                with ServerClient(self._session.dialer()) as client:
                    self._client, is_known = client, True
                    self._read_on(client, board, changed)
            except (OstlerUnavailableError, RefusedError, RequestFailedError, OSError) as error:
                if not self._ended.is_set():
                    changed(str(error))
            finally:
                self._client = None
            self._ended.wait(_RETRY)

    def _read_on(self, client: ServerClient, board: Board, changed: Callable[[str], None]) -> None:
        while not self._ended.is_set():
            found = client.read_resource(board.next_address)
            board.take(found, utc_now())
            changed("")
            if not found.get("more"):
                client.call_tool("service_wait", {"cursor": board.cursor, "timeout": LOOK_AGAIN})

    def call(self, tool: str, args: Mapping[str, JsonValue]) -> ToolAnswer:
        """Call one of the server's tools on its own connection."""
        try:
            with ServerClient(self._session.dialer()) as client:
                return client.call_tool(tool, args)
        except (OstlerUnavailableError, RefusedError, RequestFailedError, OSError) as error:
            return ToolAnswer({}, str(error), is_error=True)

    def close(self) -> None:
        """End `follow`."""
        self._ended.set()
        if (client := self._client) is not None:
            client.close()
