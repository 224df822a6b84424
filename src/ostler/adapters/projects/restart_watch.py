"""Watching the files of a project for the services that want a restart when theirs change."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from watchfiles import DefaultFilter, awatch

DEBOUNCE = 400
"""Milliseconds of calm that end a series of changes, such as a checkout or a save of several files."""


async def watch_files(
    directory: Path, patterns: Mapping[str, Sequence[str]], changed: Callable[[str, str], Awaitable[None]]
) -> None:
    """Call `changed(name, file)` once for each service and series of changes, until cancelled.

    What editors, version control and package managers write (`.git`, `node_modules`, `__pycache__`, swap files) is
    not looked at.

    Args:
        directory: the project's folder.
        patterns: service → globs relative to the folder; `*` stands for any text, `/` included.
        changed: called with the service and the first of its files that changed.
    """
    async for changes in awatch(directory, debounce=DEBOUNCE, watch_filter=DefaultFilter()):
        files = sorted(Path(path).relative_to(directory).as_posix() for _, path in changes)
        for name, globs in patterns.items():
            if file := next((file for file in files if matches(file, globs)), None):
                await changed(name, file)


def matches(file: str, globs: Sequence[str]) -> bool:
    """Whether a file, relative to the project's folder, is meant by one of `globs`."""
    return any(fnmatchcase(file, glob) or fnmatchcase(file, glob.replace("**/", "")) for glob in globs)
