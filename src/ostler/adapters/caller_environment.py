"""The environment of the caller, without Ostler's own variables; known while a call is under way.

Ostler runs in an environment of its own (a virtual environment, uvx, pipx), which no program that it starts must see.
Bridges import this: it loads nothing that they do not need.
"""

import os
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final

META_KEY: Final = "ostler/environment"
"""The key of the caller's environment in the `_meta` of a call to a built-in server."""

SERVICE_META_KEY: Final = "ostler/service"
"""The key of the id of the service that such a call is for."""

MAX_BYTES: Final = 256 * 1024
"""Bytes of the largest environment that is sent or kept; beyond that, the longest values are left out."""

_OWN_VARIABLES: Final = frozenset({
    "PYTHONHOME", "__PYVENV_LAUNCHER__", "UV_RUN_RECURSION_DEPTH", "UV_INTERNAL__PARENT_INTERPRETER",
    "PIPX_DEFAULT_PYTHON", "PEX", "PEX_ROOT",
})  # fmt: skip
_OWN_PREFIX: Final = "OSTLER_"
_UNIT_VARIABLES: Final = frozenset({
    "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
})  # fmt: skip
"""What systemd gives the main process of a unit. A server that inherits it reports in that unit's name: that it is
ready, that it stops, that it is the main process (caddy 2.6, BIND 9.18, tor 0.4.9 and more do so unasked).
"""
_ENVIRONMENT_NAMES: Final = ("VIRTUAL_ENV", "CONDA_PREFIX")


def without_own(environment: Mapping[str, str], prefix: str | None = None) -> dict[str, str]:
    """Return `environment` without what Ostler's own Python environment, or the unit it belongs to, put into it.

    Args:
        environment: the variables.
        prefix: the folder of Ostler's own Python environment; default: that of this process.
    """
    found = {
        name: value
        for name, value in environment.items()
        if name not in _OWN_VARIABLES | _UNIT_VARIABLES and not name.startswith(_OWN_PREFIX)
    }
    prefix = sys.prefix if prefix is None else prefix
    if prefix == sys.base_prefix:
        return found  # an ordinary Python of the system, whose folder everybody may use
    own = {Path(prefix), Path(os.path.realpath(prefix))}
    for name in _ENVIRONMENT_NAMES:
        if name in found and Path(found[name]) in own:
            del found[name]
            found.pop("VIRTUAL_ENV_PROMPT", None)
    if "PATH" in found:
        folders = {folder / name for folder in own for name in ("bin", "Scripts")}
        kept = [part for part in found["PATH"].split(os.pathsep) if not part or Path(part) not in folders]
        found["PATH"] = os.pathsep.join(kept)
    return found


def sendable(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the part of `environment` that is sent with a greeting: what can be encoded, within `MAX_BYTES`."""
    found: dict[str, str] = {}
    size = 0
    for name, value in sorted(environment.items(), key=lambda item: len(item[1])):
        try:
            size += len(name.encode()) + len(value.encode())
        except UnicodeEncodeError:
            continue
        if size > MAX_BYTES:
            break
        found[name] = value
    return found


_of_caller: ContextVar[Mapping[str, str] | None] = ContextVar("environment of the caller", default=None)


@contextmanager
def called_with(environment: Mapping[str, str] | None) -> Generator[None]:
    """Start what is requested inside with `environment`; None: no caller's."""
    token = _of_caller.set(environment or None)
    try:
        yield
    finally:
        _of_caller.reset(token)


def environment_of_caller() -> Mapping[str, str] | None:
    """Return the environment of the caller for whom the current code runs, if it is known."""
    return _of_caller.get()
