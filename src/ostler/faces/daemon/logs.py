"""What the server says: standard logging to stderr, which in the background is a file rotated at start."""

import logging
import os
import sys
import time
from pathlib import Path
from typing import Final

from ostler.model.errors import OstlerError

LOG_LEVELS: Final = ("debug", "info", "warning", "error")

ROTATE_BYTES: Final = 5 * 1024 * 1024
"""A log file larger than this at the server's start becomes `server.log.1`, instead of the one before."""


def set_up_logging(level: str, *, form: str = "text") -> None:
    """Send log records of `level` and above to stderr, with UTC times, as `text` or one `json` object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(form))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    if level != "debug":
        # Per request they say what a client's own log has anyway.
        for noisy in ("mcp", "httpx", "httpx2", "httpcore", "uvicorn.access"):
            logging.getLogger(noisy).setLevel(logging.WARNING)


def log_format(settings_file: Path) -> str:
    """Return the format that the settings ask for; `text` where they are broken, which the start reports."""
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
    """Begin `path` afresh when it is larger than `limit` bytes, and send stdout and stderr there.

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
