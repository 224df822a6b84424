"""What a process server's own process must not hand down to the processes that it starts."""

import signal
from types import FrameType

_ASKING = ("SIGINT", "SIGQUIT", "SIGHUP", "SIGTERM")
"""Signals that ask a process to end."""


def take_ignored_signals() -> list[str]:
    """Handle by doing nothing what this process was started to ignore; return the signals' names.

    A shell without job control starts `command &` with SIGINT and SIGQUIT ignored, and nohup with SIGHUP. Ignoring is
    inherited by whatever is started from here, which then could not be asked to end by these signals; handling is
    not. Call it in the main thread, before anything is started.
    """
    taken: list[str] = []
    for name in _ASKING:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _do_nothing)
            taken.append(name)
    return taken


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """Stay as deaf to the signal as before."""
    del number, frame
