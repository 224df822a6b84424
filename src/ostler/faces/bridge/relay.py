"""The relay: bytes from the client to the server and back, across the server's death and return.

Two threads block in reads, one on each side, so that a side that does not take its bytes holds up the other and
nothing piles up here. Messages pass as they are; the ledger only reads them. Whoever finds the link down brings it
up again: the thread of the ended server at once (health checks and restarts depend on a living server), the
client's thread at its next message when the server was stopped on purpose.

While the first server starts, the client's thread goes on: it answers what that server is known to say and keeps the
rest for it.
"""

import threading
from collections.abc import Callable
from enum import Enum
from typing import Final

from ostler.faces.bridge.dialer import Dialer, Link, Note, OstlerUnavailableError
from ostler.faces.bridge.greeting import PREFIX, decode_line
from ostler.faces.bridge.known_answers import KnownAnswers
from ostler.faces.bridge.ledger import (
    INVALID_REQUEST,
    Ledger,
    Message,
    batch_refusals,
    cut_off,
    error_line,
    is_key,
    notification_line,
    read_messages,
    stream_end_line,
)
from ostler.faces.bridge.lines import LineTooLongError, split_lines

EOF_GRACE: Final = 1.0
"""Seconds that answers under way may still take after the client closed its end (a shell pipe reads them)."""

HANDOVER_PATIENCE: Final = 3.0
"""Seconds that a newer bridge has to start its server before an older one starts its own."""

WAITING_LIMIT: Final = 1024 * 1024
"""Bytes kept for a server that starts, beyond which the client is no longer read until it is there."""

_METHOD_NOT_FOUND: Final = -32601
_CLIENT_GONE = "the client is gone"
_ENDINGS = {
    "stop": "was stopped",
    "signal": "was stopped",
    "idle": "ended because it had nothing to do",
    "handover": "handed over to a newer version",
    "folder": "ended because its state folder was deleted",
}
_LAZY_ENDINGS = ("stop", "signal", "idle")


class _Phase(Enum):
    DOWN = "down"
    """No server is there and no one looks for one."""
    CONNECTING = "connecting"
    """One thread looks for one; the others wait for it."""
    STARTING = "starting"
    """As CONNECTING, and there is none yet: one of this version is being started."""
    UP = "up"


_SEARCHING = (_Phase.CONNECTING, _Phase.STARTING)


