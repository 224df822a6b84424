"""The only way to a terminal: what people and programs read on stdout and stderr.

Much of it was written by others (tool answers, log lines, names, errors of servers), so control sequences are taken
out of all of it, JSON gets escapes in their place, and a character that the terminal's encoding lacks is no failure.
"""

import json
import sys
from typing import TextIO

from ostler.model.json import JsonValue
from ostler.rules.text.terminal_text import shown_json, shown_text


def say(text: object = "", *, end: str = "\n", flush: bool = False) -> None:
    """Print `text` to stdout."""
    _write(sys.stdout, shown_text(f"{text}{end}"), flush=flush)


def complain(text: object) -> None:
    """Say something besides the result: to stderr, with the program's name."""
    _write(sys.stderr, shown_text(f"ostler: {text}\n"), flush=True)


def say_json(value: JsonValue, *, indent: int | None = 2) -> None:
    """Print a value for programs: indented, or in one line if `indent` is None."""
    _write(sys.stdout, json_text(value, indent=indent) + "\n")


def json_text(value: JsonValue, *, indent: int | None = None) -> str:
    """Return a value as JSON that a terminal may get."""
    return shown_json(json.dumps(value, indent=indent, ensure_ascii=False))


def clear_screen() -> None:
    """Begin at the top of an empty screen, if stdout is a terminal."""
    if sys.stdout.isatty():
        _write(sys.stdout, "\x1b[H\x1b[2J")


def flush() -> None:
    """Write what was said and is still kept.

    Raises:
        OSError: it cannot be written, a BrokenPipeError if the reader has left.
        ValueError: the output is closed.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # as it is once the reader has left
            stream.flush()


def _write(stream: TextIO, text: str, *, flush: bool = False) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    if flush:
        stream.flush()
