"""Whose the processes that Ostler starts are, and of which run: the values of the marks that they carry.

The id of a state folder is random and kept in the folder. So processes of another folder, or of one that was deleted,
are never taken for ours, whatever they are called and wherever they listen.
"""

import os
from pathlib import Path

from ostler.model.marks import LIFE_VARIABLE, OWNER_VARIABLE


def known_owner(root: Path) -> str:
    """Return the id of the folder `root` of a process server, empty while it has none. Blocks."""
    return _written(root / "owner")


def known_life(root: Path) -> str:
    """Return the id of the run of Ostler that used the folder last, empty when there was none. Blocks."""
    return _written(root / "life")


def owner_of(root: Path) -> str:
    """Return the id of the folder `root`, made when it has none. Blocks.

    Raises:
        StoreError: it cannot be written.
    """
    owner = known_owner(root)
    if not owner:
        owner = os.urandom(16).hex()
        _replace(root / "owner", owner)
    return owner


def marks_of_servers(root: Path) -> dict[str, str]:
    """Begin a run of Ostler over `root`, and return the variables of the downstream servers that it starts. Blocks.

    Raises:
        StoreError: its id cannot be written.
    """
    life = os.urandom(8).hex()
    _overwrite(root / "life", life)
    return {OWNER_VARIABLE: owner_of(root), LIFE_VARIABLE: life}


def _overwrite(file: Path, text: str) -> None:
    """Write over what is in `file`, of the same length, which a full disk has room for; else replace it.

    Raises:
        StoreError: it cannot be written.
    """
    content = f"{text}\n".encode()
    try:
        with file.open("r+b", buffering=0) as opened:
            if len(opened.read()) == len(content):
                opened.seek(0)
                opened.write(content)
                return
    except OSError:
        pass  # the first run, or a file system that writes nothing in place: the other way says what is wrong
    _replace(file, text)


def _replace(file: Path, text: str) -> None:
    from ostler.adapters.atomic_files import replace_private  # noqa: PLC0415 (the first run alone needs it)

    replace_private(file, text)


def _written(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, ValueError):
        return ""
