"""Logging of the server: to stderr, which is a rotated file in the background."""

import logging
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ostler.model.errors import OstlerError

LOG_LEVELS: Final = ("debug", "info", "warning", "error")

ROTATE_BYTES: Final = 5 * 1024 * 1024
"""A log file larger than this becomes `server.log.1`, instead of the one before."""

_ACCEPTING: Final = "socket.accept() out of system resource"
_ACCEPTING_PAUSE: Final = 60.0


def set_up_logging(level: str, *, form: str = "text", file: Path | None = None) -> None:
    """Send log records of `level` and above to stderr, with UTC times, as `text` or one `json` object a line.

    Args:
        level: the least level that is logged.
        form: `text` or `json`.
        file: what stderr is, as `rotate_log` left it; it is rotated when it has grown.
    """
    handler = logging.StreamHandler(sys.stderr) if file is None else _FileHandler(file)
    logging.getLogger("asyncio").addFilter(_SeldomAccepting())
    handler.setFormatter(_formatter(form))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    if level != "debug":
        # Per request they say what a client's own log has anyway.
        for noisy in ("mcp", "httpx", "httpx2", "httpcore", "uvicorn.access"):
            logging.getLogger(noisy).setLevel(logging.WARNING)


class _FileHandler(logging.StreamHandler[Any]):
    """Writes to stderr, a file that is rotated when it has grown."""

    def __init__(self, path: Path) -> None:
        super().__init__(sys.stderr)
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        with suppress(OSError):
            if os.fstat(2).st_size > ROTATE_BYTES:
                rotate_log(self._path, limit=ROTATE_BYTES)


class _SeldomAccepting(logging.Filter):
    """Lets through once a minute that there is no free file for a connection: the event loop says so 2,000 times."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.getMessage().startswith(_ACCEPTING):
            return True
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + _ACCEPTING_PAUSE
        return True


def log_format(settings_file: Path) -> str:
    """Return the format that the settings ask for; `text` if they are broken, which the start reports."""
    from ostler.adapters.config.settings_file import load_settings

    try:
        return load_settings(settings_file).log.format
    except OstlerError:
        return "text"


def _formatter(form: str) -> logging.Formatter:
    if form == "json":
        from ostler.adapters.telemetry.json_logs import JsonFormatter

        return JsonFormatter()
    formatter = logging.Formatter("%(asctime)sZ %(levelname)-7s %(name)s: %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    return formatter


def rotate_log(path: Path, *, limit: int = ROTATE_BYTES) -> None:
    """Rotate `path` if it is larger than `limit` bytes, and redirect stdout and stderr to it.

    Only the owner of the state folder may call it, so that no file is moved away under another writer.
    """
    if path.exists() and path.stat().st_size > limit:
        path.replace(path.with_name(f"{path.name}.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
    finally:
        os.close(descriptor)
