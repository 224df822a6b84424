"""The version that bridges and servers exchange, and its order.

A constant, because reading the installed package's metadata would cost the bridge a fifth of its start-up time.
"""

import os
import re
from typing import Final

VERSION: Final = "0.1.0"
"""This package's version; the same as in pyproject.toml (a test compares them)."""

_SHAPE = re.compile(r"(\d+(?:\.\d+)*)(?:[-_.]?(dev|a|alpha|b|beta|rc|c)[-_.]?(\d*))?")
_STAGES = {"dev": 0, "a": 1, "alpha": 1, "b": 2, "beta": 2, "c": 3, "rc": 3}
_FINAL_STAGE = 4


def code_id() -> str:
    """Return which code this is: the package's folder, and when it was put there. Two builds may have one version."""
    folder = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))  # noqa: PTH120 (pathlib is an import more)
    try:
        return f"{folder} of {os.stat(__file__).st_mtime_ns}"  # noqa: PTH116
    except OSError:  # it is being replaced
        return folder


def version_order(version: str) -> tuple[tuple[int, ...], int, int]:
    """Return a key that sorts versions: `0.9` < `0.10rc1` < `0.10` = `0.10.0`. What is not a version sorts first."""
    match = _SHAPE.match(version)
    if match is None:
        return (), 0, 0
    release = [int(part) for part in match[1].split(".")]
    while release and release[-1] == 0:
        release.pop()
    if match[2] is None:
        return tuple(release), _FINAL_STAGE, 0
    return tuple(release), _STAGES[match[2]], int(match[3] or 0)