class Relay:
    """Joins one client to the server that a dialer finds, until the client ends."""

    def __init__(
        self,
        dialer: Dialer,
        *,
        read: Callable[[int], bytes],
        write: Callable[[bytes], None],
        note: Note,
        answers: KnownAnswers | None = None,
        handshake_only: bool = False,
    ) -> None:
        """Prepare to relay.

        Args:
            dialer: finds and starts servers.
            read: blocks for bytes of the client; empty at its end.
            write: blocks until the client has taken all the bytes; OSError when it is gone.
            note: called with what happens to the server, for people.
            answers: what a server that the dialer starts is known to say; without it every request waits for one.
            handshake_only: refuse `server/discover`, so that the client falls back to protocol 2025-11-25.
        """
        self._dialer = dialer
        self._read = read
        self._write_bytes = write
        self._note = note
        self._ledger = Ledger()
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._answers = answers
        self._handshake_only = handshake_only
        self._phase = _Phase.CONNECTING
        self._link: Link | None = None
        self._was_up = False
        self._waiting: list[bytes] = []
        self._client_ended = False
        self._done = threading.Event()
        self._bug: BaseException | None = None

    def __repr__(self) -> str:
        return f"<Relay {self._phase.value}, {self._ledger!r}>"

    def run(self) -> None:
        """Relay until the client ends. An exception raised by a signal handler passes through."""
        self._start(self._open, "server")
        self._start(self._pump_client, "client")
        self._done.wait()
        with self._changed:
            link = self._link
        if link is not None:
            link.close()
        if self._bug is not None:
            raise self._bug

    def _start(self, work: Callable[..., None], name: str, *args: Link) -> None:
        threading.Thread(target=self._guard, args=(work, *args), name=name, daemon=True).start()

    def _guard(self, work: Callable[..., None], *args: Link) -> None:
        try:
            work(*args)
        except BaseException as error:  # noqa: BLE001 (`run` raises it: half a relay would leave the client waiting)
            self._bug = error
            self._done.set()

    def _open(self) -> None:
        """Look for the server before the first message needs it."""
        try:
            self._establish()
        except OstlerUnavailableError as error:
            self._note(str(error))

    # -- client to server

    def _pump_client(self) -> None:
        try:
            for line in split_lines(self._read):
                if line.strip():
                    self._forward(line if line.endswith(b"\n") else line + b"\n")
        except LineTooLongError as error:
            self._note(f"{error}; the client's connection ends here")
            self._write(error_line(None, f"{error}; send large content by reference", code=INVALID_REQUEST))
        except OSError as error:
            self._note(f"the client can no longer be read: {error}")
        with self._changed:
            self._client_ended = True
            self._changed.wait_for(lambda: self._ledger.is_idle or self._phase not in _SEARCHING)
            self._changed.wait_for(lambda: self._ledger.is_idle or self._phase is _Phase.DOWN, timeout=EOF_GRACE)
        self._done.set()

    def _forward(self, line: bytes) -> None:
        messages = read_messages(line)
        if messages and line.lstrip().startswith(b"["):
            for refusal in batch_refusals(messages):
                self._write(refusal)
            return
        if self._handshake_only and [message.get("method") for message in messages] == ["server/discover"]:
            self._write(error_line(messages[0].get("id"), "Method not found", code=_METHOD_NOT_FOUND))
            return
        if self._taken_early(line, messages):
            return
        while True:
            try:
                link = self._bring_up()
            except OstlerUnavailableError as error:
                self._refuse(messages, str(error))
                return
            with self._changed:
                if self._link is not link:
                    continue
                wanted = self._ledger.sent(line, messages)
            if wanted:
                try:
                    link.send(line)
                except OSError:
                    # Its reader finds the same end, and answers for what the ledger holds, this message included.
                    link.close()
            return

    def _taken_early(self, line: bytes, messages: list[Message]) -> bool:
        """While the first server starts, answer what it is known to say, and keep the rest for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._phase is not _Phase.CONNECTING)
            if self._phase is not _Phase.STARTING or self._answers is None:
                return False
            request = messages[0] if len(messages) == 1 else {}
            result = self._answers.result(request, in_session=self._ledger.is_handshaken)
            if result is None:
                if sum(map(len, self._waiting)) > WAITING_LIMIT:
                    return False
                wanted = self._ledger.sent(line, messages)
                if wanted and not self._ledger.repeats(request):
                    self._waiting.append(line)
                return True
            answer = self._ledger.answered_early(line, request, result)
        self._write(answer)
        return True

    def _refuse(self, messages: list[Message], why: str) -> None:
        self._note(why)
        for message in messages:
            key = message.get("id")
            if "method" in message and is_key(key):
                self._write(error_line(key, why))

    # -- the link

    def _bring_up(self) -> Link:
        """Return the link, waiting for the thread that looks for one, or looking for one here.

        Raises:
            OstlerUnavailableError: none is available now.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._phase not in _SEARCHING)
            if self._link is not None:
                return self._link
            self._phase = _Phase.CONNECTING
        return self._establish()

    def _establish(self, *, patience: float = 0.0) -> Link:
        """Find or start a server and put it where the last one was; the caller has set the phase to CONNECTING."""
        try:
            while True:
                link = self._dialer.connect(patience=patience, launched=self._server_launched)
                with self._changed:
                    self._phase = _Phase.CONNECTING  # from here on, what the client sends comes after this
                    replay = [*self._ledger.begin_replay(), *self._waiting]
                try:
                    for line in replay:
                        link.send(line)
                except OSError:
                    link.close()
                    self._dialer.record_failure()
                else:
                    break
        except OstlerUnavailableError as error:
            with self._changed:
                self._phase = _Phase.DOWN
                self._waiting.clear()
                orphans = self._ledger.take_orphans(keep_initialize=False)
                self._changed.notify_all()
            for key in orphans.of_client:
                self._write(error_line(key, str(error)))
            raise
        with self._changed:
            self._link = link
            self._phase = _Phase.UP
            self._waiting.clear()
            news = list(self._ledger.news_for_client()) if self._was_up else []
            self._was_up = True
            self._changed.notify_all()
        self._start(self._pump_server, f"server-{link.pid}", link)
        for line in news:
            self._write(line)
        return link

    def _server_launched(self) -> None:
        with self._changed:
            if self._answers is not None and not self._was_up:
                self._phase = _Phase.STARTING
                self._changed.notify_all()

    # -- server to client

    def _pump_server(self, link: Link) -> None:
        reason = ""
        try:
            for line in link.lines():
                if line.startswith(PREFIX):
                    facts = decode_line(line)
                    if facts is not None and facts["ostler"] == "bye":
                        reason = str(facts.get("reason", ""))
                    continue
                messages = read_messages(line)
                with self._changed:
                    wanted = self._ledger.received(messages)
                    other = self._ledger.take_other_answers()
                if wanted:
                    self._write(line)
                if other:
                    self._correct(link, other)
                if self._client_ended:
                    with self._changed:
                        self._changed.notify_all()
        except LineTooLongError as error:
            self._note(f"{error}: the connection to server pid {link.pid} is given up")
        except OSError:
            pass  # an end like any other; the process's fate is asked for below
        link.close()
        if not self._done.is_set():
            self._server_ended(link, reason)

    def _correct(self, link: Link, methods: list[str]) -> None:
        """Notify the client of what it was told early and this server, of another version, says differently."""
        with self._changed:
            news = self._ledger.changed_lists(methods)
        self._note(f"server {link.version} answers {', '.join(methods)} differently from what the client was told")
        for line in news:
            self._write(line)

    def _server_ended(self, link: Link, reason: str) -> None:
        how = f"pid {link.pid} {_ENDINGS[reason]}" if reason in _ENDINGS else self._dialer.describe_end(link)
        if not reason:
            self._dialer.record_failure()
        with self._changed:
            again = reason not in _LAZY_ENDINGS and not self._client_ended
            orphans = self._ledger.take_orphans(keep_initialize=again)
            self._link = None
            self._phase = _Phase.CONNECTING if again else _Phase.DOWN
            self._changed.notify_all()
        self._note(f"the server ended ({how})" + ("; starting it again" if again else ""))
        for key in orphans.of_client:
            is_over = reason and key in orphans.streams  # else its client has to know that changes may be lost
            self._write(stream_end_line(key) if is_over else error_line(key, cut_off(how)))
        for key in orphans.of_server:
            cancelled = {"requestId": key, "reason": "the Ostler server that asked has ended"}
            self._write(notification_line("notifications/cancelled", cancelled))
        if again:
            try:
                # Who asked for the handover starts a newer server than this bridge would.
                link = self._establish(patience=HANDOVER_PATIENCE if reason == "handover" else 0.0)
            except OstlerUnavailableError as error:
                self._note(str(error))
            else:
                self._note(f"joined server {link.version}, pid {link.pid}")

    def _write(self, line: bytes) -> None:
        try:
            with self._writing:
                self._write_bytes(line)
        except OSError:
            # The client closed its end without closing ours: no one is left to relay for.
            self._note(_CLIENT_GONE)
            self._done.set()
