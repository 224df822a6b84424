"""Reaching the server that owns a state folder: find it, start it, or have an older one make room."""

import math
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from ostler.faces.bridge.greeting import ANSWER_TIMEOUT, GreetingError, RefusedError, ask
from ostler.faces.bridge.holder import is_stopped, owner_of, read_holder
from ostler.faces.bridge.launcher import EXIT_LOCK_HELD, LaunchedServer, describe_exit, is_full, launch, server_command
from ostler.faces.bridge.lines import split_lines
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.bridge.version import VERSION, version_order
from ostler.faces.client_facts import own_facts
from ostler.model.errors import StoreError

START_TIMEOUT: Final = 30.0
"""Seconds for a server to accept: a cold start takes one or two, another's shutdown in progress up to twenty."""

STANDBY_TIMEOUT: Final = 3.0
"""Seconds for a server that stands by without HTTP, and does not listen here, to become the one that works."""

CRASH_LIMIT: Final = 5
"""Failures within `CRASH_WINDOW` seconds after which no further server is started until the oldest is forgotten."""

CRASH_WINDOW: Final = 60.0

_NOTHING: Final = "nothing listens there"
_RETRY_PAUSE: Final = 0.02
_RELAUNCH_PAUSE: Final = 1.0

Note = Callable[[str], None]
"""Takes one line for people (the bridge writes it to stderr)."""


class OstlerUnavailableError(Exception):
    """There is no server to talk to and none could be started; the text says why and what to do."""


class ServerSilentError(OstlerUnavailableError):
    """There is a server, but it does not answer."""


class Link:
    """One greeted connection to a server."""

    def __init__(self, connection: socket.socket, welcome: dict[str, Any]) -> None:
        self._connection = connection
        self.version = str(welcome.get("version", ""))
        self.pid = int(welcome.get("pid", 0))

    def __repr__(self) -> str:
        return f"<Link to server {self.version}, pid {self.pid}>"

    def send(self, data: bytes) -> None:
        """Send all of `data`, waiting for the server to take it.

        Raises:
            OSError: the connection has ended.
        """
        self._connection.sendall(data)

    def lines(self, deadline: float | None = None) -> Iterator[bytes]:
        """Yield what the server sends, line by line, until it ends; an unfinished last line is left out.

        Args:
            deadline: until when, on the monotonic clock, however much comes; None: as `settle` says.

        Raises:
            OSError: the connection broke; TimeoutError: the time is over.
            LineTooLongError: the server sent more than one message may hold.
        """

        def receive(most: int) -> bytes:
            if deadline is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self._connection.settimeout(left)
            return self._connection.recv(most)

        return (line for line in split_lines(receive) if line.endswith(b"\n"))

    def settle(self, timeout: float | None) -> None:
        """Bound every further send and receive to `timeout` seconds; None waits forever."""
        self._connection.settimeout(timeout)

    def close(self) -> None:
        """End the connection, also for a thread that waits in it."""
        with suppress(OSError):  # it may have ended already
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


