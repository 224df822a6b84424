"""The environment of the one who asks for something, without what is Ostler's own; for calls that are under way.

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
"""Where a call of a built-in server has the environment of the one who asks, in its `_meta`."""

SERVICE_META_KEY: Final = "ostler/service"
"""Where such a call has the id of the service that it is for."""

MAX_BYTES: Final = 256 * 1024
"""The largest environment that is sent or kept; what is beyond is left out, longest values first."""

_OWN_VARIABLES: Final = frozenset({
    "PYTHONHOME", "__PYVENV_LAUNCHER__", "UV_RUN_RECURSION_DEPTH", "UV_INTERNAL__PARENT_INTERPRETER",
    "PIPX_DEFAULT_PYTHON", "PEX", "PEX_ROOT",
})  # fmt: skip
_OWN_PREFIX: Final = "OSTLER_"
_ENVIRONMENT_NAMES: Final = ("VIRTUAL_ENV", "CONDA_PREFIX")


def without_own(environment: Mapping[str, str], prefix: str | None = None) -> dict[str, str]:
    """Return `environment` as it was before Ostler's own one was put in front.

    Args:
        environment: the variables.
        prefix: the folder of Ostler's own Python environment; default: that of this process.
    """
    found = {
        name: value
        for name, value in environment.items()
        if name not in _OWN_VARIABLES and not name.startswith(_OWN_PREFIX)
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
    """Return what of `environment` is sent with a greeting: text without NUL, within `MAX_BYTES`."""
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


_asker: ContextVar[Mapping[str, str] | None] = ContextVar("environment of the one who asks", default=None)


@contextmanager
def asked_with(environment: Mapping[str, str] | None) -> Generator[None]:
    """Let what is asked for inside be started with `environment`; None: by no one in particular."""
    token = _asker.set(environment or None)
    try:
        yield
    finally:
        _asker.reset(token)


def asker_environment() -> Mapping[str, str] | None:
    """Return the environment of the one who asks for what runs now, if it is known."""
    return _asker.get()
