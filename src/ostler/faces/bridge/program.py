"""The bridge as a program: stdio, signals and its exit status."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

from ostler.faces.bridge.dialer import Dialer
from ostler.faces.bridge.known_answers import KnownAnswers
from ostler.faces.bridge.place import ServerPlace
from ostler.faces.bridge.relay import Relay
from ostler.faces.bridge.version import VERSION
from ostler.faces.output import complain


def run_bridge(
    place: ServerPlace,
    *,
    version: str = VERSION,
    command: Sequence[str] | None = None,
    toolset: str = "",
    channel: bool = False,
    answers: KnownAnswers | None = None,
) -> int:
    """Join this process's stdio to the server of `place` until the client ends; return the exit status.

    Args:
        place: whose server.
        version: what this bridge says it is.
        command: how to start the server when there is none.
        toolset: which of Ostler's tools the client should see; empty leaves it to the server.
        channel: push notices to the client.
        answers: what a server that this bridge starts is known to say; without it the client waits for the server.
    """
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _leave)
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    if sys.platform != "win32":
        for descriptor in (0, 1):
            os.set_blocking(descriptor, True)
    dialer = Dialer(
        place, kind="bridge", note=_note, version=version, command=command, toolset=toolset, channel=channel
    )
    with suppress(_Leave):  # the services and the server go on; there is nothing here to put in order
        # Claude Code 2.1 takes notices over protocol 2025-11-25 alone, and prefers the later one.
        relay = Relay(
            dialer, read=_read_stdin, write=_write_stdout, note=_note, answers=answers, handshake_only=channel
        )
        relay.run()
    return 0


class _Leave(BaseException):
    """A signal asked the bridge to end."""


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise _Leave


def _read_stdin(size: int) -> bytes:
    return os.read(0, size)


def _write_stdout(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def _note(text: str) -> None:
    with suppress(OSError):  # a client may have closed stderr; the notes are a courtesy
        complain(text)