class Dialer:
    """Makes links to the server of one place, and remembers how often that failed."""

    def __init__(
        self,
        place: ServerPlace,
        *,
        kind: str,
        note: Note,
        version: str = VERSION,
        command: Sequence[str] | None = None,
        toolset: str = "",
        channel: bool = False,
        launched: LaunchedServer | None = None,
    ) -> None:
        """Prepare to reach the server of `place`.

        Args:
            place: whose server.
            kind: what this process is (`bridge` or `cli`), for the server's log.
            note: called with what else happens, for people.
            version: this process's version; a server of an older one is asked to make room.
            command: how to start the server when there is none.
            toolset: which of Ostler's tools the connections should have; empty leaves it to the server.
            channel: whether notices should be pushed to the connections.
            launched: a server that this process is starting already.
        """
        self._place = place
        self._toolset = toolset
        self._channel = channel
        self._kind = kind
        self._note = note
        self._version = version
        self._command = server_command(place) if command is None else list(command)
        self._launched = launched
        self._launched_now = False
        """Whether that was for the present `connect`, so that its end is a failed start."""
        self._launched_before = launched is not None
        """Whether that was for the first `connect`, which is still to come."""
        self._failures: deque[float] = deque(maxlen=CRASH_LIMIT)
        self._pause = threading.Event()
        self._joins_older: set[int] = set()

    def __repr__(self) -> str:
        return f"<Dialer of {self._place.state_dir}, {len(self._failures)} failures>"

    def connect(
        self, *, patience: float = 0.0, launched: Callable[[], None] | None = None, deadline: float = math.inf
    ) -> Link:
        """Return a link to the server, starting it when there is none.

        Args:
            patience: seconds to leave to someone else to start it.
            launched: called when there was none and one of this version was started.
            deadline: when to give up on the monotonic clock, if that is earlier than it would be otherwise.

        Raises:
            OstlerUnavailableError: there is none, or it could not be started.
        """
        began = time.monotonic()
        may_launch_at = began + patience
        self._launched_now, self._launched_before = self._launched_before, False
        trouble = ""
        while True:
            try:
                link = self._greet(deadline)
            except OSError:
                trouble = _NOTHING
            except GreetingError as error:
                trouble = str(error)
                if is_stopped(self._place):
                    raise OstlerUnavailableError(self._late(trouble, time.monotonic() - began)) from error
                may_launch_at = max(may_launch_at, time.monotonic() + _occupied_after(error))
            else:
                if link is not None:
                    return link
            now = time.monotonic()
            waited = now - began
            is_silent = trouble == _NOTHING and waited > STANDBY_TIMEOUT
            if waited > START_TIMEOUT or now >= deadline or (is_silent and self._stands_by()):
                raise OstlerUnavailableError(self._late(trouble, waited))
            may_launch_at = self._keep_launching(now, may_launch_at)
            if self._launched_now and launched is not None:
                launched()
            self._wait_a_little()

    def record_failure(self) -> None:
        """Count a server that ended uninvited or did not start."""
        self._failures.append(time.monotonic())

    def describe_end(self, link: Link) -> str:
        """Return how the server of `link` ended: `pid 12 ended`, or how exactly if it was a child of this process."""
        launched = self._launched
        if launched is None or launched.pid != link.pid:
            return f"pid {link.pid} ended"
        # The socket closes a moment before the process can be reaped.
        for _ in range(10):
            if launched.exit_status() is not None:
                break
            self._pause.wait(_RETRY_PAUSE)
        return f"pid {link.pid} {describe_exit(launched.exit_status())}"

    def finds_server(self) -> bool:
        """Whether a server runs and answers; none is started."""
        try:
            self.request("status")
        except (OstlerUnavailableError, RefusedError):
            return False
        return True

    def request(self, kind: str, *, deadline: float = math.inf, **facts: object) -> dict[str, Any]:
        """Send a request (`status`, `dashboard`, `stop`, `handover`) to the running server and return its answer.

        `stop` and `handover` return when the server has ended, which takes as long as it announces at most.

        Args:
            kind: which.
            deadline: when to give up on the monotonic clock, if that is earlier.
            facts: what it says besides.

        Raises:
            OstlerUnavailableError: no server runs.
            ServerSilentError: it did not answer.
            RefusedError: the server refused.
        """
        try:
            connection, secret = self._place.dial()
        except OSError:
            raise OstlerUnavailableError(
                f"no Ostler server runs for the state folder {self._place.state_dir}"
            ) from None
        with connection:
            try:
                patience = _until(deadline, ANSWER_TIMEOUT)
                answer = ask(connection, secret, kind, patience=patience, version=self._version, **facts)
                if kind in ("stop", "handover"):
                    # The server holds this connection until it has released the state folder.
                    connection.settimeout(_until(deadline, max(float(answer["within"]), START_TIMEOUT)))
                    while connection.recv(4096):
                        pass
            except RefusedError:
                raise
            except (GreetingError, OSError) as error:
                raise ServerSilentError(
                    f"the Ostler server for {self._place.state_dir} did not answer '{kind}': {error}; see "
                    f"{self._place.log_file}; {owner_of(self._place)}"
                ) from error
        return answer

    def _greet(self, deadline: float) -> Link | None:
        connection, secret = self._place.dial()
        patience = _until(deadline, ANSWER_TIMEOUT)
        try:
            facts = own_facts(self._toolset, channel=self._channel)
            said = {"version": self._version, "client": self._kind, **facts}
            welcome = ask(connection, secret, "hello", patience=patience, **said)
        except BaseException:
            connection.close()
            raise
        link = Link(connection, welcome)
        if version_order(link.version) >= version_order(self._version) or link.pid in self._joins_older:
            return link
        link.close()
        self._note(f"server {link.version} (pid {link.pid}) is older than {self._version}: asking it to hand over")
        try:
            self.request("handover", deadline=deadline)
        except RefusedError as error:
            self._note(f"{error}; going on with server {link.version}")
            self._joins_older.add(link.pid)
            return self._greet(deadline)
        except OstlerUnavailableError as error:
            if time.monotonic() >= deadline:
                raise GreetingError(f"server {link.version} (pid {link.pid}) is still handing over") from error
            self._note(str(error))
        return None

    def _keep_launching(self, now: float, may_launch_at: float) -> float:
        """Start the server unless one is on its way; return from when another start makes sense."""
        launched = self._launched
        status = None if launched is None else launched.exit_status()
        if launched is not None and status is None:
            return may_launch_at
        if launched is not None and status is not None:
            self._launched = None
            if status == EXIT_LOCK_HELD:
                # Another server owns the folder: it is about to listen, or about to end.
                return max(may_launch_at, now + _RELAUNCH_PAUSE)
            if status != 0 and self._launched_now:
                self.record_failure()
                raise OstlerUnavailableError(self._stillborn(launched, status))
        if now < may_launch_at:
            return may_launch_at
        self._refuse_crash_loop()
        try:
            self._launched = launch(self._place, self._command)
            self._launched_now = True
        except (OSError, StoreError) as error:
            self.record_failure()
            raise OstlerUnavailableError(
                f"the Ostler server cannot be started for the state folder {self._place.state_dir}: {error}"
            ) from error
        return now + _RELAUNCH_PAUSE

    def _wait_a_little(self) -> None:
        """Wait for the next attempt; what starts a server ends as soon as that serves."""
        if self._launched is None:
            self._pause.wait(_RETRY_PAUSE)
        else:
            self._launched.wait(_RETRY_PAUSE)

    def _refuse_crash_loop(self) -> None:
        now = time.monotonic()
        while self._failures and now - self._failures[0] > CRASH_WINDOW:
            self._failures.popleft()
        if len(self._failures) >= CRASH_LIMIT:
            wait = CRASH_WINDOW - (now - self._failures[0])
            raise OstlerUnavailableError(
                f"the Ostler server ended {CRASH_LIMIT} times within {CRASH_WINDOW:.0f} s and is not started again "
                f"for {wait:.0f} s; see {self._place.log_file} for the cause, then try again"
            )

    def _stillborn(self, launched: LaunchedServer, status: int) -> str:
        tail = launched.log_tail()
        if tail:
            why = f", which ends:\n{tail}"
        elif is_full(self._place.log_file.parent):
            why = ", which is not written because the disk is full. Next: free space there, then try again"
        else:
            why = ""
        return (
            f"the Ostler server did not start: pid {launched.pid} {describe_exit(status)}; see {self._place.log_file}"
            + why
        )

    def _stands_by(self) -> bool:
        holder = read_holder(self._place)
        return holder is not None and holder.stands_by

    def _late(self, trouble: str, waited: float) -> str:
        launched = self._launched
        is_owned = launched is not None and launched.exit_status() == EXIT_LOCK_HELD  # which is said already
        tail = launched.log_tail() if launched is not None and not is_owned else ""
        return (
            f"no Ostler server answered for the state folder {self._place.state_dir} within {waited:.0f} s "
            f"({trouble}); see {self._place.log_file}; {owner_of(self._place)}"
            + (f". The log ends:\n{tail}" if tail else "")
        )


def _until(deadline: float, seconds: float) -> float:
    """Return `seconds`, or what is left until `deadline`, but a moment at least."""
    return min(seconds, max(_RETRY_PAUSE, deadline - time.monotonic()))


def _occupied_after(error: GreetingError) -> float:
    """Return for how many seconds it makes no sense to start a server, as one is there that answered with `error`.

    Raises:
        OstlerUnavailableError: that will not change soon.
    """
    if not isinstance(error, RefusedError) or error.is_ending:
        return 0.0
    if error.is_final:
        raise OstlerUnavailableError(str(error)) from error
    return _RELAUNCH_PAUSE
