"""Commands that were written on Windows, where programs such as npx are batch files that only its shell can start."""

import re
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from ostler.adapters.config.dialects.draft import Draft
from ostler.model.json import as_list, as_object, as_texts

WINDOWS_PATH: Final = re.compile(r"[A-Za-z]:[\\/]|\\\\")
"""How a whole path of Windows begins."""

_SHELL: Final = re.compile(r"(?:[a-z]:[\\/](?:[^\\/]+[\\/])*cmd(?:\.exe)?|cmd)", re.IGNORECASE)
"""`cmd`, or its path. The bare `cmd.exe` is a program inside WSL, too."""

_BATCH: Final = re.compile(r"(?P<name>[\w.-]+)\.cmd", re.IGNORECASE)
_OPTION: Final = re.compile(r"/[a-z](?::\w+)?", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"%([A-Za-z_]\w*)%")
_OPERATOR: Final = re.compile(r"[&|<>].*|.*[&|<>]")
_ELSEWHERE: Final = re.compile(r"[&|<>^\\]|(?i:\.(?:bat|ps1)$)")
"""What only that shell understands: its operators, and paths and scripts of Windows."""


def path_below(base: Path, path: str) -> str:
    """Return a path that may be relative to `base` as a whole one; one of Windows is whole on any system."""
    return path if WINDOWS_PATH.match(path) else str(base / path)


def without_windows_shell(draft: Draft, platform: str = sys.platform) -> None:
    """Write `cmd /c npx …` and `npx.cmd …` as `npx …`, where there is no Windows.

    Args:
        draft: an entry whose keys have been read.
        platform: as `sys.platform`.
    """
    command = draft.entry.get("command")
    if platform == "win32" or not isinstance(command, str):
        return
    if _SHELL.fullmatch(command):
        _unwrap(draft)
    elif batch := _BATCH.fullmatch(command):
        draft.entry["command"] = batch["name"]


def _unwrap(draft: Draft) -> None:
    args = as_list(draft.entry.get("args"))
    words = as_texts(args)
    before = next((index for index, word in enumerate(words) if not _OPTION.fullmatch(word)), len(words))
    line = words[before:]
    if not line or len(words) != len(args) or before == 0 or words[before - 1].lower() not in ("/c", "/k"):
        return
    if _ELSEWHERE.search(line[0]) or any(_OPERATOR.fullmatch(word) for word in line):
        return
    is_one = len(line) == 1
    if is_one:
        with suppress(ValueError):
            line = shlex.split(line[0])
    if not line:
        return
    own = {name.upper(): value for name, value in as_object(draft.entry.get("env")).items() if isinstance(value, str)}
    program, *rest = (_VARIABLE.sub(lambda found: own.get(found[1].upper(), f"${{{found[1]}}}"), word) for word in line)
    origins = [draft.origins.get(("args", index), ("args", index)) for index in range(len(args))]
    draft.entry["command"] = _BATCH.sub(r"\g<name>", program)
    draft.entry["args"] = list(rest)
    draft.origins["command",] = origins[before]
    for index in range(len(rest)):
        draft.origins["args", index] = origins[before if is_one else before + 1 + index]
